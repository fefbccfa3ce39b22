"""Record a drive: images, commands, joints and diagnostics, as MCAP; Ctrl-C ends it."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, Shutdown
from launch.substitutions import IfElseSubstitution, LaunchConfiguration


def generate_launch_description() -> LaunchDescription:
    """Describe the recording."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "folder", default_value=".", description="Where the recording, rosbag2_<date>, is made."
            ),
            DeclareLaunchArgument(
                "images",
                default_value="true",
                choices=["true", "false"],
                description="Record the camera too: 0.9 MB/s in colour at 15 Hz.",
            ),
            ExecuteProcess(
                cmd=[
                    *("ros2", "bag", "record", "--storage", "mcap", "--topics"),
                    IfElseSubstitution(LaunchConfiguration("images"), "/camera/image_raw", "/camera/camera_info"),
                    *("/camera/camera_info", "/cmd_vel", "/autonomous/cmd_vel", "/manual/cmd_vel"),
                    *("/joint_states", "/diagnostics", "/rosout"),
                ],
                cwd=LaunchConfiguration("folder"),
                output="screen",
                on_exit=Shutdown(reason="the recording has ended"),
            ),
        ]
    )
