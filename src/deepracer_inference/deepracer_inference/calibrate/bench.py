"""The car on the bench: pulses for the wizard and the calibration node, neutral whatever happens to them."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from deepracer_inference.drive.guard import GUARD_TIMEOUT_S, Guard
from deepracer_inference.drive.pwm import SYSFS, PwmBoard
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.vehicle import Vehicle

_BEAT_S = 0.02
LONGEST_RUN_S = 8.0


class Bench(Protocol):
    """What the wizard asks of a car."""

    def steer(self, steering_ns: int) -> None:
        """Hold a steering pulse, with the motor at rest."""
        ...

    def run(self, steering_ns: int, throttle_ns: int, seconds: float) -> None:
        """Give throttle for a time, then let go."""
        ...


class BoardBench:
    """A real board. The motor never runs longer than one call of `run`; a guard watches over this process."""

    def __init__(self, vehicle: Vehicle, neutral: tuple[int, int], sysfs: Path = SYSFS) -> None:
        """Open the board; arguments as those of `PwmBoard`.

        Raises:
            DeepRacerError: There is no board, or it may not be used.
        """
        self._board = PwmBoard(vehicle.pwm, neutral, sysfs)
        self._rest_ns = neutral[1]
        self.stop = threading.Event()
        """Set when the program is to end: lets go of the throttle."""
        try:
            self._guard = Guard(self._board, GUARD_TIMEOUT_S)
        except BaseException:
            self._board.close()
            raise
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._held: tuple[int, int] | None = None
        """Pulses that stay until the next call; None while the motor runs."""
        # A thread, because the wizard waits for its user most of the time. It dies with the process: that is the point.
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def rest_at(self, throttle_ns: int) -> None:
        """Change the pulse at which the motor rests."""
        self._rest_ns = throttle_ns

    def steer(self, steering_ns: int) -> None:
        """Hold a steering pulse, with the motor at rest."""
        with self._lock:
            held = steering_ns, self._rest_ns
            self._board.write(*held)
            self._held = held

    def run(self, steering_ns: int, throttle_ns: int, seconds: float) -> None:
        """Give throttle for a time, then let go.

        Raises:
            UserError: The computer was too busy in between, so that the guard may have let go before.
            DeepRacerError: The board does not answer, or nobody guards it.
        """
        self._guard.beat()
        end = time.monotonic() + min(seconds, LONGEST_RUN_S)
        try:
            with self._lock:
                self._held = None
                self._board.write(steering_ns, throttle_ns)
            last = time.monotonic()
            # In pieces, because a signal handler, which only sets an event, does not cut a sleep short.
            while (left := end - last) > 0.0 and not self.stop.is_set():
                time.sleep(min(left, _BEAT_S))
                self._guard.beat()
                now = time.monotonic()
                if now - last > GUARD_TIMEOUT_S:
                    raise UserError(
                        f"this computer stood still for {1e3 * (now - last):.0f} ms, so that the motor may have been "
                        "stopped meanwhile; end what keeps it busy, and run again"
                    )
                last = now
        finally:
            self.steer(steering_ns)

    def close(self) -> None:
        """Neutral, and let go of the board."""
        self._end.set()
        self._beats.join()
        with suppress(DeepRacerError):
            self._board.write_neutral()
        # The board last: whoever takes it then is not to meet our guard.
        self._guard.close()
        self._board.close()

    def _beat(self) -> None:
        while not self._end.wait(_BEAT_S):
            # A dead guard or board is told to whoever uses it next.
            with suppress(DeepRacerError), self._lock:
                self._guard.beat()
                if self._held:
                    # After a pause, as with Ctrl-Z, the guard has straightened the wheels.
                    self._board.write(*self._held)

    def __enter__(self) -> BoardBench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
