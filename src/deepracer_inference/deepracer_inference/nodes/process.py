"""What every node's `main` does: start, run until Ctrl-C, end quietly; one clear line instead of a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from deepracer_inference.errors import DeepRacerError, UserError

FASTDDS_PROFILES = Path(__file__).with_name("fastdds.xml")
FASTDDS_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS looks for the user's profiles: from version 3 on (Kilted), and before (Jazzy)."""


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
    stop, node = threading.Event(), None
    # Not an exception: foreign code swallows one, or prints it, and a second Ctrl-C would come while the first is
    # handled.
    _on_signals(lambda: _leave(0))
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
        _leave(0)  # `run` has left something behind.
    except DeepRacerError as error:
        get_logger(name).fatal(" ".join(str(error).split()))
        if node is None:
            sys.stdout.flush()
            _leave(error.exit_code)
        return error.exit_code
    finally:
        # The interpreter gives up handlers before it ends; a second Ctrl-C would then be the exit code.
        _on_signals(None)
        rclpy.try_shutdown()
    return 0


def _leave(exit_code: int) -> NoReturn:
    """End at once: a node that is half built can have threads that would crash the process at the interpreter's end."""
    os._exit(exit_code)


def _on_signals(act: Callable[[], object] | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, (lambda *_: act()) if act else signal.SIG_IGN)


def announcements() -> dict[str, str]:
    """Return the environment that lets Fast DDS tell of a process every half second; empty if the user has profiles.

    Another DDS does not look at it.
    """
    if any(name in os.environ for name in FASTDDS_VARIABLES):
        return {}
    # Kilted warns of the older name, Jazzy does not know the newer one.
    return {FASTDDS_VARIABLES[os.environ.get("ROS_DISTRO") == "jazzy"]: str(FASTDDS_PROFILES)}


def _start_ros() -> None:
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    os.environ.update(announcements())
    try:
        # rclpy's own handlers would invalidate the context under a loop that still has to publish or to save.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # The text ends with places in rcl's source code.
        raise UserError(f"ROS does not accept the arguments: {str(error).split(', at /')[0]}") from error
