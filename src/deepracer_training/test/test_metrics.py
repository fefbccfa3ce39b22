"""AWS's metrics files: exact keys, whole numbers, milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.metrics import (
    EvaluationMetric,
    TrainingMetric,
    read_training_metrics,
    write_evaluation_metrics,
    write_training_metrics,
)


def test_training_metrics_are_those_of_aws(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    episode = TrainingMetric(30.6, 27.746, 3.792, episode=1, trial=1, progress=29.9, status=EpisodeStatus.OFF_TRACK)
    write_training_metrics(path, [episode.as_json()])
    # The object is the first one of a real file of AWS's.
    metric = {
        "reward_score": 31,
        "metric_time": 31538,
        "start_time": 27746,
        "elapsed_time_in_milliseconds": 3792,
        "episode": 1,
        "trial": 1,
        "phase": "training",
        "completion_percentage": 29,
        "episode_status": "Off track",
    }
    assert json.loads(path.read_text()) == {"metrics": [metric], "version": 2.0, "best_model_metric": "progress"}
    assert read_training_metrics(path) == [metric]
    for broken in ("{", "[]", '{"metrics": [5]}', '{"metrics": null}'):
        path.write_text(broken)
        assert read_training_metrics(path) == []


def test_evaluation_metrics_are_those_of_aws(tmp_path: Path) -> None:
    lap = EvaluationMetric(
        trial=1,
        start_s=37.288,
        elapsed_s=30.884,
        progress=100.0,
        status=EpisodeStatus.LAP_COMPLETE,
        crash_count=0,
        immobilized_count=1,
        off_track_count=2,
        reversed_count=0,
    )
    write_evaluation_metrics(tmp_path / "metrics.json", [lap])
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "metrics": [
            {
                "completion_percentage": 100,
                "metric_time": 68172,
                "start_time": 37288,
                "elapsed_time_in_milliseconds": 30884,
                "episode_status": "Lap complete",
                "crash_count": 0,
                "immobilized_count": 1,
                "off_track_count": 2,
                "reversed_count": 0,
                "reset_count": 3,
                "trial": 1,
            }
        ]
    }


def test_a_lap_that_is_nearly_complete_is_not_rounded_up_to_100_percent() -> None:
    metric = EvaluationMetric(1, 0.0, 1.0, 99.97, EpisodeStatus.TIME_UP, 0, 0, 0, 0)
    assert metric.as_json()["completion_percentage"] == 99
    assert metric.as_json()["episode_status"] == "Time Up"
