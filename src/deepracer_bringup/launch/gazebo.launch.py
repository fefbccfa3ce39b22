"""Gazebo with a track and cars, the bridge to it, and gazebo_node, which serves the same topics as simulator_node."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import IfElseSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from deepracer_bringup.cars import spawn_cars
from deepracer_bringup.prepared import Prepared, bridge_file, world_file


def generate_launch_description() -> LaunchDescription:
    """Describe the simulation in Gazebo."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "track", default_value="riverside", description="A name from `deepracer tracks list`, or a .npy file."
            ),
            DeclareLaunchArgument("cars", default_value="1", description="Number of cars, 1 to 16: car_0, car_1, ..."),
            DeclareLaunchArgument(
                "vehicle",
                default_value="deepracer",
                description="Name of a vehicle, or path of a vehicle file (.yaml).",
            ),
            DeclareLaunchArgument(
                "drive",
                default_value="ros2_control",
                choices=["ros2_control", "gazebo"],
                description="Move the cars with ros2_control's controllers, or with Gazebo's own AckermannSteering.",
            ),
            DeclareLaunchArgument(
                "headless",
                default_value="false",
                choices=["true", "false"],
                description="Without Gazebo's window, and without any screen: cameras are rendered all the same.",
            ),
            DeclareLaunchArgument(
                "mode",
                default_value="realtime",
                choices=["realtime", "lockstep"],
                description="Periods follow the wall clock, or each of them waits for the commands of all cars.",
            ),
            DeclareLaunchArgument(
                "serve",
                default_value="true",
                choices=["true", "false"],
                description="Start gazebo_node; without it the world stays paused, for whoever starts one.",
            ),
            DeclareLaunchArgument(
                "gazebo_config",
                default_value=PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config", "gazebo.yaml"]),
                description="YAML file with the other parameters of gazebo_node.",
            ),
            DeclareLaunchArgument(
                "bridge_config",
                default_value=PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config", "bridge.yaml"]),
                description="YAML file with what is bridged for one car.",
            ),
            # Gazebo stays paused: gazebo_node alone moves it on.
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("ros_gz_sim"), "launch", "gz_sim.launch.py"]),
                launch_arguments={
                    "gz_args": [
                        IfElseSubstitution(LaunchConfiguration("headless"), "-s --headless-rendering ", ""),
                        "'",
                        Prepared(world_file, LaunchConfiguration("track")),
                        "'",
                    ],
                    "on_exit_shutdown": "true",
                }.items(),
            ),
            Node(
                package="ros_gz_bridge",
                executable="parameter_bridge",
                name="gazebo_bridge",
                output="screen",
                parameters=[
                    {
                        "config_file": ParameterValue(
                            Prepared(bridge_file, LaunchConfiguration("bridge_config"), LaunchConfiguration("cars")),
                            value_type=str,
                        )
                    }
                ],
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "description.launch.py"]),
                launch_arguments={"use_sim_time": "true"}.items(),
            ),
            OpaqueFunction(function=spawn_cars),
            Node(
                package="deepracer_sim",
                executable="gazebo_node",
                output="screen",
                parameters=[
                    ParameterFile(LaunchConfiguration("gazebo_config")),
                    {
                        "track": ParameterValue(LaunchConfiguration("track"), value_type=str),
                        "vehicle": ParameterValue(LaunchConfiguration("vehicle"), value_type=str),
                        "cars": ParameterValue(LaunchConfiguration("cars"), value_type=int),
                        "mode": ParameterValue(LaunchConfiguration("mode"), value_type=str),
                    },
                ],
                condition=IfCondition(LaunchConfiguration("serve")),
            ),
        ]
    )
