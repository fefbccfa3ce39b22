"""What the cars look like and where their parts are: a robot_state_publisher for each of them."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from deepracer_bringup.cars import describe_cars


def generate_launch_description() -> LaunchDescription:
    """Describe the description of the cars."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("cars", default_value="1", description="Number of cars: car_0, car_1, ..."),
            DeclareLaunchArgument(
                "numbered",
                default_value="true",
                choices=["true", "false"],
                description="Each car in a namespace car_<i>, with frames car_<i>/...; false for the one real car.",
            ),
            DeclareLaunchArgument(
                "vehicle",
                default_value="deepracer",
                description="Name of a vehicle, or path of a vehicle file (.yaml).",
            ),
            DeclareLaunchArgument(
                "drive",
                default_value="none",
                choices=["none", "gazebo", "ros2_control", "topics"],
                description="What moves it: in Gazebo gazebo or ros2_control, elsewhere none or topics (ros2_control).",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="false",
                choices=["true", "false"],
                description="Follow /clock: true beside a simulator, false on a car.",
            ),
            OpaqueFunction(function=describe_cars),
        ]
    )
