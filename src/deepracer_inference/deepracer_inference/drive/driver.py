"""The driver of one car: safety core, calibration, PWM board and guard, used by one thread at a time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from deepracer_inference.calibration import Calibration
from deepracer_inference.drive.guard import GUARD_TIMEOUT_S, Guard
from deepracer_inference.drive.pwm import SYSFS, PwmBoard
from deepracer_inference.drive.safety import NEUTRAL, Limits, Motion, SafetyCore
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.vehicle import Vehicle


class Driver:
    """Turns commands into pulses; neutral from the moment it exists until it is closed, and after."""

    def __init__(self, vehicle: Vehicle, calibration: Calibration, limits: Limits, sysfs: Path = SYSFS) -> None:
        """Open the board and start the guard.

        Raises:
            UserError: There is no such board, or this user may not write to it.
            DeepRacerError: The board does not answer.
        """
        self._vehicle, self._calibration, self._sysfs = vehicle, calibration, sysfs
        self.core = SafetyCore(limits)
        self.motion = NEUTRAL
        """What servo and motor were told last."""
        self.broken = False
        self._open()

    def step(self, now: float) -> None:
        """Write what is due now, and give the guard a sign of life; a failing board stops the car.

        Args:
            now: Monotonic time, s.
        """
        motion = self.core.motion(now)
        if self.broken:
            # What still hears gets neutral: a board may come back.
            with suppress(DeepRacerError):
                self._board.write_neutral()
            return
        try:
            # Neutral is the calibrated rest, which need not be what interpolation says about a speed of 0.
            pulses = self._board.neutral if motion == NEUTRAL else self._calibration.pulses(*motion_tuple(motion))
            self._board.write(*pulses)
            self._guard.beat()
            self.motion = motion
        except DeepRacerError as error:
            self.broken, self.motion = True, NEUTRAL
            self.core.stop(str(error))
            with suppress(DeepRacerError):
                self._board.write_neutral()

    def enable(self) -> None:
        """Switch the emergency stop off; what was broken is opened again first.

        Raises:
            DeepRacerError: It is still broken.
        """
        if self.broken:
            self._shut()
            self._open()
        self.core.enable()

    def close(self) -> None:
        """Write neutral, and let board and guard go."""
        self.core.deactivate()
        self.motion = NEUTRAL
        self._shut()

    def _open(self) -> None:
        board = PwmBoard(self._vehicle.pwm, self._calibration.neutral, self._sysfs)
        try:
            self._guard = Guard(board, GUARD_TIMEOUT_S)
        except BaseException:
            board.close()
            raise
        self._board, self.broken = board, False

    def _shut(self) -> None:
        with suppress(DeepRacerError):
            self._board.write_neutral()
        # The board last: whoever takes it then is not to meet our guard.
        self._guard.close()
        self._board.close()


def motion_tuple(motion: Motion) -> tuple[float, float]:
    """Return steering angle (rad) and speed (m/s)."""
    return motion.steering_angle, motion.speed
