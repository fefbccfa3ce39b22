"""What RViz shows of a training or an evaluation: car 0's path, and with the embedded simulator the car itself."""

from __future__ import annotations

import math
import time

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from deepracer_inference.nodes.messages import planar_quaternion
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.nodes.car_topics import MAP_FRAME, CarTopics, TransformTopics, car_namespace
from deepracer_sim.nodes.markers import car_markers, track_markers
from deepracer_sim.simulator import CarStates, Simulator
from deepracer_training.nodes.settings import WorkSettings
from deepracer_training.nodes.telemetry import LATCHED_QOS

POSE_DISTANCE_M = 0.1
"""Between two poses of the path."""
PATH_RATE_HZ = 2.0
"""A path is a long message; this is often enough to watch it grow."""


class LiveView:
    """Shows car 0 to whoever looks, no more often than anybody can."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._path = PathView(node)
        self._car: CarView | None = None
        self._car_pacer, self._path_pacer = Pacer(0.0), Pacer(0.0)

    def set_rate(self, settings: WorkSettings) -> None:
        """Take over the publishing rate."""
        self._car_pacer.rate_hz = settings.publish_rate
        self._path_pacer.rate_hz = min(settings.publish_rate, PATH_RATE_HZ)

    def watch(self, simulator: Simulator) -> None:
        """Show the first car of a simulator too, if it is one in this process; others show their cars themselves."""
        if isinstance(simulator, EmbeddedSimulator):
            self._car = CarView(self._node, simulator)

    def show(self, state: CarStates, *, ended: bool) -> None:
        """Take note of a control period.

        Args:
            state: Of all cars; the first one is shown.
            ended: Whether its episode is over, and its path with it.
        """
        self._path.extend(state)
        if self._path_pacer.is_due():
            self._path.publish()
        if self._car and self._car_pacer.is_due():
            self._car.publish(state)
        if ended:
            self._path.clear()


class Pacer:
    """Thins out what happens much more often than anybody looks."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        """At most so often; 0 for never."""
        self._next_s = 0.0

    def is_due(self) -> bool:
        """Return whether it is time again."""
        now = time.monotonic()
        if not self.rate_hz or now < self._next_s:
            return False
        self._next_s = now + 1.0 / self.rate_hz
        return True


class PathView:
    """Publishes where car 0 has been in this episode."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(Path, f"{car_namespace(0)}/path", LATCHED_QOS)
        self._path = Path()
        self._path.header.frame_id = MAP_FRAME
        self._last = (math.inf, math.inf)

    def extend(self, state: CarStates) -> None:
        """Add car 0's pose."""
        x, y = float(state.x[0]), float(state.y[0])
        if math.dist((x, y), self._last) < POSE_DISTANCE_M:
            return
        pose = PoseStamped(header=self._path.header)
        pose.pose.position.x, pose.pose.position.y = x, y
        pose.pose.orientation = planar_quaternion(float(state.yaw[0]))
        self._path.poses.append(pose)
        self._last = (x, y)

    def clear(self) -> None:
        """Begin a new path."""
        self._path.poses.clear()
        self._last = (math.inf, math.inf)

    def publish(self) -> None:
        """Publish the path so far."""
        self._path.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._path)


class CarView:
    """Publishes car 0 of an embedded simulator under the names of the simulator node, stamped with the node's clock."""

    def __init__(self, node: Node, simulator: EmbeddedSimulator) -> None:
        """Advertise, and publish the track.

        Args:
            node: The node.
            simulator: Its first car is shown.
        """
        self._node, self._simulator = node, simulator
        self._car = CarTopics(node, 0, simulator.vehicle, None)
        self._transforms = transforms(node, [self._car], simulator)
        self._car_markers = node.create_publisher(MarkerArray, "car_markers", LATCHED_QOS)
        self._track_markers = node.create_publisher(MarkerArray, "track_markers", LATCHED_QOS)
        self._track_markers.publish(track_markers(simulator.track, MAP_FRAME))

    def publish(self, state: CarStates) -> None:
        """Publish the car as it is now."""
        stamp = self._node.get_clock().now().nanoseconds
        period_s = self._simulator.period_ns * 1e-9
        odometry = self._car.publish(stamp, self._simulator.frame_rgb(0), state, 0, period_s)
        self._car_markers.publish(car_markers([odometry], self._simulator.vehicle.geometry))
        if self._transforms:
            self._transforms.publish([odometry])


def transforms(node: Node, cars: list[CarTopics], simulator: EmbeddedSimulator) -> TransformTopics | None:
    """Advertise the transforms of some cars, where there is a message for them."""
    try:
        return TransformTopics(node, cars, simulator.vehicle)
    except ImportError:
        node.get_logger().warning("There is no package tf2_msgs, so no transforms are published")
        return None
