"""AWS's metrics files (version 2): an object per episode or lap, as consoles and log tools of DeepRacer read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deepracer_inference.files import write_atomic
from deepracer_sim.race.rules import EpisodeStatus

METRICS_VERSION = 2.0


@dataclass(frozen=True)
class TrainingMetric:
    """One episode of training, or one of the trial laps in between."""

    reward: float
    start_s: float
    """Simulated time."""
    elapsed_s: float
    episode: int
    """From 1."""
    trial: int
    """Number of the episode in its iteration, from 1."""
    progress: float
    """Percent."""
    status: EpisodeStatus
    phase: Literal["training", "evaluation"] = "training"

    def as_json(self) -> dict[str, int | str]:
        """Return AWS's keys; rewards and percentages are whole numbers there."""
        return {
            "reward_score": round(self.reward),
            **_times(self.start_s, self.elapsed_s),
            "episode": self.episode,
            "trial": self.trial,
            "phase": self.phase,
            "completion_percentage": int(self.progress),
            "episode_status": self.status.label,
        }


@dataclass(frozen=True)
class EvaluationMetric:
    """One lap of an evaluation."""

    trial: int
    """Number of the lap, from 1."""
    start_s: float
    """Simulated time."""
    elapsed_s: float
    """With penalties."""
    progress: float
    """Percent."""
    status: EpisodeStatus
    crash_count: int
    immobilized_count: int
    off_track_count: int
    reversed_count: int

    def as_json(self) -> dict[str, int | str]:
        """Return AWS's keys; as there, `reset_count` is the sum of the four kinds of violation."""
        return {
            "completion_percentage": int(self.progress),
            **_times(self.start_s, self.elapsed_s),
            "episode_status": self.status.label,
            "crash_count": self.crash_count,
            "immobilized_count": self.immobilized_count,
            "off_track_count": self.off_track_count,
            "reversed_count": self.reversed_count,
            "reset_count": self.crash_count + self.immobilized_count + self.off_track_count + self.reversed_count,
            "trial": self.trial,
        }


def write_training_metrics(path: Path, metrics: Sequence[dict[str, Any]]) -> None:
    """Write AWS's `TrainingMetrics.json` from the objects of `TrainingMetric.as_json`.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    content = {"metrics": list(metrics), "version": METRICS_VERSION, "best_model_metric": "progress"}
    write_atomic(path, json.dumps(content) + "\n")


def read_training_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the objects of AWS's training metrics; none if the file is missing or is something else."""
    try:
        metrics = json.loads(path.read_bytes())["metrics"]
        return [metric for metric in metrics if {"episode", "phase"} <= metric.keys()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def write_evaluation_metrics(path: Path, metrics: Sequence[EvaluationMetric]) -> None:
    """Write AWS's evaluation metrics; unlike the file of a training it has no `version`, which AWS's service rejects.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    write_atomic(path, json.dumps({"metrics": [metric.as_json() for metric in metrics]}) + "\n")


def _times(start_s: float, elapsed_s: float) -> dict[str, int | str]:
    start, elapsed = round(1000 * start_s), round(1000 * elapsed_s)
    return {"metric_time": start + elapsed, "start_time": start, "elapsed_time_in_milliseconds": elapsed}
