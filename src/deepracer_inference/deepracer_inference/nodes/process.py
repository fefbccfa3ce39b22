"""What every node's `main` does: start, run until Ctrl-C, end quietly; one clear line instead of a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from deepracer_inference.errors import DeepRacerError, UserError


class Runnable(Protocol):
    """A node with its own main loop."""

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, looking at it at least every 0.5 s."""
        ...

    def close(self) -> None:
        """Release everything; called also when `run` failed."""
        ...


def run(name: str, make: Callable[[], Runnable]) -> int:
    """Run a node in this process and return the exit code.

    SIGINT and SIGTERM end `make` at once and ask `run` to return; both are a normal end, exit code 0. A
    `DeepRacerError` is one line in the log; its exit code is 2 if the user is to mend something.

    Args:
        name: For messages that come before there is a node.
        make: Builds the node; called after `rclpy.init`.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        _start_ros()
        node = make()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            node.run(stop)
        finally:
            node.close()
    except KeyboardInterrupt:
        # A node that is half built can have threads that would abort the process at the interpreter's end.
        sys.stdout.flush()
        os._exit(0)
    except DeepRacerError as error:
        get_logger(name).fatal(" ".join(str(error).split()))
        return error.exit_code
    finally:
        rclpy.try_shutdown()
    return 0


def _start_ros() -> None:
    try:
        # rclpy's own handlers would invalidate the context under a loop that still has to publish or to save.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # The text ends with places in rcl's source code.
        raise UserError(f"ROS does not accept the arguments: {str(error).split(', at /')[0]}") from error
