"""Drive laps with a model's policy under race rules and write the report; everything ends with that."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import AndSubstitution, EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the evaluation."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("model", description="Name of the model; `deepracer create` makes one."),
            DeclareLaunchArgument("laps", default_value="10", description="Laps to drive, 1 to 1000."),
            DeclareLaunchArgument(
                "simulator",
                default_value="embedded",
                choices=["embedded", "ros"],
                description="Simulate inside evaluation_node, which is fastest, or drive a simulator over topics.",
            ),
            DeclareLaunchArgument(
                "start_simulator",
                default_value="true",
                choices=["true", "false"],
                description="Start simulator_node for that (simulator:=ros); false when another one is running.",
            ),
            DeclareLaunchArgument(
                "cars", default_value="8", description="Number of cars of that simulator, 1 to 64 (simulator:=ros)."
            ),
            DeclareLaunchArgument(
                "track",
                default_value="riverside",
                description="Track of that simulator: the one in model.yaml (simulator:=ros).",
            ),
            DeclareLaunchArgument(
                "monitor", default_value="false", choices=["true", "false"], description="Open RViz and rqt too."
            ),
            DeclareLaunchArgument(
                "config",
                default_value=PathJoinSubstitution(
                    [FindPackageShare("deepracer_bringup"), "config", "evaluation.yaml"]
                ),
                description="YAML file with the other parameters of evaluation_node.",
            ),
            Node(
                package="deepracer_training",
                executable="evaluation_node",
                output="screen",
                parameters=[
                    ParameterFile(LaunchConfiguration("config")),
                    {
                        "model": ParameterValue(LaunchConfiguration("model"), value_type=str),
                        "laps": ParameterValue(LaunchConfiguration("laps"), value_type=int),
                        "simulator": ParameterValue(LaunchConfiguration("simulator"), value_type=str),
                        "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                    },
                ],
                on_exit=Shutdown(reason="evaluation_node has ended"),
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "simulation.launch.py"]),
                launch_arguments={"mode": "lockstep"}.items(),
                condition=IfCondition(
                    AndSubstitution(
                        EqualsSubstitution(LaunchConfiguration("simulator"), "ros"),
                        LaunchConfiguration("start_simulator"),
                    )
                ),
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "monitor.launch.py"]),
                launch_arguments={
                    "use_sim_time": EqualsSubstitution(LaunchConfiguration("simulator"), "ros"),
                }.items(),
                condition=IfCondition(LaunchConfiguration("monitor")),
            ),
        ]
    )
