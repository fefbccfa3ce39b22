"""Calibrate a car with sliders: calibration_node on the car, rqt_reconfigure on a screen."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description() -> LaunchDescription:
    """Describe the calibration."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "vehicle",
                default_value="deepracer",
                description="Name of a vehicle, or path of a vehicle file (.yaml).",
            ),
            DeclareLaunchArgument(
                "sysfs",
                default_value="/sys",
                description="Where the kernel's PWM is mounted; a folder for a simulated board.",
            ),
            DeclareLaunchArgument(
                "rqt",
                default_value="true",
                choices=["true", "false"],
                description="Open the sliders here; false on the car, with rqt on another machine.",
            ),
            Node(
                package="deepracer_inference",
                executable="calibration_node",
                output="screen",
                parameters=[
                    {
                        "vehicle": ParameterValue(LaunchConfiguration("vehicle"), value_type=str),
                        "sysfs": ParameterValue(LaunchConfiguration("sysfs"), value_type=str),
                    }
                ],
                on_exit=Shutdown(reason="calibration_node has ended"),
            ),
            Node(
                package="rqt_reconfigure",
                executable="rqt_reconfigure",
                condition=IfCondition(LaunchConfiguration("rqt")),
            ),
        ]
    )
