"""The launch actions that are needed once for every car."""

from __future__ import annotations

from launch import LaunchContext
from launch.action import Action
from launch.substitutions import Command, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from deepracer_bringup.prepared import Prepared, controllers_file, start_pose, vehicle_file

CONTROLLERS = ("joint_state_broadcaster", "ackermann_steering_controller")


def describe_cars(context: LaunchContext) -> list[Action]:
    """Return a robot_state_publisher for each car, from the arguments of description.launch.py."""
    controlled = LaunchConfiguration("drive").perform(context) == "ros2_control"
    numbered = LaunchConfiguration("numbered").perform(context) == "true"
    return [_state_publisher(car, controlled=controlled, numbered=numbered) for car in range(_count(context))]


def spawn_cars(context: LaunchContext) -> list[Action]:
    """Return what puts each described car on the track's start line in Gazebo, and starts its controllers."""
    x, y, yaw = start_pose(LaunchConfiguration("track").perform(context))
    place = f"-x {x:.4f} -y {y:.4f} -Y {yaw:.6f}".split()
    actions: list[Action] = []
    for car in range(_count(context)):
        name = f"car_{car}"
        model = f"-world deepracer -name {name} -topic /{name}/robot_description".split()
        actions.append(_once("ros_gz_sim", "create", name, [*model, *place]))
        if LaunchConfiguration("drive").perform(context) == "ros2_control":
            manager = f"--controller-manager /{name}/controller_manager --controller-manager-timeout 120".split()
            actions.append(_once("controller_manager", "spawner", name, [*CONTROLLERS, *manager]))
    return actions


def _once(package: str, executable: str, car: str, arguments: list[str]) -> Node:
    """Return a program that does its work and ends."""
    return Node(
        package=package, executable=executable, name=f"{executable}_{car}", output="screen", arguments=arguments
    )


def _state_publisher(car: int, *, controlled: bool, numbered: bool) -> Node:
    share = FindPackageShare("deepracer_bringup")
    vehicle = LaunchConfiguration("vehicle")
    template = PathJoinSubstitution([share, "config", "controllers.yaml"])
    # The controllers in Gazebo read a file that the description names.
    controllers = Prepared(controllers_file, template, vehicle) if controlled else ""
    model = PathJoinSubstitution([share, "urdf", "deepracer.urdf.xacro"])
    # fmt: off
    description = Command([
        "xacro '", model, "'",
        " 'vehicle:=", Prepared(vehicle_file, vehicle), "'",
        f" car:={car}",
        " drive:=", LaunchConfiguration("drive"),
        " 'controllers:=", controllers, "'",
    ])
    # fmt: on
    return Node(
        package="robot_state_publisher",
        executable="robot_state_publisher",
        namespace=f"car_{car}" if numbered else "",
        parameters=[
            {
                "robot_description": ParameterValue(description, value_type=str),
                "frame_prefix": f"car_{car}/" if numbered else "",
                "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
            }
        ],
    )


def _count(context: LaunchContext) -> int:
    return int(LaunchConfiguration("cars").perform(context))
