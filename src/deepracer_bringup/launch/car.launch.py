"""The car: camera, inference and drive; with vehicle:=simulated the same nodes drive the embedded simulator's car."""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    LaunchLogDir,
    PathJoinSubstitution,
)
from launch_ros.actions import Node, SetParameter
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from deepracer_bringup.prepared import Prepared, controllers_file
from deepracer_inference.nodes.process import announcements

SIMULATED = EqualsSubstitution(LaunchConfiguration("vehicle"), "simulated")
ROS2_CONTROL = EqualsSubstitution(LaunchConfiguration("control"), "ros2_control")
VEHICLE = IfElseSubstitution(SIMULATED, "deepracer", LaunchConfiguration("vehicle"))
CAMERA = IfElseSubstitution(
    EqualsSubstitution(LaunchConfiguration("camera"), "auto"),
    IfElseSubstitution(
        SIMULATED,
        "topic:/car_0/camera/image_raw",
        IfElseSubstitution(
            EqualsSubstitution(LaunchConfiguration("vehicle"), "raspberry_pi"), "libcamera", "/dev/video0"
        ),
    ),
    LaunchConfiguration("camera"),
)
SYSFS = IfElseSubstitution(SIMULATED, PathJoinSubstitution([LaunchLogDir(), "board"]), "/sys")
COMMANDS = IfElseSubstitution(ROS2_CONTROL, "ackermann_steering_controller/reference", "cmd_vel")
CONFIG = PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "config"])


