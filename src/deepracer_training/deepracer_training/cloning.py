"""Cloning: a new model from an old one, with its weights as far as they fit, and the memory of where it comes from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Literal

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, sha256_of
from deepracer_inference.policy_file import load_policy
from deepracer_inference.vehicle import load_vehicle
from deepracer_training.agents import make_agent
from deepracer_training.checkpoint import BEST, CheckpointFolder, read_checkpoint
from deepracer_training.export import export_policy
from deepracer_training.models.changes import Change, config_changes
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder
from deepracer_training.models.lineage import Lineage, Origin, orphan
from deepracer_training.transfer import Reuse, adopt, lines

Start = Literal["best", "last", "none"]


@dataclass(frozen=True)
class Clone:
    """A finished clone."""

    folder: ModelFolder
    lineage: Lineage


def clone(
    parent: ModelFolder,
    name: str,
    *,
    config: ModelConfig | None = None,
    reward_source: str | None = None,
    start: Start = "best",
    by: str = "progress",
    replace: bool = False,
) -> Clone:
    """Make a model from another one: its configuration, its reward function and its weights, each changed at will.

    The clone gets the parent's checkpoint as `pretrained.safetensors`, where its training starts, and if the weights
    fit so far, a policy that can be evaluated at once. Checkpoints, metrics and evaluations stay with the parent.

    Args:
        parent: The model to clone.
        name: Of the clone.
        config: The clone's configuration; the parent's when omitted.
        reward_source: The clone's reward function; the parent's when omitted.
        start: The parent's checkpoint that the clone starts from; `none` for fresh weights.
        by: What makes a checkpoint the best one: `progress`, `reward` or `lap_time`.
        replace: Whether a model of this name may be replaced.

    Raises:
        UserError: The name is taken, the checkpoint is missing or damaged, or nothing of it fits; nothing was written.
    """
    if by not in BEST:
        raise UserError(f"a checkpoint is chosen by {', '.join(BEST)}, but not by {by!r}")
    if replace and name == parent.name:
        raise UserError(f"model {name!r} cannot replace itself by its clone; choose another name")
    text, before = read_text(parent.config_path), parent.config
    after = (config or before).model_copy(update={"name": name})
    old_source = read_text(parent.reward)
    new_source = old_source if reward_source is None else reward_source
    copy, chosen = _checkpoint(parent, start, by)
    reuse: list[Reuse] = []
    origin = None

    def fill(folder: ModelFolder) -> None:
        nonlocal reuse, origin
        if copy is not None:
            copy(folder.pretrained)
            reuse, origin = _start_from(folder, parent, after, chosen)
        changes = config_changes(before, after)
        if new_source != old_source:
            hashes = [sha256_of(source.encode()) for source in (old_source, new_source)]
            changes.append(Change(key="reward_function", before=hashes[0], after=hashes[1]))
        Lineage(
            parent=parent.name,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            checkpoint=origin,
            changes=tuple(changes),
            reuse=tuple(lines(reuse)),
        ).write(folder.path)

    folder = ModelFolder.create(name, after, new_source, replace=replace, fill=fill, template=(text, before))
    if replace:
        orphan(name)
    lineage = Lineage.read(folder)
    assert lineage is not None
    return Clone(folder, lineage)


def _checkpoint(parent: ModelFolder, start: Start, by: str) -> tuple[Callable[[Path], object] | None, str]:
    """Return what copies the checkpoint to start from, and how that was chosen."""
    if start == "none":
        return None, "fresh weights"
    store = CheckpointFolder(parent.checkpoints)
    index = store.index()
    if not index:
        # A clone that has not been trained yet hands on what it has got itself.
        return (
            (partial(shutil.copyfile, parent.pretrained), "what the parent started from")
            if parent.pretrained.is_file()
            else (None, "fresh weights")
        )
    if start == "last":
        return partial(store.copy, "last"), "last"
    if BEST[by] not in index:
        raise UserError(
            f"model {parent.name!r} was trained before its best checkpoint by {by} was kept; train it a little more "
            f"(deepracer train {parent.name} --resume), or choose by progress or --from last"
        )
    return partial(store.copy, BEST[by]), f"best by {by.replace('_', ' ')}"


def _start_from(
    folder: ModelFolder, parent: ModelFolder, config: ModelConfig, chosen: str
) -> tuple[list[Reuse], Origin]:
    """Look what fits of the checkpoint, and export the clone's first policy if it drives."""
    checkpoint = read_checkpoint(folder.pretrained)
    state, digest = checkpoint.state, sha256_of(folder.pretrained)
    agent = make_agent(config)
    reuse = adopt(checkpoint, agent, config)
    if all(one.how in ("re-used", "converted") for one in reuse if one.part in ("encoder", "policy head")):
        provenance = {
            "model": config.name,
            "parent": parent.name,
            "track": state.task.track,
            "seed": state.seed,
            "update": state.counters.update,
            "steps": state.counters.steps,
            "training_s": round(state.counters.wall_s, 1),
            "reward_function_sha256": state.task.reward_function_sha256,
        }
        export_policy(folder, config, agent, load_vehicle(config.vehicle), provenance)
        load_policy(folder.policy)
    origin = Origin(chosen=chosen, update=state.counters.update, steps=state.counters.steps, sha256=digest)
    return reuse, origin
