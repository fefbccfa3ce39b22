"""What happens to whole models: renaming, deleting, and archives to keep or to pass on."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from deepracer_inference.archive import SUFFIX, ArchiveLimits, extract_archive, write_archive
from deepracer_inference.config import load_yaml
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import TEMPORARY_PREFIX, home
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder, make_directory, reserve
from deepracer_training.models.lineage import Lineage, orphan, rename_parent

BACKUP_LIMITS = ArchiveLimits(files=20_000, file_bytes=2 << 30, total_bytes=8 << 30)
"""Of an archive with a whole model: long trainings leave many traces, and evaluations leave videos."""
_NOT_KEPT = (".lock",)


def rename_model(folder: ModelFolder, name: str) -> ModelFolder:
    """Give a model another name; its clones learn it.

    Raises:
        UserError: The name is not allowed, or taken, or model.yaml is broken.
        DeepRacerError: The model is being trained, or the folder cannot be written.
    """
    config = folder.config
    with reserve(name) as path, folder.lock():
        try:
            os.rename(folder.path, path)
        except OSError as error:
            raise DeepRacerError(f"Cannot rename {folder.path} to {path}: {error.strerror}.") from error
        renamed = ModelFolder(path)
        renamed.set_config(config)
        rename_parent(folder.name, name)
    return renamed


def delete_model(folder: ModelFolder) -> list[str]:
    """Remove a model with all of its training and evaluations; returns the names of its clones, which stay.

    Raises:
        DeepRacerError: The model is being trained, or the folder cannot be removed.
    """
    with folder.lock():
        # Renamed first, so that a process that is killed leaves no half of a model that looks like one.
        doomed = folder.path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            os.rename(folder.path, doomed)
        except OSError as error:
            raise DeepRacerError(f"Cannot remove {folder.path}: {error.strerror}.") from error
    try:
        return orphan(folder.name)
    finally:
        shutil.rmtree(doomed, ignore_errors=True)


def backup_model(folder: ModelFolder, target: Path) -> int:
    """Write all of a model into one archive; equal models give equal archives.

    Args:
        folder: The model.
        target: The archive, `*.tar.gz`; an older file is replaced.

    Returns:
        The number of files in it.

    Raises:
        UserError: The name does not end as an archive's, something in the folder is no plain file, or `restore_model`
            would not take it back: model.yaml is broken, or there is too much.
        DeepRacerError: The model is being trained, or the archive cannot be written.
    """
    if not target.name.endswith(SUFFIX):
        raise UserError(f"{target} does not end in {SUFFIX}; models are kept as archives of that kind")
    with folder.lock():
        _check(folder, folder.path)
        files = {}
        for path in sorted(folder.path.rglob("*")):
            relative = path.relative_to(folder.path)
            kept = path.name not in _NOT_KEPT and not any(part.startswith(TEMPORARY_PREFIX) for part in relative.parts)
            if kept and (path.is_symlink() or not path.is_dir()):
                if path.is_symlink() or not path.is_file():
                    raise UserError(f"{path} is a link or no plain file, which an archive cannot keep; remove it")
                files[f"{folder.name}/{relative.as_posix()}"] = path
        _check_size(files.values(), folder.name)
        write_archive(target, files)
    return len(files)


def restore_model(archive: Path, name: str | None = None) -> ModelFolder:
    """Bring a model back from the archive that `backup_model` wrote.

    Args:
        archive: The file.
        name: Of the model; the one that it had when omitted.

    Raises:
        UserError: The archive is damaged, hostile or holds no model of ours, or the name is taken; nothing was written.
        DeepRacerError: The models' folder cannot be written.
    """
    staging = _staging()
    try:
        extract_archive(archive, staging, allowed=["*/**"], limits=BACKUP_LIMITS)
        unpacked = [path for path in staging.iterdir() if path.is_dir()]
        if len(unpacked) != 1:
            raise UserError(f"{archive} holds {len(unpacked)} models, but one is expected")
        found = ModelFolder(unpacked[0])
        for path in (found.config_path, found.reward):
            if not path.is_file():
                raise UserError(f"{archive} is not the backup of a model: {path.name} is missing")
        _check(found, archive)
        with reserve(name or found.name) as path:
            os.rename(found.path, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    restored = ModelFolder(path)
    restored.set_config(restored.config)
    return restored


def _check(folder: ModelFolder, place: Path) -> None:
    """Refuse a model that could not be opened, in a message about `place`: the model itself or its archive."""
    try:
        load_yaml(folder.config_path, ModelConfig)
        Lineage.read(folder)
    except UserError as error:
        raise UserError(str(error).replace(str(folder.path), str(place))) from error


def _check_size(files: Collection[Path], model: str) -> None:
    """Refuse what `restore_model` would not take back."""
    sizes = [path.stat().st_size for path in files]
    # An entry has a header of 512 bytes and fills up its last block of as many.
    total = sum(size + 1024 for size in sizes) + 20480
    limits = BACKUP_LIMITS
    if len(sizes) > limits.files or max(sizes) > limits.file_bytes or total > limits.total_bytes:
        raise UserError(
            f"model {model!r} has {len(sizes):,} files of {total / 1e9:.1f} GB, more than an archive may hold "
            f"({limits.files:,} files, {limits.total_bytes >> 30} GB, {limits.file_bytes >> 30} GB each); remove old "
            "evaluations, or training/previous-*"
        )


def _staging() -> Path:
    parent = home() / "models"
    make_directory(parent)
    return parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
