"""Observations as tensors: one for the front camera alone, a batch of several for any other set of sensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ArrayObservation = NDArray[Any] | dict[str, NDArray[Any]]
"""What the environment gives: images `(N, H, W, 1)` of the front camera, or one array per input of the graph."""


class SensorBatch:
    """Tensors with equal leading dimensions, one per sensor, that are cut, joined and indexed as one.

    It has the few methods of a tensor that rollouts and minibatches need, so that an algorithm need not know what its
    observations consist of.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Take tensors by the name of the graph's input; their order is kept."""
        self.tensors = dict(tensors)

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def index_select(self, dim: int, index: Tensor) -> SensorBatch:
        """Take some rows, as `Tensor.index_select`."""
        return SensorBatch({name: tensor.index_select(dim, index) for name, tensor in self.tensors.items()})

    def flatten(self, start_dim: int, end_dim: int) -> SensorBatch:
        """Join leading dimensions, as `Tensor.flatten`."""
        return SensorBatch({name: tensor.flatten(start_dim, end_dim) for name, tensor in self.tensors.items()})

    def chunk(self, chunks: int) -> list[SensorBatch]:
        """Cut along the first dimension, as `Tensor.chunk`."""
        cuts = {name: tensor.chunk(chunks) for name, tensor in self.tensors.items()}
        parts = len(next(iter(cuts.values())))
        return [SensorBatch({name: cut[part] for name, cut in cuts.items()}) for part in range(parts)]


Observation = Tensor | SensorBatch


def as_tensors(observation: ArrayObservation) -> Observation:
    """Wrap what the environment gave; the memory is shared."""
    if isinstance(observation, dict):
        return SensorBatch({name: torch.from_numpy(array) for name, array in observation.items()})
    return torch.from_numpy(observation)


def copied(readings: Mapping[str, NDArray[Any]]) -> ArrayObservation:
    """Return a simulator's readings as an observation that shares no memory with them."""
    copies = {name: array.copy() for name, array in readings.items()}
    return copies["image"] if copies.keys() == {"image"} else copies


def take(observation: ArrayObservation, cars: NDArray[np.bool_]) -> ArrayObservation:
    """Return the observations of some cars."""
    if isinstance(observation, dict):
        return {name: array[cars] for name, array in observation.items()}
    return observation[cars]


def stack(observations: Sequence[Observation]) -> Observation:
    """Join observations along a new first dimension."""
    return _joined(torch.stack, observations)


def concatenate(observations: Sequence[Observation]) -> Observation:
    """Join observations along their first dimension."""
    return _joined(torch.cat, observations)


def _joined(join: Callable[[list[Tensor]], Tensor], observations: Sequence[Observation]) -> Observation:
    names = as_inputs(observations[0])
    return from_inputs({name: join([as_inputs(each)[name] for each in observations]) for name in names})


def as_inputs(observation: Observation) -> dict[str, Tensor]:
    """Return the tensors by the name of the graph's input."""
    return observation.tensors if isinstance(observation, SensorBatch) else {"image": observation}


def from_inputs(inputs: Mapping[str, Tensor]) -> Observation:
    """Undo `as_inputs`."""
    return inputs["image"] if inputs.keys() == {"image"} else SensorBatch(inputs)
