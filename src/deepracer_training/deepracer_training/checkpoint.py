"""Checkpoints: all that training needs to go on, in one safetensors file each."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Adam

from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import TEMPORARY_PREFIX, read_text, write_atomic
from deepracer_training.models.config import ModelConfig

FORMAT = "deepracer-checkpoint-1"
INDEX = "checkpoints.json"
NAME = re.compile(r"\d{6,}\.safetensors")
BEST = {"progress": "best", "reward": "best_reward", "lap_time": "best_lap_time"}
"""Key in the index of the checkpoint that is best by a metric; these are AWS's `best_model_metric`s."""
KEYS = (*BEST.values(), "last")


class Counters(BaseModel):
    """What a training counts."""

    model_config = ConfigDict(extra="forbid")

    update: int = 0
    steps: int = 0
    wall_s: float = 0.0
    episodes: int = 0
    laps: int = 0
    first_lap_s: float | None = None
    first_lap_steps: int | None = None
    clean_s: float | None = None
    """Training time until the end of the first greedy trial with every lap complete."""
    best: list[float] = []
    """Score of the best checkpoint, which is the one that is best by progress."""
    best_reward: list[float] = []
    best_lap_time: list[float] = []
    """Scores of the checkpoints that are best by reward and by lap time; see `Trial.scores`."""


class Task(StrictModel):
    """What was to be learned; scores of different tasks cannot be compared."""

    track: str
    reward_function_sha256: str


class TrainingState(StrictModel):
    """All of a training but its tensors, as plain JSON."""

    seed: int
    task: Task
    config: ModelConfig
    counters: Counters
    starts: dict[str, Any]
    """Where the environment's start poses go on."""
    globals: dict[str, Any]
    """State of the global random generators, which belong to the reward function."""
    replay: tuple[str, ...] = ()
    """Of SAC: the files of the replay buffer, see `ReplayFolder`."""


@dataclass
class Checkpoint:
    """A training between two updates."""

    tensors: dict[str, Tensor]
    """`agent.*`, `optimizer.*` and `random.torch`."""
    state: TrainingState


def capture(agent: nn.Module, optimizer: Adam, generator: torch.Generator, state: TrainingState) -> Checkpoint:
    """Collect what a checkpoint holds."""
    tensors = {f"agent.{name}": tensor.detach() for name, tensor in agent.state_dict().items()}
    for name, parameter in agent.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = value
    tensors["random.torch"] = generator.get_state()
    return Checkpoint(tensors, state)


def restore(
    checkpoint: Checkpoint, agent: nn.Module, optimizer: Adam | None, generator: torch.Generator | None
) -> None:
    """Put a checkpoint's tensors back where `capture` took them from.

    Raises:
        UserError: The checkpoint belongs to another network.
    """
    weights = {name[6:]: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("agent.")}
    expected = {name: tuple(tensor.shape) for name, tensor in agent.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != given:
        differing = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
        raise UserError(
            f"the checkpoint does not fit the network of model.yaml: {differing[0]} is {given.get(differing[0])} in "
            f"the checkpoint and {expected.get(differing[0])} in the model; undo the change of network, observation or "
            "action_space, or start anew with train without --resume"
        )
    agent.load_state_dict(weights)
    if optimizer is not None:
        for name, parameter in agent.named_parameters():
            prefix = f"optimizer.{name}."
            found = {key[len(prefix) :]: value for key, value in checkpoint.tensors.items() if key.startswith(prefix)}
            if found:
                optimizer.state[parameter] = found
    if generator is not None:
        generator.set_state(checkpoint.tensors["random.torch"])


class CheckpointFolder:
    """`training/checkpoints/`: numbered checkpoints and an index that names the best ones and the last of them.

    The index is the truth: it is replaced in one step after the file that it names has reached the disk, so a process
    that is killed at any moment leaves a whole last checkpoint behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, checkpoint: Checkpoint, update: int, *, best: Collection[str]) -> None:
        """Write a checkpoint, make it the last, and delete those that nothing names any more.

        Args:
            checkpoint: What to write.
            update: Its number.
            best: Metrics by which it is the best one so far, of `BEST`.
        """
        name = f"{update:06d}.safetensors"
        metadata = {"format": FORMAT, "state": checkpoint.state.model_dump_json()}
        self.path.mkdir(parents=True, exist_ok=True)
        tensors = {key: tensor.contiguous() for key, tensor in checkpoint.tensors.items()}
        write_atomic(self.path / name, save(tensors, metadata))
        index = self.index() | {BEST[metric]: name for metric in best} | {"last": name}
        write_atomic(self.path / INDEX, json.dumps(index, indent=1) + "\n")
        for file in self.path.iterdir():
            outdated = NAME.fullmatch(file.name) and file.name not in index.values()
            if outdated or file.name.startswith(TEMPORARY_PREFIX):  # the latter of a process that was killed
                file.unlink(missing_ok=True)

    def index(self) -> dict[str, str]:
        """Return the names of the files by `KEYS`; empty before the first checkpoint.

        Raises:
            UserError: The index is not one of ours.
        """
        path = self.path / INDEX
        if not path.exists():
            return {}
        mend = "start anew with train without --resume"
        try:
            index = json.loads(read_text(path))
        except ValueError as error:
            raise UserError(f"{path}: not a checkpoint index ({error}); {mend}") from error
        if not isinstance(index, dict):
            raise UserError(f"{path}: not a checkpoint index, but {index!r}; {mend}")
        names = {key: index[key] for key in KEYS if index.get(key)}
        for name in names.values():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise UserError(f"{path}: {name!r} is not the name of a checkpoint; {mend}")
        return names

    def load(self, which: str) -> Checkpoint:
        """Read the checkpoint that has one of `KEYS`.

        Raises:
            UserError: There is none, or the file is empty, damaged or foreign.
        """
        return read_checkpoint(self.find(which))

    def copy(self, which: str, target: Path) -> None:
        """Copy the checkpoint that has one of `KEYS`, whole, also while a training replaces it by newer ones.

        Raises:
            UserError: There is none.
        """
        source = self.find(which)
        while True:
            try:
                shutil.copyfile(source, target)
                return
            except FileNotFoundError as error:
                # Deleted since the index was read, which names another one then; an open file is safe from that.
                outdated, source = source, self.find(which)
                if source == outdated:
                    raise UserError(f"There is no file {source}, although {INDEX} beside it names it") from error

    def find(self, which: str) -> Path:
        """Return the file of the checkpoint that has one of `KEYS`.

        Raises:
            UserError: There is none.
        """
        index = self.index()
        if which not in index:
            raise UserError(f"{self.path}: no checkpoint yet; train the model first")
        return self.path / index[which]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint file; nothing in it is executed.

    Raises:
        UserError: The file is missing, empty, damaged or not one of ours.
    """
    mend = "restore it from a copy, or start anew with train without --resume"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UserError(f"{path}: a safetensors file, but not a checkpoint of ours; {mend}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        if "random.torch" not in tensors:
            raise UserError(f"{path}: the state of the random generator is missing; {mend}")
        return Checkpoint(tensors, parse(parse_json(metadata["state"], str(path)), TrainingState, str(path)))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = "the file is empty" if path.is_file() and not path.stat().st_size else str(error)
        raise UserError(f"{path}: not a whole checkpoint ({reason}); {mend}") from error
