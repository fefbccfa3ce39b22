"""Train a model, with the simulator in the trainer or in a node of its own; everything ends with the training."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.substitutions import EqualsSubstitution, IfElseSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the training."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("model", description="Name of the model; `deepracer create` makes one."),
            DeclareLaunchArgument("minutes", default_value="2.0", description="Training time, min."),
            DeclareLaunchArgument(
                "resume",
                default_value="false",
                choices=["true", "false"],
                description="Go on from the last checkpoint; otherwise an earlier training is put aside.",
            ),
            DeclareLaunchArgument(
                "config",
                default_value=PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config", "trainer.yaml"]),
                description="YAML file with the other parameters of trainer_node.",
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "environment.launch.py"]),
                launch_arguments={"perspective": "training"}.items(),
            ),
            Node(
                package="deepracer_training",
                executable="trainer_node",
                output="screen",
                parameters=[
                    ParameterFile(LaunchConfiguration("config")),
                    {
                        "model": ParameterValue(LaunchConfiguration("model"), value_type=str),
                        "minutes": ParameterValue(LaunchConfiguration("minutes"), value_type=float),
                        "resume": ParameterValue(LaunchConfiguration("resume"), value_type=bool),
                        "simulator": IfElseSubstitution(
                            EqualsSubstitution(LaunchConfiguration("simulator"), "embedded"), "embedded", "ros"
                        ),
                        "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                    },
                ],
                # Time for the last trial and checkpoint on a busy machine.
                sigterm_timeout="30",
                on_exit=Shutdown(reason="trainer_node has ended"),
            ),
        ]
    )
