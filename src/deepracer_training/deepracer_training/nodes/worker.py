"""Long work in a thread beside a node that stays answerable."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

T = TypeVar("T")
NAME = "worker"
LOOK_S = 0.1
"""The end of the work and Ctrl-C are noticed within this time."""
GRACE_S = 1.0
"""Cancelled work that has nothing to save and does not end within this time is left behind."""


class Worker(Generic[T]):
    """Runs one function in a thread of its own while the calling thread serves the node."""

    def __init__(self, work: Callable[[], T], cancel: Callable[[], None], has_results: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            work: The function.
            cancel: Makes it return or raise soon; called once, from the serving thread.
            has_results: Whether there is something that the work has to save before it ends.
        """
        self._work, self._cancel, self._has_results = work, cancel, has_results
        self._result: T
        self._error: BaseException | None = None
        # A daemon, so that a process whose work hangs in foreign code can still end.
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def serve(self, node: Node, stop: threading.Event) -> T:
        """Work, and answer the node's services until that has ended.

        Args:
            node: Spun here.
            stop: Cancels the work when set.

        Returns:
            What the work returned; what it raised is raised here.

        Raises:
            KeyboardInterrupt: The work was cancelled and left behind, in a compiler for example.
        """
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        self._thread.start()
        cancelled_at: float | None = None
        try:
            while self._thread.is_alive():
                executor.spin_once(timeout_sec=LOOK_S)
                if cancelled_at is None and stop.is_set():
                    cancelled_at = time.monotonic()
                    self._cancel()
                if cancelled_at is not None and time.monotonic() > cancelled_at + GRACE_S and not self._has_results():
                    raise KeyboardInterrupt
        finally:
            executor.remove_node(node)
            executor.shutdown(timeout_sec=1.0)
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # handed to the thread that serves
            self._error = error


def leave(code: int) -> NoReturn:
    """End this process; work that was left behind in foreign code can neither hold that up nor crash in it."""
    if any(thread.name == NAME for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
