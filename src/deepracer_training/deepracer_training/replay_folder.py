"""The replay buffer of SAC on disk, so that a training that goes on later has forgotten nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import read_bytes, sha256_of, write_atomic
from deepracer_training.sac import ReplayBuffer

logger = logging.getLogger(__name__)

NAME = re.compile(r"(\d{12})-([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True)
class Piece:
    """One file: transitions `begin` to `end` of all that the buffer was ever given."""

    name: str
    begin: int
    end: int


class ReplayFolder:
    """`training/replay/`: the buffer in pieces, none of which is changed once it is written.

    A piece is named after its first transition and its content; a checkpoint names the pieces that belong to it. So
    a save writes only what has been added since the one before, and a process that is killed at any moment leaves the
    last checkpoint with all of its pieces behind.
    """

    def __init__(self, path: Path, replay: ReplayBuffer) -> None:
        self.path, self.replay = path, replay
        self._pieces: list[Piece] = []

    def save(self) -> tuple[str, ...]:
        """Write what has been added since the last time; returns the names of all pieces of the buffer.

        Raises:
            DeepRacerError: The folder cannot be written.
        """
        oldest, end = self.replay.added - len(self.replay), self.replay.added
        begin = max(self._pieces[-1].end if self._pieces else 0, oldest)
        if begin < end:
            content = save(self.replay.newest(end - begin))
            name = f"{begin:012d}-{sha256_of(content)[:16]}.safetensors"
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DeepRacerError(f"Cannot create the folder {self.path}: {error.strerror}") from error
            write_atomic(self.path / name, content)
            self._pieces.append(Piece(name, begin, end))
        self._pieces = [piece for piece in self._pieces if piece.end > oldest]
        return tuple(piece.name for piece in self._pieces)

    def tidy(self) -> None:
        """Delete what no checkpoint needs any more; to be called once one names the pieces of the last `save`."""
        names = {piece.name for piece in self._pieces}
        for file in self.path.glob("*"):
            if file.name not in names:
                file.unlink(missing_ok=True)

    def load(self, names: Sequence[str]) -> None:
        """Fill the empty buffer with the pieces that a checkpoint names.

        Where there are none, the buffer stays empty, and is filled by the policy's own drives before learning goes on.

        Raises:
            UserError: A piece is damaged.
        """
        files = [self.path / name for name in names if NAME.fullmatch(name)]
        if not files or not all(file.is_file() for file in files):
            logger.warning("There is no replay buffer in %s; it is filled anew before learning goes on.", self.path)
            return
        begin = int(files[0].name[:12])
        pieces = []
        for file in files:
            content = read_bytes(file)
            try:
                if sha256_of(content)[:16] not in file.name:
                    raise ValueError("its content has been changed")
                pieces.append(load(content))
            except (SafetensorError, ValueError) as error:
                mend = f"remove the folder {self.path} to go on with a new replay buffer"
                raise UserError(f"{file} is damaged ({error}); {mend}") from error
        counts = [len(next(iter(columns.values()))) for columns in pieces]
        # Transitions go back to the very places that they had, so that equal random numbers draw equal samples; but for
        # a buffer that has become larger, where older ones would be missing.
        self.replay.added = begin if sum(counts) >= min(self.replay.capacity, begin + sum(counts)) else 0
        for file, columns, count in zip(files, pieces, counts, strict=True):
            first = self.replay.added
            self.replay.add(columns)
            self._pieces.append(Piece(file.name, first, first + count))
