"""The laps that a comparison is about: which evaluations of a model count, and what they say together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deepracer_inference.errors import UserError
from deepracer_inference.files import sha256_of
from deepracer_inference.policy_file import GRAPH
from deepracer_training.comparison import intervals
from deepracer_training.comparison.intervals import Interval
from deepracer_training.models.folder import ModelFolder
from deepracer_training.recordings import evaluation_ids, open_evaluation
from deepracer_training.results import EvaluationResult, LapResult

logger = logging.getLogger(__name__)

Start = tuple[int, int]
"""Seed and number of a lap: equal ones are the same place on the same track."""


class Course(NamedTuple):
    """What laps were driven on; they can be compared if all of it is equal."""

    track: str
    waypoints: str | None
    race_type: str
    race: str


@dataclass(frozen=True)
class Entry:
    """One thing that is compared: a model with the evaluations of its present policy, or one evaluation."""

    label: str
    folder: ModelFolder
    evaluations: tuple[EvaluationResult, ...]
    """On one track, the oldest first."""

    @property
    def laps(self) -> list[LapResult]:
        """All laps; one that two evaluations drove from the same start counts once."""
        found: dict[object, LapResult] = {}
        for number, result in enumerate(self.evaluations):
            for lap in result.lap_results:
                found.setdefault((result.seed, lap.lap) if result.seed is not None else (number, lap.lap, ""), lap)
        return list(found.values())

    @property
    def by_start(self) -> dict[Start, LapResult]:
        """Laps whose start is known."""
        return {
            (result.seed, lap.lap): lap
            for result in self.evaluations
            if result.seed is not None
            for lap in result.lap_results
        }

    @property
    def course(self) -> Course:
        """What the laps were driven on."""
        return course_of(self.evaluations[-1])

    @property
    def track(self) -> str:
        """Name of the track."""
        return self.evaluations[-1].track


@dataclass(frozen=True)
class Figures:
    """What the laps of an entry show."""

    laps: int
    completed: int
    completion: Interval
    progress: Interval
    """Percent per lap."""
    lap_time_s: Interval
    lap_time_best_s: float | None
    off_tracks: Interval
    """Per lap."""
    crashes: Interval
    """Per lap."""
    consistency: Interval
    """Standard deviation of the lap times as a share of their mean."""
    mean_speed: Interval
    reward: Interval
    """Per lap."""

    @classmethod
    def of(cls, laps: Sequence[LapResult], confidence: float) -> Figures:
        """Compute them."""
        times = [lap.lap_time_s for lap in laps if lap.lap_time_s is not None]
        return cls(
            laps=len(laps),
            completed=len(times),
            completion=intervals.share(len(times), len(laps), confidence),
            progress=intervals.mean([lap.progress for lap in laps], confidence),
            lap_time_s=intervals.mean(times, confidence),
            lap_time_best_s=min(times, default=None),
            off_tracks=intervals.rate([lap.off_track_count for lap in laps], confidence),
            crashes=intervals.rate([lap.crash_count for lap in laps], confidence),
            consistency=intervals.spread(times, confidence),
            mean_speed=intervals.mean([lap.mean_speed for lap in laps], confidence),
            reward=intervals.mean([lap.reward for lap in laps], confidence),
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return {
            name: value.as_json() if isinstance(value, Interval) else value for name, value in self.__dict__.items()
        }


def open_entry(text: str, *, own_course: bool = False) -> Entry:
    """Find what a user wants to compare.

    Args:
        text: `MODEL`, for all evaluations of its present policy on the track of the latest, or `MODEL/EVALUATION`.
        own_course: Take a model's evaluations on its own track in its own race instead.

    Raises:
        UserError: There is no such model or evaluation.
    """
    name, slash, wanted = text.partition("/")
    folder = ModelFolder.open(name)
    if slash:
        result = open_evaluation(folder, wanted).result
        assert result is not None
        return Entry(f"{name}/{result.id}", folder, (result,))
    return Entry(name, folder, _of_present_policy(folder, own_course))


def evaluate_more(
    text: str, laps: int, seeds: int, evaluate: Callable[[ModelFolder, int, int], EvaluationResult]
) -> None:
    """Drive the evaluations that are missing until a model has `laps` laps of each of the seeds 0 to `seeds` - 1.

    Args:
        text: As in `open_entry`; a named evaluation needs none.
        laps: Laps of each evaluation.
        seeds: Number of evaluations.
        evaluate: Drives the laps of a seed.
    """
    if "/" in text:
        return
    folder = ModelFolder.open(text)
    present = _graph_hash(folder)
    done = {
        result.seed
        for result in _read_all(folder)
        if result.hashes.get(GRAPH) == present and _on_own_course(folder, result) and result.laps >= laps
    }
    for seed in range(seeds):
        if seed not in done:
            evaluate(folder, laps, seed)


def course_of(result: EvaluationResult) -> Course:
    """Return an evaluation's track, the hash of its way points as far as known, and what else was on the road."""
    race = result.race.model_dump_json() if result.race else ""
    return Course(result.track, result.hashes.get("track waypoints"), result.race_type, race)


def _of_present_policy(folder: ModelFolder, own_course: bool) -> tuple[EvaluationResult, ...]:
    results = _read_all(folder)
    present = _graph_hash(folder)
    # Imported evaluations have no policy of ours; they stand for themselves.
    current = [result for result in results if result.hashes.get(GRAPH) in (present, None)]
    if not current:
        reason = "no evaluation of its present policy yet" if results else "no evaluation yet"
        raise UserError(
            f"Model {folder.name!r} has {reason}; drive one with: deepracer evaluate {folder.name}, or let compare do "
            "it with --laps 10"
        )
    last = next((one for one in reversed(current) if own_course and _on_own_course(folder, one)), current[-1])
    return tuple(
        result
        for result in current
        if result.hashes.get(GRAPH) == last.hashes.get(GRAPH) and course_of(result) == course_of(last)
    )


def _on_own_course(folder: ModelFolder, result: EvaluationResult) -> bool:
    config = folder.config
    track = Path(config.track).stem if config.track.endswith(".npy") else config.track
    return (result.track, result.race_type, result.race) == (track, config.race_type, config.race)


def _graph_hash(folder: ModelFolder) -> str | None:
    path = folder.policy / GRAPH
    return sha256_of(path) if path.is_file() else None


def _read_all(folder: ModelFolder) -> list[EvaluationResult]:
    results = []
    for name in evaluation_ids(folder):
        try:
            results.append(EvaluationResult.read(folder.evaluations / name))
        except UserError as error:
            logger.warning("Left out: %s", error)
    return sorted(results, key=lambda result: (result.created, result.id))
