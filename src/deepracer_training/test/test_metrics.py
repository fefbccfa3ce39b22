"""AWS's metrics files: exact keys, whole numbers, milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.metrics import EvaluationMetric, write_evaluation_metrics


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
