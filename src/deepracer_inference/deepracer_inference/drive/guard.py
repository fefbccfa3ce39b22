"""Neutral even if the driver is killed: a second process that shares the board and waits for the driver's silence.

A PWM chip keeps its last pulse for ever. A process that is killed with -9, or that the kernel kills for want of memory,
writes nothing more; neither does one that hangs. The guard has the same two files open and a pipe from the driver.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from deepracer_inference.drive.pwm import PwmBoard
from deepracer_inference.errors import DeepRacerError

PROGRAM = Path(__file__).with_name("guard_process.py")
GUARD_TIMEOUT_S = 0.08
"""Shorter than the 100 ms in which the car has to be neutral, and four periods of an owner who beats at 50 Hz."""


class Guard:
    """A running guard of one board."""

    def __init__(self, board: PwmBoard, timeout_s: float) -> None:
        """Start it.

        Args:
            board: What it writes neutral to.
            timeout_s: Silence after which it does.

        Raises:
            DeepRacerError: It cannot be started.
        """
        outputs = [f"{file}={pulse}" for file, pulse in zip(board.files, board.neutral, strict=True)]
        end, self._pipe = os.pipe()
        # A guard that does not read must not hold up the driver.
        os.set_blocking(self._pipe, False)
        try:
            self._process = subprocess.Popen(
                # -I and -S: nothing of the user's environment is loaded.
                [sys.executable, "-I", "-S", str(PROGRAM), str(round(1e3 * timeout_s)), *outputs],
                stdin=end,
                pass_fds=board.files,
                # Away from Ctrl-C and from whoever kills the driver's process group.
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._pipe)
            raise DeepRacerError(f"The guard of the servo board cannot be started: {error.strerror}") from error
        finally:
            os.close(end)

    def beat(self) -> None:
        """Give a sign of life.

        Raises:
            DeepRacerError: The guard is gone.
        """
        try:
            os.write(self._pipe, b".")
        except BlockingIOError:
            return
        except OSError as error:
            raise DeepRacerError("The guard of the servo board has died") from error

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def close(self) -> None:
        """End it; it writes neutral once more."""
        if self._pipe < 0:
            return
        with suppress(OSError):
            os.write(self._pipe, b"q")
        os.close(self._pipe)
        self._pipe = -1
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
