"""Everything that a simulator publishes: the cars' topics, the clock, transforms and markers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from visualization_msgs.msg import MarkerArray

from deepracer_inference.nodes.messages import to_time
from deepracer_inference.observation import ObservationSpec
from deepracer_sim.nodes.car_topics import MAP_FRAME, CarTopics, TransformTopics
from deepracer_sim.nodes.markers import car_markers, track_markers
from deepracer_sim.simulator import ColorSimulator

LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""RViz sees the markers also when it is started later."""
CLOCK_QOS = QoSProfile(depth=1)
MARKER_INTERVAL_S = 0.05
"""RViz needs no more, and lock-step can be a hundred times faster than real time."""


class WorldTopics:
    """Publishes the moments of a simulator."""

    def __init__(
        self,
        node: Node,
        simulator: ColorSimulator,
        *,
        observation: ObservationSpec | None,
        color: bool,
        transforms: bool,
        markers: bool,
    ) -> None:
        """Advertise, and publish what never changes.

        Args:
            node: Owner of the publishers.
            simulator: Where everything is read from.
            observation: The one that the simulator renders.
            color: Whether the images are rgb8.
            transforms: Whether to publish /tf and /tf_static.
            markers: Whether to publish `track_markers` and `car_markers`.
        """
        self._node, self._simulator, self._color = node, simulator, color
        vehicle = simulator.vehicle
        self._cars = [CarTopics(node, car, vehicle, observation) for car in range(simulator.cars)]
        self._clock = node.create_publisher(Clock, "/clock", CLOCK_QOS)
        self._transforms = self._advertise_transforms() if transforms else None
        self._car_markers = node.create_publisher(MarkerArray, "car_markers", LATCHED_QOS) if markers else None
        self._track_markers = node.create_publisher(MarkerArray, "track_markers", LATCHED_QOS) if markers else None
        if self._track_markers:
            self._track_markers.publish(track_markers(simulator.track, MAP_FRAME))
        self._moments = [Odometry()] * simulator.cars
        self._next_markers_s = 0.0

    def publish(self, stamps: Sequence[int], cars: Iterable[int], time_ns: int, period_s: float) -> None:
        """Publish a moment.

        Args:
            stamps: Of all cars, ns.
            cars: Those that have moved.
            time_ns: Simulated time.
            period_s: Time since the moment before, s.
        """
        self._clock.publish(Clock(clock=to_time(time_ns)))
        states, images = self._simulator.state(), self._simulator.images()
        for car in cars:
            frame = self._simulator.frame_rgb(car) if self._color else images[car]
            self._moments[car] = self._cars[car].publish(stamps[car], frame, states, car, period_s)
        if self._transforms:
            self._transforms.publish([self._moments[car] for car in cars])
        now = time.monotonic()
        if self._car_markers and now >= self._next_markers_s:
            self._next_markers_s = now + MARKER_INTERVAL_S
            self._car_markers.publish(car_markers(self._moments, self._simulator.vehicle.geometry))

    def _advertise_transforms(self) -> TransformTopics | None:
        try:
            return TransformTopics(self._node, self._cars, self._simulator.vehicle)
        except ModuleNotFoundError:
            self._node.get_logger().warning("There is no tf2_msgs here, so /tf is not published.")
            return None
