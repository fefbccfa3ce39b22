"""Drive laps with a model's policy under race rules and write the report; everything ends with that."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.substitutions import EqualsSubstitution, IfElseSubstitution, LaunchConfiguration, PathJoinSubstitution
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
                "config",
                default_value=PathJoinSubstitution(
                    [FindPackageShare("deepracer_bringup"), "config", "evaluation.yaml"]
                ),
                description="YAML file with the other parameters of evaluation_node.",
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "environment.launch.py"]),
                launch_arguments={"perspective": "evaluation"}.items(),
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
                        "simulator": IfElseSubstitution(
                            EqualsSubstitution(LaunchConfiguration("simulator"), "embedded"), "embedded", "ros"
                        ),
                        "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                    },
                ],
                # Time to leave the simulator in order on a busy machine.
                sigterm_timeout="30",
                on_exit=Shutdown(reason="evaluation_node has ended"),
            ),
        ]
    )
