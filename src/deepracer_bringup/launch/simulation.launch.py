"""The embedded simulator as a node: to drive by hand (realtime), or to train and evaluate over topics (lockstep)."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Describe the simulation."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "track", default_value="riverside", description="A name from `deepracer tracks list`, or a .npy file."
            ),
            DeclareLaunchArgument("cars", default_value="1", description="Number of cars, 1 to 64: car_0, car_1, ..."),
            DeclareLaunchArgument(
                "mode",
                default_value="realtime",
                choices=["realtime", "lockstep"],
                description="Periods follow the wall clock, or each of them waits for the commands of all cars.",
            ),
            DeclareLaunchArgument(
                "simulator_config",
                default_value=PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config", "simulator.yaml"]),
                description="YAML file with the simulator's other parameters.",
            ),
            Node(
                package="deepracer_sim",
                executable="simulator_node",
                output="screen",
                parameters=[
                    ParameterFile(LaunchConfiguration("simulator_config")),
                    {
                        "track": ParameterValue(LaunchConfiguration("track"), value_type=str),
                        "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                        "mode": ParameterValue(LaunchConfiguration("mode"), value_type=str),
                    },
                ],
            ),
        ]
    )