def generate_launch_description() -> LaunchDescription:
    """Describe the car."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "vehicle",
                default_value="deepracer",
                choices=["deepracer", "raspberry_pi", "simulated"],
                description="The car; simulated: a DeepRacer in the embedded simulator, its servo board in a folder.",
            ),
            DeclareLaunchArgument(
                "model",
                default_value="",
                description="Path of a policy folder or name of a model on this car; empty: the selected one.",
            ),
            DeclareLaunchArgument(
                "enabled",
                default_value="false",
                choices=["true", "false"],
                description="Drive at once; otherwise the car waits for the service /drive_node/enable.",
            ),
            DeclareLaunchArgument(
                "autonomous",
                default_value="true",
                choices=["true", "false"],
                description="Let the model drive; false: by hand only.",
            ),
            DeclareLaunchArgument(
                "manual",
                default_value="false",
                choices=["true", "false"],
                description="Drive by joystick while its dead-man button is held (joy, teleop_twist_joy, twist_mux).",
            ),
            DeclareLaunchArgument(
                "control",
                default_value="direct",
                choices=["direct", "ros2_control"],
                description="Commands go to drive_node, or through controllers of ros2_control.",
            ),
            DeclareLaunchArgument(
                "speed_limit", default_value="4.0", description="Governor: the car drives no faster, m/s."
            ),
            DeclareLaunchArgument(
                "camera",
                default_value="auto",
                description="/dev/video0, libcamera, a GStreamer pipeline, a video, a folder of images, or topic:NAME; "
                "auto: what the vehicle has.",
            ),
            DeclareLaunchArgument(
                "track", default_value="riverside", description="Track of the simulator (vehicle:=simulated)."
            ),
            # Our nodes do so by themselves, those of others do not.
            *(SetEnvironmentVariable(name, value) for name, value in announcements().items()),
            GroupAction(
                [
                    SetParameter("vehicle", ParameterValue(VEHICLE, value_type=str)),
                    Node(
                        package="deepracer_inference",
                        executable="camera_node",
                        output="screen",
                        parameters=[
                            ParameterFile(PathJoinSubstitution([CONFIG, "camera.yaml"])),
                            {"source": ParameterValue(CAMERA, value_type=str)},
                        ],
                        on_exit=Shutdown(reason="camera_node has ended"),
                    ),
                    Node(
                        package="deepracer_inference",
                        executable="inference_node",
                        output="screen",
                        parameters=[
                            ParameterFile(PathJoinSubstitution([CONFIG, "inference.yaml"])),
                            {
                                "model": ParameterValue(LaunchConfiguration("model"), value_type=str),
                                "stamp": IfElseSubstitution(ROS2_CONTROL, "now", "image"),
                                "autostart": True,
                            },
                        ],
                        remappings=[
                            (
                                "cmd_vel",
                                IfElseSubstitution(
                                    LaunchConfiguration("manual"),
                                    "autonomous/cmd_vel",
                                    COMMANDS,
                                ),
                            )
                        ],
                        condition=IfCondition(LaunchConfiguration("autonomous")),
                        on_exit=Shutdown(reason="inference_node has ended"),
                    ),
                    Node(
                        package="deepracer_inference",
                        executable="drive_node",
                        output="screen",
                        parameters=[
                            ParameterFile(PathJoinSubstitution([CONFIG, "drive.yaml"])),
                            {
                                "autostart": True,
                                "board_timeout": 20.0,
                                "enabled": ParameterValue(LaunchConfiguration("enabled"), value_type=bool),
                                "sysfs": ParameterValue(SYSFS, value_type=str),
                                "speed_limit": ParameterValue(LaunchConfiguration("speed_limit"), value_type=float),
                                "input": IfElseSubstitution(
                                    ROS2_CONTROL,
                                    "joint_commands",
                                    "cmd_vel",
                                ),
                            },
                        ],
                        remappings=[
                            # With ros2_control: what the controllers are told, which shows whether anybody commands.
                            ("cmd_vel", COMMANDS),
                            (
                                "joint_states",
                                IfElseSubstitution(
                                    ROS2_CONTROL,
                                    "hardware_joint_states",
                                    "joint_states",
                                ),
                            ),
                        ],
                        on_exit=Shutdown(reason="drive_node has ended"),
                    ),
                    Node(
                        package="deepracer_sim",
                        executable="board_node",
                        output="screen",
                        parameters=[{"sysfs": ParameterValue(SYSFS, value_type=str)}],
                        condition=IfCondition(SIMULATED),
                        on_exit=Shutdown(reason="board_node has ended"),
                    ),
                ],
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "simulation.launch.py"]),
                launch_arguments={"mode": "lockstep", "cars": "1", "vehicle": VEHICLE}.items(),
                condition=IfCondition(SIMULATED),
            ),
            GroupAction(
                [
                    # Without one of these there is no stop button.
                    Node(
                        package="joy",
                        executable="joy_node",
                        name="joy_node",
                        on_exit=Shutdown(reason="joy_node has ended"),
                    ),
                    Node(
                        package="teleop_twist_joy",
                        executable="teleop_node",
                        name="teleop_twist_joy_node",
                        parameters=[ParameterFile(PathJoinSubstitution([CONFIG, "joystick.yaml"]))],
                        remappings=[("cmd_vel", "manual/cmd_vel")],
                        on_exit=Shutdown(reason="teleop_node has ended"),
                    ),
                    Node(
                        package="twist_mux",
                        executable="twist_mux",
                        name="twist_mux",
                        parameters=[ParameterFile(PathJoinSubstitution([CONFIG, "twist_mux.yaml"]))],
                        remappings=[("cmd_vel_out", COMMANDS)],
                        on_exit=Shutdown(reason="twist_mux has ended"),
                    ),
                ],
                condition=IfCondition(LaunchConfiguration("manual")),
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([FindPackageShare("deepracer_bringup"), "launch", "description.launch.py"]),
                launch_arguments={
                    "cars": "1",
                    "numbered": "false",
                    "vehicle": VEHICLE,
                    "drive": IfElseSubstitution(ROS2_CONTROL, "topics", "none"),
                    "use_sim_time": "false",
                }.items(),
            ),
            GroupAction(
                [
                    Node(
                        package="controller_manager",
                        executable="ros2_control_node",
                        parameters=[
                            ParameterFile(
                                Prepared(controllers_file, PathJoinSubstitution([CONFIG, "controllers.yaml"]), VEHICLE)
                            ),
                            ParameterFile(PathJoinSubstitution([CONFIG, "car_controllers.yaml"])),
                        ],
                    ),
                    Node(
                        package="controller_manager",
                        executable="spawner",
                        arguments=["joint_state_broadcaster", "ackermann_steering_controller"],
                    ),
                ],
                condition=IfCondition(ROS2_CONTROL),
            ),
        ]
    )
