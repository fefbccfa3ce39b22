"""RViz with camera, track, cars and path, and rqt with plots, parameters, log and diagnostics."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the windows."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("rviz", default_value="true", choices=["true", "false"], description="Open RViz."),
            DeclareLaunchArgument("rqt", default_value="true", choices=["true", "false"], description="Open rqt."),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="false",
                choices=["true", "false"],
                description="RViz follows /clock: true beside simulator_node, false for the embedded simulator.",
            ),
            DeclareLaunchArgument(
                "perspective",
                default_value="training",
                choices=["training", "evaluation"],
                description="What rqt plots: the figures of trainer_node or of evaluation_node.",
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=[
                    "-d",
                    PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "rviz", "deepracer.rviz"]),
                ],
                parameters=[{"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)}],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
            # rqt_plot gives up topics that nobody publishes yet. A node that tells its diagnostics has advertised all.
            ExecuteProcess(
                name="wait_for_diagnostics",
                cmd=[
                    *("ros2", "topic", "echo", "--no-daemon", "--once"),
                    *("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"),
                ],
                condition=IfCondition(LaunchConfiguration("rqt")),
                on_exit=[
                    ExecuteProcess(
                        cmd=[
                            "rqt",
                            "--perspective-file",
                            [
                                PathJoinSubstitution(
                                    [FindPackageShare("deepracer_bringup"), "rqt", LaunchConfiguration("perspective")]
                                ),
                                ".perspective",
                            ],
                        ],
                    )
                ],
            ),
        ]
    )
