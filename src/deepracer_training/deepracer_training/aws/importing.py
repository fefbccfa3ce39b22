"""Models from AWS: settings and reward function become a model, traces and metrics its training and evaluations."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deepracer_inference.archive import extract_archive
from deepracer_inference.config import parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, write_atomic
from deepracer_sim.tracks.library import load_track
from deepracer_training.aws.configuration import read_configuration
from deepracer_training.aws.evaluations import import_evaluation
from deepracer_training.aws.layout import REWARD, AwsFolder, find_files
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder, check_name
from deepracer_training.models.keeping import BACKUP_LIMITS
from deepracer_training.results import EvaluationResult
from deepracer_training.traces import read_trace

Check = Callable[[Path, ModelConfig], None]


@dataclass(frozen=True)
class Imported:
    """What came of an import."""

    folder: ModelFolder
    evaluations: tuple[EvaluationResult, ...]
    training_iterations: int
    notes: tuple[str, ...]
    """What could not be taken over, a sentence each."""


def import_folder(
    path: Path,
    name: str,
    *,
    track: str | None = None,
    reward: Path | None = None,
    preset: str = "aws",
    check_reward: Check | None = None,
) -> Imported:
    """Make a model from a folder that the AWS console, DeepRacer on AWS or deepracer-for-cloud has left.

    The network's weights stay behind: they are TensorFlow's, and pickled in part. The model is there to be trained, and
    its evaluations to be compared with.

    Args:
        path: The folder.
        name: Of the model.
        track: Name or file of the track; the job's world when omitted.
        reward: The reward function, if it is not in the folder.
        preset: `aws`, or `fast` for our own network and settings.
        check_reward: Raises UserError if `reward` cannot be used. The folder's own is not executed.

    Raises:
        UserError: Something that a model needs is missing or wrong; nothing was written.
    """
    check_name(name)
    found = find_files(path)
    if (path / "model.yaml").is_file():
        raise UserError(f"{path} is a model of ours; keep it with `deepracer backup` and `deepracer restore`")
    config, notes = read_configuration(found, name=name, track=track, preset=preset)
    _find_track(config.track, given=track is not None)
    source = reward or found.reward
    if source is None:
        raise UserError(f"{path}: no {REWARD} was found; name one with --reward")
    # Only what the user names is executed; what comes with somebody's files waits until the user trains or validates.
    if check_reward is not None and reward is not None:
        check_reward(reward, config)
    traces = 0

    def fill(folder: ModelFolder) -> None:
        nonlocal traces
        traces = _copy_training(found, folder, notes)

    folder = ModelFolder.create(name, config, read_text(source), fill=fill)
    if found.other_workers:
        notes.append(f"the traces of {found.other_workers} more workers are left out")
    evaluations = []
    for one in found.evaluations:
        relative = str(one.trace.relative_to(path))
        try:
            evaluations.append(
                import_evaluation(folder, one.trace, track=config.track, metrics=one.metrics, source=relative)
            )
        except UserError as error:
            notes.append(f"evaluation {relative} is left out: {error}")
    return Imported(folder, tuple(evaluations), traces, tuple(notes))


def import_archive(
    path: Path,
    name: str,
    *,
    track: str | None = None,
    reward: Path | None = None,
    preset: str = "aws",
    check_reward: Check | None = None,
) -> Imported:
    """Do the same with a .tar.gz archive, which is unpacked safely and only for the time of the import.

    Raises:
        UserError: As `import_folder`, or the archive is damaged or hostile.
    """
    with TemporaryDirectory(prefix="deepracer-import-") as staging:
        target = Path(staging) / "model"
        names = extract_archive(path, target, limits=BACKUP_LIMITS)
        if any(name.endswith("model.yaml") and name.count("/") == 1 for name in names):
            raise UserError(f"{path} is the backup of a model of ours; bring it back with: deepracer restore {path}")
        try:
            return import_folder(target, name, track=track, reward=reward, preset=preset, check_reward=check_reward)
        except UserError as error:
            # The user knows the archive, not where it was unpacked.
            raise UserError(str(error).replace(str(target), str(path))) from error


def _find_track(track: str, *, given: bool) -> None:
    try:
        load_track(track)
    except UserError as error:
        if given:
            raise
        raise UserError(
            f"the model was made for AWS's world {track}, which is not here: {error}. Import its way points first "
            f"(deepracer tracks import {track}.npy), or take another track with --track"
        ) from error


def _copy_training(found: AwsFolder, folder: ModelFolder, notes: list[str]) -> int:
    """Copy the traces that can be read, and AWS's metrics; returns the number of traces."""
    if found.training_metrics is not None:
        text = read_text(found.training_metrics)
        parse_json(text, str(found.training_metrics))
        write_atomic(folder.aws_metrics, text)
    copied = 0
    for iteration, path in found.training_traces.items():
        try:
            read_trace(path)
        except UserError as error:
            notes.append(f"training trace left out: {error}")
            continue
        folder.simtrace.mkdir(exist_ok=True)
        shutil.copyfile(path, folder.simtrace / f"{iteration}-iteration.csv")
        copied += 1
    return copied
