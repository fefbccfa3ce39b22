"""What surrounds a trainer or an evaluator: the simulator that it drives, and the windows that show it."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.substitutions import (
    AndSubstitution,
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the surroundings."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "simulator",
                default_value="embedded",
                choices=["embedded", "ros", "gazebo"],
                description="Simulate inside the node, which is fastest, or over topics: in simulator_node, or Gazebo.",
            ),
            DeclareLaunchArgument(
                "start_simulator",
                default_value="true",
                choices=["true", "false"],
                description="Start that simulator (simulator:=ros or gazebo); false when it is running already.",
            ),
            DeclareLaunchArgument(
                "cars",
                default_value="8",
                description="Number of cars of that simulator, 1 to 64, in Gazebo 1 to 16 (simulator:=ros or gazebo).",
            ),
            DeclareLaunchArgument(
                "track",
                default_value="riverside",
                description="Track of that simulator: the one in model.yaml (simulator:=ros or gazebo).",
            ),
            DeclareLaunchArgument(
                "vehicle",
                default_value="deepracer",
                description="Vehicle of that simulator and of RViz: the one in model.yaml.",
            ),
            DeclareLaunchArgument(
                "headless",
                default_value="false",
                choices=["true", "false"],
                description="Without Gazebo's window (simulator:=gazebo).",
            ),
            DeclareLaunchArgument(
                "drive",
                default_value="ros2_control",
                choices=["ros2_control", "gazebo"],
                description="ros2_control's controllers, or Gazebo's own AckermannSteering (simulator:=gazebo).",
            ),
            DeclareLaunchArgument(
                "monitor", default_value="false", choices=["true", "false"], description="Open RViz and rqt too."
            ),
            GroupAction(
                [
                    IncludeLaunchDescription(
                        PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "simulation.launch.py"]),
                        launch_arguments={
                            "simulator": IfElseSubstitution(
                                EqualsSubstitution(LaunchConfiguration("simulator"), "gazebo"), "gazebo", "embedded"
                            ),
                            "mode": "lockstep",
                        }.items(),
                    )
                ],
                condition=IfCondition(
                    AndSubstitution(
                        NotEqualsSubstitution(LaunchConfiguration("simulator"), "embedded"),
                        LaunchConfiguration("start_simulator"),
                    )
                ),
            ),
            GroupAction(
                [
                    # The embedded simulator shows its first car.
                    IncludeLaunchDescription(
                        PathJoinSubstitution(
                            [FindPackageShare("deepracer_bringup"), "launch", "description.launch.py"]
                        ),
                        launch_arguments={"cars": "1", "drive": "none", "use_sim_time": "false"}.items(),
                    )
                ],
                condition=IfCondition(
                    AndSubstitution(
                        EqualsSubstitution(LaunchConfiguration("simulator"), "embedded"), LaunchConfiguration("monitor")
                    )
                ),
            ),
            GroupAction(
                [
                    IncludeLaunchDescription(
                        PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "monitor.launch.py"]),
                        launch_arguments={
                            "use_sim_time": NotEqualsSubstitution(LaunchConfiguration("simulator"), "embedded")
                        }.items(),
                    )
                ],
                condition=IfCondition(LaunchConfiguration("monitor")),
            ),
        ]
    )
