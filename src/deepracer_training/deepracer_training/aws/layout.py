"""Finding AWS's files in a folder, whichever tool has written it.

The AWS console, DeepRacer on AWS and deepracer-for-cloud put the same files into different folders: what counts is the
name of a file and of the folder right above it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deepracer_inference.errors import UserError

MAX_FILES = 50_000
ITERATION = re.compile(r"(\d+)-iteration\.csv")
METADATA, HYPERPARAMETERS, REWARD = "model_metadata.json", "hyperparameters.json", "reward_function.py"
PARAMETERS = ("training_params.yaml", "training_params.yml", "training-params.yaml")


@dataclass(frozen=True)
class AwsEvaluation:
    """One evaluation: its trace, and its metrics if they are there."""

    trace: Path
    metrics: Path | None


@dataclass(frozen=True)
class AwsFolder:
    """What was found; None or empty for what is not there."""

    path: Path
    metadata: Path | None
    hyperparameters: Path | None
    reward: Path | None
    parameters: Path | None
    """training_params.yaml: world, race type."""
    environment: Path | None
    """run.env of deepracer-for-cloud, which names the world, too."""
    training_traces: dict[int, Path]
    """By iteration."""
    training_metrics: Path | None
    evaluations: tuple[AwsEvaluation, ...]
    """The oldest first."""
    other_workers: int
    """Folders with training traces of further workers, which are left out."""


def find_files(folder: Path) -> AwsFolder:
    """Look through a folder and everything below it; links are not followed.

    Raises:
        UserError: It is not a folder, cannot be read, or holds too many files.
    """
    files = _list(folder)
    metrics = [path for path in files if path.suffix == ".json" and "metrics" in _folders(path, folder)]
    traces = [path for path in files if ITERATION.fullmatch(path.name)]
    training: dict[Path, dict[int, Path]] = {}
    for path in traces:
        if path.parent.name == "training-simtrace":
            training.setdefault(path.parent, {})[_iteration(path)] = path
    workers = sorted(training)
    return AwsFolder(
        path=folder,
        metadata=_shallowest(files, METADATA),
        hyperparameters=_shallowest(files, HYPERPARAMETERS),
        reward=_shallowest(files, REWARD),
        parameters=next((found for name in PARAMETERS if (found := _shallowest(files, name))), None),
        environment=_shallowest(files, "run.env"),
        training_traces=dict(sorted(training[workers[0]].items())) if workers else {},
        training_metrics=next((path for path in metrics if _is_training(path)), None),
        evaluations=tuple(
            AwsEvaluation(path, _metrics_of(path, metrics))
            for path in sorted(traces, key=lambda path: (path.parent.parent.name, _iteration(path)))
            if path.parent.name == "evaluation-simtrace"
        ),
        other_workers=max(len(workers) - 1, 0),
    )


def _list(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    files: list[Path] = []

    def fail(error: OSError) -> None:
        raise UserError(f"Cannot read {error.filename}: {error.strerror}") from error

    for root, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        files += [path for name in sorted(names) if not (path := Path(root, name)).is_symlink()]
        if len(files) > MAX_FILES:
            raise UserError(f"{folder} holds more than {MAX_FILES:,} files; name the folder of one model")
    return files


def _folders(path: Path, root: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts[:-1]


def _shallowest(files: list[Path], name: str) -> Path | None:
    """Return the file of a name that lies highest: copies of single checkpoints lie deeper."""
    found = [path for path in files if path.name == name]
    return min(found, key=lambda path: (len(path.parts), path), default=None)


def _iteration(path: Path) -> int:
    match = ITERATION.fullmatch(path.name)
    assert match is not None
    return int(match.group(1))


def _is_training(path: Path) -> bool:
    return path.stem == "TrainingMetrics" or path.parent.name == "training"


def _metrics_of(trace: Path, metrics: list[Path]) -> Path | None:
    """Return the metrics that carry the name of the trace's folder."""
    name = trace.parent.parent.name.removeprefix("evaluation-")
    return next((path for path in metrics if name and name in path.stem and not _is_training(path)), None)
