"""One process at a time drives a servo board; the next one is told who does.

A record lock of POSIX belongs to the process that took it. The guard, which inherits open files, does not get it, it
ends with its process however that ends, and the kernel tells the number of the holder. `flock` does none of these.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from deepracer_inference.errors import UserError

_FLOCK = "hhqqi4x"
"""`struct flock` of 64-bit Linux: type, whence, start, length, process."""


class Claim:
    """The right to drive a board, until `release` or the end of the process."""

    def __init__(self, chip: Path) -> None:
        """Take it.

        Args:
            chip: Folder of the PWM chip. Its file `export` is locked, so nobody in this process may close that file
                again afterwards: this would give the lock back.

        Raises:
            UserError: Another process has it.
            OSError: The chip may not be written.
        """
        self._file = os.open(chip / "export", os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._holder()
            self.release()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise UserError(f"The servo board {chip} is driven by {holder} already; end that first") from error

    def release(self) -> None:
        """Let others have the board."""
        os.close(self._file)

    def _holder(self) -> str:
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(self._file, fcntl.F_GETLK, request))
        if kind == fcntl.F_UNLCK or process <= 0:
            # It has just ended, or lives in another container.
            return "another process"
        return f"{_program(process)} (process {process})"


def _program(process: int) -> str:
    """Return the name that a person would give to a process: of a Python program, that of its script or module."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return "another program"
    if Path(words[0]).name.startswith("python") and "-c" not in words:
        words = [word for word in words[1:] if word and not word.startswith("-")] or words
    return Path(words[0]).name.removeprefix("deepracer_inference.nodes.") or "another program"
