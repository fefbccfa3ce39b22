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
            ExecuteProcess(
                cmd=[
                    "rqt",
                    "--perspective-file",
                    PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "rqt", "deepracer.perspective"]),
                ],
                condition=IfCondition(LaunchConfiguration("rqt")),
            ),
        ]
    )
