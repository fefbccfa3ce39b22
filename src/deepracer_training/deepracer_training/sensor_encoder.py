"""The encoder of any legal set of sensors: one embedding per sensor, joined before the dense layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from deepracer_inference.observation import ObservationSpec
from deepracer_inference.sensors import CAMERAS, INPUTS
from deepracer_training.networks import ARCHITECTURES, Architecture, Conv, Encoder

# markov/sensors/utils.py of deepracer-simapp: both deep networks look at two cameras with this one.
DEEP_STEREO = (Conv(32, 3, 1), Conv(64, 3, 2), Conv(64, 3, 1), Conv(128, 3, 2), Conv(128, 3, 1))
LIDAR_DENSE = (256, 256)
"""AWS's layers for every form of lidar."""
COMPACT_LIDAR_DENSE = (64,)


class SensorEncoder(nn.Module):
    """Encodes a `SensorBatch`, as AWS does: convolutions per camera, dense layers per lidar, then the common layers."""

    compiled = False

    def __init__(self, network: str, observation: ObservationSpec) -> None:
        """Build the layers.

        Args:
            network: Name of the architecture.
            observation: Says which sensors there are.

        Raises:
            UserError: The images are too small for it.
        """
        super().__init__()
        self.inputs = [INPUTS[name] for name in observation.sensors]
        self.embeddings = nn.ModuleDict()
        joined = 0
        for sensor in observation.sensors:
            name = INPUTS[sensor]
            embedding: Encoder | LidarEmbedding
            if sensor in CAMERAS:
                channels = observation.inputs[name].shape[-1]
                embedding = Encoder(camera_architecture(network, sensor), observation, channels)
            else:
                size = observation.inputs[name].shape[0]
                embedding = LidarEmbedding(size, COMPACT_LIDAR_DENSE if network == "compact" else LIDAR_DENSE)
            self.embeddings[name] = embedding
            joined += embedding.features
        architecture = ARCHITECTURES[network]
        layers: list[nn.Module] = []
        for size in architecture.dense:
            layers += [orthogonal(nn.Linear(joined, size)), architecture.activation()]
            if architecture.dropout:
                layers.append(nn.Dropout(architecture.dropout))
            joined = size
        self.common = nn.Sequential(*layers)
        self.features = joined

    def encode(self, batch: Any) -> Tensor:
        """Encode a `SensorBatch` to `(N, features)`."""
        parts = [self.embeddings[name].encode(batch.tensors[name]) for name in self.inputs]  # type: ignore[operator]
        out: Tensor = self.common(torch.cat(parts, dim=-1))
        return out


class LidarEmbedding(nn.Sequential):
    """Dense layers from the lidar's `(N, size)` floats, all within 0 to 1, to `(N, features)`."""

    def __init__(self, size: int, dense: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        features = size
        for width in dense:
            layers += [orthogonal(nn.Linear(features, width)), nn.ReLU()]
            features = width
        super().__init__(*layers)
        self.features = features

    def encode(self, values: Tensor) -> Tensor:
        """Encode scans to `(N, features)`."""
        out: Tensor = self(values)
        return out


def camera_architecture(network: str, sensor: str) -> Architecture:
    """Return the convolutions of a camera, without the layers that all sensors share."""
    architecture = replace(ARCHITECTURES[network], dense=())
    if sensor == "STEREO_CAMERAS" and network in ("DEEP_CONVOLUTIONAL_NETWORK", "DEEP_CONVOLUTIONAL_NETWORK_DEEP"):
        architecture = Architecture(DEEP_STEREO, ())
    return architecture


def orthogonal(layer: nn.Linear) -> nn.Linear:
    """Initialise a layer as those of `Encoder`."""
    nn.init.orthogonal_(layer.weight, 2.0**0.5)
    nn.init.zeros_(layer.bias)
    return layer
