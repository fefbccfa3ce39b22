"""How a node of the car is doing, on `/diagnostics` once a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

INTERVAL_S = 1.0


@dataclass(frozen=True)
class Health:
    """What a node says about itself."""

    message: str
    warning: bool = False
    values: Mapping[str, str] = field(default_factory=dict)


class Diagnostics:
    """Asks for the health of a node and publishes it."""

    def __init__(self, node: Node, hardware: str, health: Callable[[], Health]) -> None:
        """Advertise.

        Args:
            node: Its executor does the work.
            hardware: What the node serves.
            health: Called once a second.
        """
        self._node, self._health = node, health
        self._status = DiagnosticStatus(name=f"{node.get_name()}: {hardware}", hardware_id=hardware)
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(INTERVAL_S, self._publish)

    def _publish(self) -> None:
        health, status = self._health(), self._status
        status.message = health.message
        status.level = DiagnosticStatus.WARN if health.warning else DiagnosticStatus.OK
        status.values = [KeyValue(key=key, value=value) for key, value in health.values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
