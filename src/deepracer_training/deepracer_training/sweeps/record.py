"""What a sweep remembers: one JSON file that is replaced in one step after everything that happens."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import home, read_text, write_atomic

RECORD = "sweep.json"
COMPARISON = "comparison.html"
TOP_SPEED = 4.0
"""m/s, AWS's limit: nothing is faster than a lap at this speed."""

State = Literal["running", "complete", "pruned", "failed"]


class TrialRecord(StrictModel):
    """One variant."""

    number: int
    model: str
    """Name of its model."""
    values: dict[str, bool | int | float | str]
    """What was chosen, by key."""
    state: State = "running"
    score: float | None = None
    """See `score`; of the evaluation, or of the last trial laps if it was stopped early."""
    curve: dict[int, float] = Field(default_factory=dict)
    """Score of the trial laps while training, by tenths of the budget."""
    steps: int = 0
    laps: int = 0
    laps_completed: int = 0
    lap_time_mean_s: float | None = None
    off_track_count: int = 0
    reason: str = ""
    """Why it failed."""


class SweepSettings(StrictModel):
    """What must not change between two calls for the same sweep."""

    model: str
    space: dict[str, JsonValue]
    minutes: float | None
    steps: int | None
    laps: int
    start: str
    seed: int
    prune: bool


class Sweep(StrictModel):
    """A sweep so far; saved as `sweep.json`."""

    format: Literal[1] = 1
    settings: SweepSettings
    trials: tuple[TrialRecord, ...] = ()

    def ranking(self) -> list[TrialRecord]:
        """Return the trials with a score, the best first; those that were stopped early behind all others."""
        scored = [trial for trial in self.trials if trial.score is not None and trial.state in ("complete", "pruned")]
        return sorted(scored, key=lambda trial: (trial.state != "complete", -(trial.score or 0.0)))

    def updated(self, trial: TrialRecord) -> Sweep:
        """Return the sweep with one trial replaced or added."""
        others = {one.number: one for one in self.trials} | {trial.number: trial}
        return self.model_copy(update={"trials": tuple(others[number] for number in sorted(others))})

    def write(self, folder: Path) -> None:
        """Write the file."""
        write_atomic(folder / RECORD, self.model_dump_json(indent=1) + "\n")


def sweep_folder(name: str) -> Path:
    """Return `$DEEPRACER_HOME/sweeps/<name>/`."""
    return home() / "sweeps" / name


def read_sweep(folder: Path) -> Sweep | None:
    """Return the sweep in a folder; None if there is none.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / RECORD
    return parse(parse_json(read_text(path), str(path)), Sweep, str(path)) if path.is_file() else None


def score(laps: int, completed: int, progress: float, lap_time_s: float | None, track_length: float) -> float:
    """Return how good laps were, whatever the reward function says: 0 to 3.

    The share of complete laps, plus the mean progress as a share, plus the speed of complete laps as a share of 4 m/s,
    weighed with the share of complete laps.

    Args:
        laps: Driven.
        completed: Of them.
        progress: Mean of all laps, percent.
        lap_time_s: Mean of the complete ones.
        track_length: m.
    """
    share = completed / laps
    speed = track_length / lap_time_s / TOP_SPEED if lap_time_s else 0.0
    return share + progress / 100.0 + share * min(speed, 1.0)


def check_settings(stored: SweepSettings, given: SweepSettings, name: str) -> None:
    """Refuse to go on with a sweep under other settings.

    Raises:
        UserError: Something differs.
    """
    before, now = stored.model_dump(mode="json"), given.model_dump(mode="json")
    for key, value in before.items():
        if now[key] != value:
            raise UserError(
                f"sweep {name!r} was begun with {key} {value}, not {now[key]}; give the same, or another --name"
            )
