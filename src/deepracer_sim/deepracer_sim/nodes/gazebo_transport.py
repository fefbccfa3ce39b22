"""The way to a Gazebo server over `ros_gz_bridge`: the raw topics under `gazebo/` and the services of the world."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool

from deepracer_inference.nodes.encoding import command_to_twist
from deepracer_inference.nodes.messages import from_time, image_to_frame, pose_to_planar, to_time
from deepracer_inference.nodes.receiver import Receiver
from deepracer_sim.gazebo.transport import (
    ClockEvent,
    CommandedEvent,
    Event,
    MotionEvent,
    PictureEvent,
    PlacedEvent,
    Pose,
    SteeringEvent,
)
from deepracer_sim.nodes.car_topics import car_namespace

RAW = "/gazebo"
"""Namespace of what the bridge and the controllers publish and listen to; only this node reads it."""
PARTS = (
    (Image, "image"),
    (Odometry, "odom"),
    (JointState, "joint_states"),
    (TwistStamped, "commanded"),
    (PoseStamped, "placed"),
)
HINGES = ("left_steering_hinge_joint", "right_steering_hinge_joint")
RELIABLE_QOS = QoSProfile(depth=50)
CLOCK_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
"""The clock is repeated 700 times a second; one that is lost does no harm."""


class WorldServices(Protocol):
    """The world's services; `GazeboServices` calls those of the bridge."""

    def pause(self) -> None:
        """Stop the simulated time."""
        ...

    def multi_step(self, steps: int) -> None:
        """Start steps of a paused world."""
        ...

    def set_pose(self, model: str, pose: Pose) -> None:
        """Ask for a model at another place."""
        ...


class GazeboTransport:
    """Implements `deepracer_sim.gazebo.transport.Transport`."""

    def __init__(self, node: Node, cars: int, wheelbase: float, services: WorldServices) -> None:
        """Subscribe and advertise.

        Args:
            node: May be spun by an executor.
            cars: Number of cars N.
            wheelbase: m; commands travel as twists.
            services: Of the world.
        """
        self._services, self._wheelbase = services, wheelbase
        names = [f"{RAW}/{car_namespace(car)}" for car in range(cars)]
        topics = [(Clock, f"{RAW}/clock"), *((kind, f"{name}/{topic}") for name in names for kind, topic in PARTS)]
        profiles = [CLOCK_QOS, *[RELIABLE_QOS] * (len(topics) - 1)]
        self._inbox = Receiver(node, topics, profiles)
        self._commands = [node.create_publisher(TwistStamped, f"{name}/cmd_vel", RELIABLE_QOS) for name in names]
        self._trigger = node.create_publisher(Bool, f"{RAW}/camera_trigger", RELIABLE_QOS)
        self._twist = TwistStamped()

    def now(self) -> float:
        """Return a steady clock, s."""
        return time.monotonic()

    def receive(self, timeout_s: float) -> Sequence[Event]:
        """Return what has come; see `Transport.receive`."""
        return [self._event(index, message) for index, message in self._inbox.wait(timeout_s)]

    def pause(self) -> None:
        """Stop the simulated time; see `Transport.pause`."""
        self._services.pause()

    def multi_step(self, steps: int) -> None:
        """Start steps; see `Transport.multi_step`."""
        self._services.multi_step(steps)

    def command(self, car: int, time_ns: int, steering_angle: float, speed: float) -> None:
        """Give a car a command; see `Transport.command`."""
        self._twist.header.stamp = to_time(time_ns)
        self._twist.twist.linear.x, self._twist.twist.angular.z = command_to_twist(
            steering_angle, speed, self._wheelbase
        )
        self._commands[car].publish(self._twist)

    def place(self, car: int, pose: Pose) -> None:
        """Ask for a car at another place; see `Transport.place`."""
        self._services.set_pose(car_namespace(car), pose)

    def trigger(self) -> None:
        """Let all cameras take a picture; see `Transport.trigger`."""
        self._trigger.publish(Bool(data=True))

    def _event(self, index: int, message: Any) -> Event:
        if index == 0:
            return ClockEvent(from_time(message.clock))
        car = (index - 1) // len(PARTS)
        if isinstance(message, PoseStamped):
            return PlacedEvent(car, pose_to_planar(message.pose))
        stamp = from_time(message.header.stamp)
        if isinstance(message, TwistStamped):
            return CommandedEvent(car, stamp)
        if isinstance(message, Image):
            return PictureEvent(car, stamp, image_to_frame(message))
        if isinstance(message, JointState):
            angles = [message.position[message.name.index(name)] for name in HINGES]
            return SteeringEvent(car, stamp, single_track_angle(*angles))
        twist = message.twist.twist
        return MotionEvent(
            car, stamp, pose_to_planar(message.pose.pose), twist.linear.x, twist.linear.y, twist.angular.z
        )


def single_track_angle(left: float, right: float) -> float:
    """Return the steering angle of the single-track model from those of the front wheels, rad.

    The cotangent in the middle is the mean of those of the wheels, whose axles meet in the centre of the turn.
    """
    tangents = math.tan(left), math.tan(right)
    if tangents[0] * tangents[1] <= 0.0:
        return 0.5 * (left + right)
    return math.atan(2.0 * tangents[0] * tangents[1] / (tangents[0] + tangents[1]))
