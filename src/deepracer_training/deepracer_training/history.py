"""The history of a model's training: each call of `train`, and what had been changed since the one before."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.files import read_text, write_atomic
from deepracer_training.models.changes import Change, config_changes
from deepracer_training.models.config import ModelConfig

if TYPE_CHECKING:  # torch takes seconds, and `show` reads this file only
    from deepracer_training.checkpoint import Counters, TrainingState

Ending = Literal["finished", "stopped", "failed"]


class Session(StrictModel):
    """One call of `train`."""

    started: str
    """UTC, ISO 8601."""
    resumed: bool
    """Whether it went on from a checkpoint."""
    seed: int
    begin_update: int
    begin_steps: int
    begin_laps: int
    begin_wall_s: float
    """The counters before it, and after it or at its last checkpoint."""
    update: int
    steps: int
    laps: int
    wall_s: float
    ended: Ending | None
    """`finished`: the budget was spent; None: it is running, or was killed."""
    changes: tuple[Change, ...]
    """Of settings, against the checkpoint that it went on from."""
    reward_changed: bool
    """Whether the reward function is another one than in the training that it went on from."""
    reward_function: str | None
    """Its source; None if it is that of the session before."""

    def change_lines(self) -> list[str]:
        """Return what was changed, a line each."""
        return [*map(str, self.changes), *(["reward function"] if self.reward_changed else [])]


class History(StrictModel):
    """All sessions of a training, saved as `training/history.json`."""

    format: Literal[1] = 1
    sessions: tuple[Session, ...] = ()

    @classmethod
    def read(cls, path: Path) -> History:
        """Read the file; a model from before there was one has no sessions.

        Raises:
            UserError: The file is damaged.
        """
        return parse(parse_json(read_text(path), str(path)), cls, str(path)) if path.is_file() else cls()

    def reward_before(self) -> str | None:
        """Return the source that the last session trained with, if it is known."""
        return next((one.reward_function for one in reversed(self.sessions) if one.reward_function is not None), None)


class SessionRecord:
    """Writes the session that is under way into the history, again with each checkpoint."""

    def __init__(
        self,
        path: Path,
        *,
        before: TrainingState | None,
        config: ModelConfig,
        seed: int,
        reward_source: str,
        reward_sha256: str,
    ) -> None:
        """Compare with the training to go on from; nothing is written yet.

        Args:
            path: The history's file.
            before: State of that training's last checkpoint; None for a new training.
            config: Of this session.
            seed: Of this session.
            reward_source: Text of the reward function.
            reward_sha256: Its hash.

        Raises:
            UserError: The history is damaged.
        """
        self._path = path
        self._earlier = History.read(path) if before is not None else History()
        known = self._earlier.reward_before()
        start = before.counters if before is not None else None
        update, steps, laps = (start.update, start.steps, start.laps) if start is not None else (0, 0, 0)
        wall_s = start.wall_s if start is not None else 0.0
        self._session = Session(
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            resumed=before is not None,
            seed=seed,
            begin_update=update,
            begin_steps=steps,
            begin_laps=laps,
            begin_wall_s=wall_s,
            update=update,
            steps=steps,
            laps=laps,
            wall_s=wall_s,
            ended=None,
            changes=tuple(config_changes(before.config, config)) if before is not None else (),
            reward_changed=before is not None and before.task.reward_function_sha256 != reward_sha256,
            reward_function=None if known == reward_source else reward_source,
        )

    @property
    def session(self) -> Session:
        """What has been recorded so far."""
        return self._session

    def write(self, counters: Counters, ended: Ending | None = None) -> None:
        """Write the history with the session as it stands.

        Raises:
            DeepRacerError: The file cannot be written.
        """
        self._session = self._session.model_copy(
            update={
                "update": counters.update,
                "steps": counters.steps,
                "laps": counters.laps,
                "wall_s": counters.wall_s,
                "ended": ended,
            }
        )
        history = History(sessions=(*self._earlier.sessions, self._session))
        write_atomic(self._path, history.model_dump_json(indent=1) + "\n")
