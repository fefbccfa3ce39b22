"""The remote control of a running training: pause, save, stop, and what Ctrl-C means."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


class Control:
    """A training's remote control for other threads; everything but `cancel` takes effect between two updates."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._save = threading.Event()
        self._cancelled = threading.Event()

    def stop(self) -> None:
        """End the training with a checkpoint and the policy, as when the budget is spent."""
        self._stopped.set()
        self._going.set()

    def cancel(self) -> None:
        """End at once, with a checkpoint and the policy, but without the update or trial under way."""
        self._cancelled.set()
        self.stop()

    def check(self) -> None:
        """Raise `Cancelled` after `cancel`; long work calls this now and then."""
        if self._cancelled.is_set():
            raise Cancelled

    def pause(self) -> None:
        """Rest until `resume`; paused time does not count against the budget."""
        self._going.clear()

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    def save(self) -> None:
        """Drive a trial and write a checkpoint after the current update."""
        self._save.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    @property
    def paused(self) -> bool:
        """Whether training rests, or will after the current update."""
        return not self._going.is_set()

    def take_save_request(self) -> bool:
        """Return whether `save` was called since the last time."""
        requested = self._save.is_set()
        self._save.clear()
        return requested

    def wait_while_paused(self) -> float:
        """Return after `resume` or `stop`: the seconds it took."""
        begin = time.perf_counter()
        # A wait with a time-out, because Ctrl-C is only noticed between waits.
        while not self._going.wait(0.2):
            pass
        return time.perf_counter() - begin


class Cancelled(Exception):  # noqa: N818  (nothing went wrong)
    """`Control.cancel` was called: unwinds the work under way."""


@contextmanager
def stop_on_signal(control: Control) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `control.stop`, the second one into `control.cancel`; a third one is not caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore_handlers() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        if control.stopped:
            restore_handlers()
            control.cancel()
        else:
            logger.warning("Stopping after this update; once more to drop the update and stop at once.")
            control.stop()

    for number in previous:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore_handlers()
