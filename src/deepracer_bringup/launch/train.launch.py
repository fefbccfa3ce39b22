"""Train a model, with the simulator in the trainer or in a node of its own; everything ends with the training."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import AndSubstitution, EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
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
                "simulator",
                default_value="embedded",
                choices=["embedded", "ros"],
                description="Simulate inside trainer_node, which is fastest, or drive a simulator over topics.",
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
                default_value=PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config", "trainer.yaml"]),
                description="YAML file with the other parameters of trainer_node.",
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
                        "simulator": ParameterValue(LaunchConfiguration("simulator"), value_type=str),
                        "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                    },
                ],
                on_exit=Shutdown(reason="trainer_node has ended"),
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
