"""What an evaluation found out: the figures of each lap and of all laps, as they are saved and reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepracer_inference.config import StrictModel, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.race_settings import RaceSettings, RaceType

if TYPE_CHECKING:
    from deepracer_training.laps import LapRecord

RESULT, TRACE, METRICS = "evaluation.json", "evaluation-simtrace/0-iteration.csv", "metrics.json"
OBJECTS = "evaluation-simtrace/objects.csv"
VIDEO, REPORT = "video.mp4", "report.html"


class LapResult(StrictModel):
    """One lap from one start."""

    lap: int
    """From 1."""
    status: EpisodeStatus
    """How it ended."""
    start_m: float
    """Arc length of the start on the centre line."""
    lap_time_s: float | None
    """From standstill at the start to the finish line, penalties included; None unless the lap is complete."""
    driven_s: float
    """Simulated time of the whole drive."""
    progress: float
    """Percent."""
    mean_speed: float
    """Measured, m/s."""
    reward: float
    steps: int
    off_track_count: int
    crash_count: int
    immobilized_count: int
    reversed_count: int
    reset_count: int


class EvaluationResult(StrictModel):
    """All figures of an evaluation, with everything needed to repeat it; saved as `evaluation.json`."""

    id: str
    created: str
    """UTC, ISO 8601."""
    model: str
    track: str
    track_length_m: float
    vehicle: str
    race_type: RaceType = "time_trial"
    race: RaceSettings | None = None
    """What was on the road; None in a time trial."""
    seed: int | None
    """Of the starts; None for laps that were imported from AWS's simulator, which has no seeds."""
    world_seed: int | None
    """Of the textures; the same as in training."""
    laps: int
    laps_completed: int
    off_track_count: int
    crash_count: int
    immobilized_count: int
    reversed_count: int
    reset_count: int
    lap_time_mean_s: float | None
    """This and the next four are over complete laps."""
    lap_time_std_s: float | None
    lap_time_best_s: float | None
    lap_time_worst_s: float | None
    consistency: float | None
    """Spread of the lap times: standard deviation as a share of the mean; 0 is perfect."""
    mean_speed: float
    """Measured over all laps, standing starts included, m/s."""
    mean_speed_share: float
    """Mean speed as a share of `top_speed`."""
    top_speed: float
    """Of the action space, m/s."""
    reward_mean: float
    """Per lap."""
    reward_error: str | None
    """Why the reward function failed, if it did; its rewards are 0 from then on. Driving does not depend on it."""
    lap_results: tuple[LapResult, ...]
    trace_sha256: str
    hashes: dict[str, str]
    """SHA-256 of what was evaluated."""
    versions: dict[str, str]
    provenance: dict[str, str | int | float]
    """Of the policy, from its manifest."""
    trace: str
    """Absolute paths; in the file they are relative to its folder, so that it can be moved."""
    metrics: str
    report: str
    video: str | None

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return self.model_dump(mode="json")

    @classmethod
    def read(cls, folder: Path) -> EvaluationResult:
        """Read the result in the folder of an evaluation.

        Raises:
            UserError: There is none, or it is broken.
        """
        data = parse_json(read_text(folder / RESULT), str(folder / RESULT))
        try:
            return cls.model_validate(data).anchored(folder)
        except ValueError as error:
            raise UserError(f"{folder / RESULT} is not the result of an evaluation; remove {folder}") from error

    def anchored(self, folder: Path) -> EvaluationResult:
        """Return the result with absolute paths, given the folder it is in."""
        paths = {name: getattr(self, name) for name in ("trace", "metrics", "report", "video")}
        return self.model_copy(update={name: path and str(folder.absolute() / path) for name, path in paths.items()})


def summarize(records: Sequence[LapRecord], top_speed: float) -> dict[str, Any]:
    """Return the fields of `EvaluationResult` that follow from its laps.

    Args:
        records: All laps.
        top_speed: Of the action space, m/s.
    """
    times = [record.lap_time_s for record in records if record.lap_time_s is not None]
    mean = float(np.mean(times)) if times else None
    spread = float(np.std(times)) if times else None
    mean_speed = float(np.mean(np.concatenate([record.speeds for record in records])))
    return {
        "laps": len(records),
        "laps_completed": len(times),
        "off_track_count": sum(record.off_track_count for record in records),
        "crash_count": sum(record.crash_count for record in records),
        "immobilized_count": sum(record.immobilized_count for record in records),
        "reversed_count": sum(record.reversed_count for record in records),
        "reset_count": sum(record.reset_count for record in records),
        "lap_time_mean_s": mean,
        "lap_time_std_s": spread,
        "lap_time_best_s": min(times, default=None),
        "lap_time_worst_s": max(times, default=None),
        "consistency": None if mean is None or spread is None else spread / mean,
        "mean_speed": mean_speed,
        "mean_speed_share": mean_speed / top_speed,
        "top_speed": top_speed,
        "reward_mean": float(np.mean([sum(row.reward for row in record.rows) for record in records])),
        "lap_results": tuple(_lap_result(number, record) for number, record in enumerate(records, 1)),
    }


def _lap_result(number: int, record: LapRecord) -> LapResult:
    return LapResult(
        lap=number,
        status=record.status,
        start_m=record.start_m,
        lap_time_s=record.lap_time_s,
        driven_s=record.rows[-1].time_s,
        progress=record.rows[-1].progress,
        mean_speed=float(np.mean(record.speeds)),
        reward=sum(row.reward for row in record.rows),
        steps=len(record.rows),
        off_track_count=record.off_track_count,
        crash_count=record.crash_count,
        immobilized_count=record.immobilized_count,
        reversed_count=record.reversed_count,
        reset_count=record.reset_count,
    )
