"""Figures as plain numeric topics for rqt_plot, and the same ones as diagnostics for rqt_robot_monitor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Float64

LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Reliable, and who joins late gets the last value: an update may take seconds."""
DIAGNOSTICS_INTERVAL_S = 1.0


class Telemetry:
    """Publishes what a work in progress has reached; may be fed from any thread."""

    def __init__(self, node: Node, work: str, figures: Mapping[str, str]) -> None:
        """Advertise.

        Args:
            node: Its executor sends the diagnostics once a second.
            work: What is being done, the name of the diagnostic status.
            figures: Topic below the node's name, by the name of the figure.
        """
        self._node = node
        self._figures = figures
        self._publishers = {
            name: node.create_publisher(Float64, f"~/{topic}", LATCHED_QOS) for name, topic in figures.items()
        }
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._lock = threading.Lock()
        self._status = DiagnosticStatus(name=f"{node.get_name()}: {work}", hardware_id=work, message="getting ready")
        self._values: dict[str, str] = {}
        node.create_timer(DIAGNOSTICS_INTERVAL_S, self._diagnose)

    def publish(self, values: Mapping[str, float | int | None]) -> None:
        """Publish those of the figures that have a value; the others keep what they had."""
        with self._lock:
            for name, publisher in self._publishers.items():
                if (value := values.get(name)) is not None:
                    publisher.publish(Float64(data=float(value)))
                    self._values[self._figures[name]] = f"{value:.6g}"

    def set(self, message: str, level: bytes = DiagnosticStatus.OK) -> None:
        """Set what the diagnostics will say."""
        with self._lock:
            self._status.message, self._status.level = message, level

    def say(self, message: str, level: bytes = DiagnosticStatus.OK) -> None:
        """Let the diagnostics say something now."""
        self.set(message, level)
        self._diagnose()

    def _diagnose(self) -> None:
        with self._lock:
            self._status.values = [KeyValue(key=key, value=value) for key, value in self._values.items()]
            array = DiagnosticArray(status=[self._status])
            array.header.stamp = self._node.get_clock().now().to_msg()
            self._diagnostics.publish(array)


class LogForwarder(logging.Handler):
    """Hands the log of our packages on to a node's, as long as it is open (a context manager)."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.INFO)
        self._logger = node.get_logger()
        self._sources = [logging.getLogger(package) for package in ("deepracer_sim", "deepracer_training")]

    def __enter__(self) -> LogForwarder:
        for source in self._sources:
            source.addHandler(self)
            source.setLevel(logging.INFO)
        return self

    def __exit__(self, *error: object) -> None:
        for source in self._sources:
            source.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        if record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())
