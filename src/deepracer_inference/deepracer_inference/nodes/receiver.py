"""Takes messages from subscriptions as soon as they are there, without an executor.

An executor builds its wait set anew in Python, over every entity of the node, each time it wakes up, and lock-step
wakes up several times in a period. Here only what is waited for is in the wait set. The means are those of rclpy's own
`rclpy.wait_for_message`, which is the same in Jazzy and Kilted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription


class NotForExecutors(CallbackGroup):
    """Holds entities back from the executor that spins their node."""

    def can_execute(self, entity: Any) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing to do."""


class Receiver:
    """Subscriptions of one node that are waited for together; used by one thread."""

    def __init__(self, node: Node, topics: Sequence[tuple[type, str]], qos: QoSProfile | Sequence[QoSProfile]) -> None:
        """Subscribe.

        Args:
            node: May be spun by an executor, which leaves these subscriptions alone.
            topics: Type and name of each topic.
            qos: For all of them, or of each.
        """
        self._node = node
        group = NotForExecutors()
        profiles = [qos] * len(topics) if isinstance(qos, QoSProfile) else qos
        self.subscriptions: list[Subscription] = [
            node.create_subscription(kind, name, _unused, profile, callback_group=group)
            for (kind, name), profile in zip(topics, profiles, strict=True)
        ]
        context = node.context.handle
        if context is None:
            raise RuntimeError("the node's context is not initialised")
        with context:
            self._wait_set = rclpy_implementation.WaitSet(len(topics), 0, 0, 0, 0, 0, context)

    def wait(self, timeout_s: float, among: Iterable[int] | None = None) -> list[tuple[int, Any]]:
        """Wait until something is there; return it all.

        Args:
            timeout_s: At most so long; Python handles signals only after that.
            among: Indices of the topics to wait for, all by default.

        Returns:
            Index of the topic and message, per topic in the order of sending.
        """
        indices = range(len(self.subscriptions)) if among is None else among
        waiting = {self.subscriptions[index].handle.pointer: index for index in indices}
        self._wait_set.clear_entities()
        for index in waiting.values():
            self._wait_set.add_subscription(self.subscriptions[index].handle)
        self._wait_set.wait(max(0, round(timeout_s * 1e9)))
        ready = self._wait_set.get_ready_entities("subscription")
        return [(waiting[pointer], message) for pointer in ready for message in self._take(waiting[pointer])]

    def take_all(self, index: int) -> list[Any]:
        """Return what has come on one topic, without waiting."""
        return list(self._take(index))

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self.subscriptions:
            self._node.destroy_subscription(subscription)

    def _take(self, index: int) -> Iterable[Any]:
        subscription = self.subscriptions[index]
        while (taken := subscription.handle.take_message(subscription.msg_type, False)) is not None:
            yield taken[0]


def _unused(message: Any) -> None:
    """Never called: `Receiver.wait` takes the messages."""
