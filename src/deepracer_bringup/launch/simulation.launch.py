"""A simulator as a node: to drive by hand (realtime), or to train and evaluate over topics (lockstep)."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the simulation."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "simulator",
                default_value="embedded",
                choices=["embedded", "gazebo"],
                description="The fast simulator that policies are trained in, in simulator_node, or Gazebo.",
            ),
            DeclareLaunchArgument(
                "track", default_value="riverside", description="A name from `deepracer tracks list`, or a .npy file."
            ),
            DeclareLaunchArgument(
                "cars", default_value="1", description="Number of cars, 1 to 64, in Gazebo 1 to 16: car_0, car_1, ..."
            ),
            DeclareLaunchArgument(
                "vehicle",
                default_value="deepracer",
                description="Name of a vehicle, or path of a vehicle file (.yaml).",
            ),
            DeclareLaunchArgument(
                "mode",
                default_value="realtime",
                choices=["realtime", "lockstep"],
                description="Periods follow the wall clock, or each of them waits for the commands of all cars.",
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
                "simulator_config",
                default_value=PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config", "simulator.yaml"]),
                description="YAML file with the other parameters of simulator_node (simulator:=embedded).",
            ),
            GroupAction(
                [
                    Node(
                        package="deepracer_sim",
                        executable="simulator_node",
                        output="screen",
                        parameters=[
                            ParameterFile(LaunchConfiguration("simulator_config")),
                            {
                                "track": ParameterValue(LaunchConfiguration("track"), value_type=str),
                                "vehicle": ParameterValue(LaunchConfiguration("vehicle"), value_type=str),
                                "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                                "mode": ParameterValue(LaunchConfiguration("mode"), value_type=str),
                            },
                        ],
                    ),
                    IncludeLaunchDescription(
                        PathJoinSubstitution(
                            [FindPackageShare("deepracer_bringup"), "launch", "description.launch.py"]
                        ),
                        launch_arguments={"drive": "none", "use_sim_time": "true"}.items(),
                    ),
                ],
                condition=IfCondition(EqualsSubstitution(LaunchConfiguration("simulator"), "embedded")),
            ),
            GroupAction(
                [
                    IncludeLaunchDescription(
                        PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "gazebo.launch.py"])
                    )
                ],
                condition=IfCondition(EqualsSubstitution(LaunchConfiguration("simulator"), "gazebo")),
            ),
        ]
    )
