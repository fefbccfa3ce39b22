"""Our models in deepracer-for-cloud's layout, as the community's log tools expect a model."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from deepracer_inference.errors import UserError
from deepracer_inference.files import atomic_directory, read_text, write_atomic
from deepracer_inference.metadata import ModelMetadata
from deepracer_inference.yaml_text import write_yaml_text
from deepracer_training.aws.configuration import environment_of
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder, make_directory
from deepracer_training.recordings import evaluation_ids
from deepracer_training.results import METRICS, TRACE, EvaluationResult

AWS_ONLY = {
    "e_greedy_value": 0.05,
    "epsilon_steps": 10000,
    "exploration_type": "categorical",
    "stack_size": 1,
    "term_cond_avg_score": 100000.0,
    "term_cond_max_episodes": 100000,
}
"""Hyperparameters that AWS's tools expect and that mean nothing here, with AWS's defaults."""


def export_logs(folder: ModelFolder, target: Path) -> int:
    """Write a model's configuration, traces and metrics as deepracer-for-cloud would have left them.

    Args:
        folder: The model.
        target: A folder that is not there yet, or is empty.

    Returns:
        The number of evaluations.

    Raises:
        UserError: `target` holds something.
        DeepRacerError: The folder cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is there already; name a new folder")
    config = folder.config
    make_directory(target.parent)
    with atomic_directory(target) as building:
        for name in ("model", "ip", "metrics"):
            (building / name).mkdir()
        write_atomic(building / "model" / "model_metadata.json", _metadata(config).to_json())
        hyperparameters = AWS_ONLY | config.hyperparameters.model_dump(mode="json")
        write_atomic(building / "ip" / "hyperparameters.json", json.dumps(hyperparameters, indent=2) + "\n")
        write_atomic(building / "training_params.yaml", write_yaml_text(environment_of(config)))
        write_atomic(building / "reward_function.py", read_text(folder.reward))
        if folder.simtrace.is_dir():
            shutil.copytree(folder.simtrace, building / "training-simtrace")
        if folder.aws_metrics.is_file():
            shutil.copyfile(folder.aws_metrics, building / "metrics" / "TrainingMetrics.json")
        stamps: set[str] = set()
        for name in evaluation_ids(folder):
            path = folder.evaluations / name
            stamp = _stamp(EvaluationResult.read(path).created, stamps)
            trace = building / f"evaluation-{stamp}" / TRACE
            trace.parent.mkdir(parents=True)
            shutil.copyfile(path / TRACE, trace)
            shutil.copyfile(path / METRICS, building / "metrics" / f"EvaluationMetrics-{stamp}.json")
    return len(stamps)


def _metadata(config: ModelConfig) -> ModelMetadata:
    return ModelMetadata(
        action_space=config.action_space,
        neural_network=config.network,
        sensor=config.observation.sensors,
        lidar_config=config.observation.lidar,
        training_algorithm=config.training_algorithm,
    )


def _stamp(created: str, taken: set[str]) -> str:
    """Return the 14 digits that name an evaluation; two of one second become two of two seconds."""
    time = datetime.fromisoformat(created)
    while (stamp := f"{time:%Y%m%d%H%M%S}") in taken:
        time += timedelta(seconds=1)
    taken.add(stamp)
    return stamp
