"""Checkpoints: all that training needs to go on, in one safetensors file each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Adam

from deepracer_inference.errors import UserError
from deepracer_inference.files import write_atomic

FORMAT = "deepracer-checkpoint-1"
INDEX = "checkpoints.json"


@dataclass
class Checkpoint:
    """The state of a training between two updates."""

    tensors: dict[str, Tensor]
    """`agent.*`, `optimizer.*` and `random.torch`."""
    state: dict[str, Any]
    """Counters, the environment's random state and the fingerprint of the network; plain JSON."""


def capture(agent: nn.Module, optimizer: Adam, generator: torch.Generator, state: dict[str, Any]) -> Checkpoint:
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
    """`training/checkpoints/`: numbered checkpoints and an index that names the best and the last of them.

    The index is the truth: it is replaced in one step after the file that it names has reached the disk, so a process
    that is killed at any moment leaves a whole last checkpoint behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, checkpoint: Checkpoint, update: int, *, best: bool) -> None:
        """Write a checkpoint, make it the last (and the best), and delete those that nothing names any more."""
        name = f"{update:06d}.safetensors"
        metadata = {"format": FORMAT, "state": json.dumps(checkpoint.state)}
        self.path.mkdir(parents=True, exist_ok=True)
        tensors = {key: tensor.contiguous() for key, tensor in checkpoint.tensors.items()}
        write_atomic(self.path / name, save(tensors, metadata))
        index = {"best": name if best else self.index().get("best"), "last": name}
        write_atomic(self.path / INDEX, json.dumps(index, indent=1) + "\n")
        for file in self.path.glob("*.safetensors"):
            if file.name not in index.values():
                file.unlink(missing_ok=True)

    def index(self) -> dict[str, str]:
        """Return the names of the files that are `best` and `last`; empty before the first checkpoint.

        Raises:
            UserError: The index is not one of ours.
        """
        path = self.path / INDEX
        if not path.exists():
            return {}
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            names = {key: index[key] for key in ("best", "last") if index.get(key)}
        except (ValueError, AttributeError) as error:
            raise UserError(f"{path}: not a checkpoint index ({error}); start anew without --resume") from error
        for name in names.values():
            if not isinstance(name, str) or Path(name).name != name:
                raise UserError(f"{path}: {name!r} is not the name of a checkpoint; start anew without --resume")
        return names

    def load(self, which: str) -> Checkpoint:
        """Read the `best` or the `last` checkpoint.

        Raises:
            UserError: There is none, or the file is empty, damaged or foreign.
        """
        index = self.index()
        if which not in index:
            raise UserError(f"{self.path}: no checkpoint yet; train the model first")
        return read_checkpoint(self.path / index[which])


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
        return Checkpoint(tensors, json.loads(metadata["state"]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = "the file is empty" if path.is_file() and not path.stat().st_size else str(error)
        raise UserError(f"{path}: not a whole checkpoint ({reason}); {mend}") from error
