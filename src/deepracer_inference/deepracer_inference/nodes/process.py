"""What every node's `main` does: start, run until Ctrl-C, end quietly; one clear line instead of a traceback."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol

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

    SIGINT and SIGTERM end the process at once until `make` has returned, and ask `run` to return after that; both
    are a normal end, exit code 0. A `DeepRacerError` is one line in the log; its exit code is 2 if the user is to mend
    something.

    Args:
        name: For messages that come before there is a node.
        make: Builds the node; called after `rclpy.init`.
    """
    stop = threading.Event()
    # Not an exception: foreign code swallows one, or prints it, and a second Ctrl-C would come while the first is
    # handled. What is half built can have threads that would abort the process at the interpreter's end.
    _on_signals(lambda: os._exit(0))
    # Loading takes a while too.
    import rclpy
    from rclpy.logging import get_logger

    try:
        _start_ros()
        node = make()
        _on_signals(stop.set)
        try:
            node.run(stop)
        finally:
            node.close()
    except KeyboardInterrupt:
        os._exit(0)  # `run` has left something behind.
    except DeepRacerError as error:
        get_logger(name).fatal(" ".join(str(error).split()))
        return error.exit_code
    finally:
        # The interpreter gives up handlers before it ends; a second Ctrl-C would then be the exit code.
        _on_signals(None)
        rclpy.try_shutdown()
    return 0


def _on_signals(act: Callable[[], object] | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, (lambda *_: act()) if act else signal.SIG_IGN)


def _start_ros() -> None:
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    try:
        # rclpy's own handlers would invalidate the context under a loop that still has to publish or to save.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # The text ends with places in rcl's source code.
        raise UserError(f"ROS does not accept the arguments: {str(error).split(', at /')[0]}") from error
