"""The policy network: a camera image in, an action distribution and a value out.

The deployable half (encoder, policy head, action decoding) is defined here beside the training half, so that the graph
that is exported is the network that was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepracer_inference.action_space import ActionSpace, ContinuousActionSpace
from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_training import compact_encoder, compact_kernels
from deepracer_training.observations import Observation, from_inputs

if TYPE_CHECKING:
    from deepracer_training.sac_networks import SoftActorCritic
    from deepracer_training.sensor_encoder import SensorEncoder

LOG_STD_RANGE = (-3.0, 0.5)
"""Bounds of the exploration noise of continuous actions, so that it neither dies nor swamps the mean."""


class Conv(NamedTuple):
    """One convolution without padding, as AWS writes it: `[filters, kernel, stride]`."""

    filters: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Architecture:
    """Shape of an encoder."""

    convolutions: tuple[Conv, ...]
    dense: tuple[int, ...]
    activation: type[nn.Module] = nn.ReLU
    batch_norm: bool = False
    dropout: float = 0.0


ARCHITECTURES: dict[str, Architecture] = {
    # Ours. On a CPU the network is the wall, not the simulator: large strides first, so that a training step of a
    # 40 x 24 image costs about as much as simulating and rendering it.
    "compact": Architecture(
        (
            Conv(compact_kernels.FILTERS_1, compact_kernels.KERNEL_1, compact_kernels.STRIDE_1),
            Conv(compact_kernels.FILTERS_2, compact_kernels.KERNEL_2, compact_kernels.STRIDE_2),
        ),
        (compact_kernels.DENSE,),
    ),
    # AWS's presets: markov/sensors/utils.py and architecture/custom_architectures.py of deepracer-simapp.
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": Architecture((Conv(32, 8, 4), Conv(64, 4, 2), Conv(64, 3, 1)), (512,)),
    "DEEP_CONVOLUTIONAL_NETWORK": Architecture(
        (Conv(32, 5, 2), Conv(32, 3, 1), Conv(64, 3, 2), Conv(64, 3, 1)), (64,), nn.Tanh
    ),
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": Architecture(
        (Conv(32, 8, 4), Conv(32, 4, 2), Conv(64, 4, 2), Conv(64, 3, 1)), (512, 512), batch_norm=True, dropout=0.5
    ),
}


class Encoder(nn.Sequential):
    """Convolutions and dense layers from `(N, 1, H, W)` floats to `(N, features)`."""

    def __init__(self, architecture: Architecture, observation: ObservationSpec, channels: int = 1) -> None:
        height, width, grey = observation.height, observation.width, channels == 1
        layers: list[nn.Module] = []
        for conv in architecture.convolutions:
            height = (height - conv.kernel) // conv.stride + 1
            width = (width - conv.kernel) // conv.stride + 1
            if height < 1 or width < 1:
                raise UserError(
                    f"observation of {observation.width} x {observation.height} pixels is too small for this network: "
                    f"nothing is left for a convolution of {conv.kernel} x {conv.kernel}; "
                    "enlarge observation.width and height in model.yaml or take network: compact"
                )
            layers.append(nn.Conv2d(channels, conv.filters, conv.kernel, conv.stride))
            if architecture.batch_norm:
                layers.append(nn.BatchNorm2d(conv.filters))
            layers.append(architecture.activation())
            channels = conv.filters
        layers.append(nn.Flatten())
        features = channels * height * width
        for size in architecture.dense:
            layers += [nn.Linear(features, size), architecture.activation()]
            if architecture.dropout:
                layers.append(nn.Dropout(architecture.dropout))
            features = size
        super().__init__(*layers)
        self.features = features
        self._layers: tuple[Any, ...] = tuple(layer for layer in self if isinstance(layer, nn.Conv2d | nn.Linear))
        self.compiled = architecture is ARCHITECTURES["compact"] and grey and compact_kernels.worthwhile()
        """Whether there are compiled kernels for this network on this processor."""
        for layer in self._layers:
            nn.init.orthogonal_(layer.weight, 2.0**0.5)
            nn.init.zeros_(layer.bias)

    @property
    def learned(self) -> list[nn.Parameter]:
        """Weight and bias of each layer; `parameters` takes as long as a small layer."""
        return [parameter for layer in self._layers for parameter in (layer.weight, layer.bias)]

    def encode(self, image: Any) -> Tensor:
        """Encode grey images `(N, H, W, C)` uint8 to `(N, features)`; scaling the grey levels is part of the graph."""
        plain = not torch.jit.is_tracing() and not torch.is_autocast_enabled("cpu")  # type: ignore[attr-defined]
        if self.compiled and plain and len(image) > 0:
            parameters = self.learned
            if parameters[0].dtype == torch.float32:
                return compact_encoder.encode(image, parameters)
        # Not permute: with one channel its strides look like channels-last to oneDNN, whose convolutions are slow then.
        # In place: two more arrays of this size would cost as much as a convolution.
        height, width, channels = image.shape[1:]
        planes = image.reshape(-1, channels, height, width) if channels == 1 else image.permute(0, 3, 1, 2)
        scaled = planes.to(next(self.parameters()).dtype).mul_(1.0 / 128.0).sub_(1.0)
        out: Tensor = self(scaled)
        return out


def encoder_for(network: str, observation: ObservationSpec) -> Encoder | SensorEncoder:
    """Return the encoder of a network for the sensors of an observation."""
    if observation.front_camera_only:
        return Encoder(ARCHITECTURES[network], observation)
    from deepracer_training.sensor_encoder import SensorEncoder  # which is made of encoders

    return SensorEncoder(network, observation)


class ActorCritic(nn.Module):
    """Policy and value on one encoder.

    Continuous actions are Gaussian in the normalised space `[-1, 1]^2` (steering, speed) with a noise that does not
    depend on the image; discrete ones are categorical over the action table.
    """

    def __init__(
        self, network: str, observation: ObservationSpec, action_space: ActionSpace, log_std_init: float = -0.5
    ) -> None:
        super().__init__()
        self.continuous = isinstance(action_space, ContinuousActionSpace)
        self.stateful = ARCHITECTURES[network].batch_norm or ARCHITECTURES[network].dropout > 0
        """Whether a forward pass in training changes something: running means, or torch's global random state."""
        self.encoder = encoder_for(network, observation)
        outputs = 2 if isinstance(action_space, ContinuousActionSpace) else len(action_space.actions)
        self.policy = nn.Linear(self.encoder.features, outputs)
        self.value = nn.Linear(self.encoder.features, 1)
        nn.init.orthogonal_(self.policy.weight, 0.01)
        nn.init.orthogonal_(self.value.weight, 1.0)
        nn.init.zeros_(self.policy.bias)
        nn.init.zeros_(self.value.bias)
        self.log_std = nn.Parameter(torch.full((2,), float(log_std_init))) if self.continuous else None

    def head(self, observation: Observation) -> Tensor:
        """Return what the greedy action is decoded from: normalised actions `(N, 2)` or logits `(N, n)`."""
        out: Tensor = self.policy(self.encoder.encode(observation))
        return out

    def forward(self, observation: Observation) -> tuple[Distribution, Tensor]:
        """Return the action distribution and the value `(N,)` of observations, images `(N, H, W, 1)` uint8 mostly."""
        features = self.encoder.encode(observation)
        head = self.policy(features).float()
        value = self.value(features).float().squeeze(-1)
        if self.log_std is None:
            return Categorical(head), value
        return Gaussian(head, self.log_std.clamp(*LOG_STD_RANGE)), value


class Gaussian:
    """Diagonal normal distribution; lean, since torch.distributions costs as much as the compact network."""

    LOG_2PI = 1.8378770664093453

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean, self.log_std = mean, log_std

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw actions `(N, 2)`."""
        noise = torch.randn(self.mean.shape, generator=generator)
        return self.mean + noise * self.log_std.exp()

    def greedy(self) -> Tensor:
        """Return the most likely actions `(N, 2)`."""
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """Return log densities `(N,)`."""
        z = (action - self.mean) * (-self.log_std).exp()
        return (-0.5 * (z * z + self.LOG_2PI) - self.log_std).sum(-1)


class Categorical:
    """Distribution over a table of actions."""

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = functional.log_softmax(logits, dim=-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw indices `(N,)`."""
        return torch.multinomial(self.log_probs.exp(), 1, generator=generator).squeeze(-1)

    def greedy(self) -> Tensor:
        """Return the most likely indices `(N,)`."""
        return self.log_probs.argmax(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Return log probabilities `(N,)` of indices `(N,)`."""
        return self.log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)


Distribution = Gaussian | Categorical


def stack_distributions(policies: Sequence[Distribution]) -> Distribution:
    """Join what one agent said at several moments along a new first dimension."""
    gaussians = [policy for policy in policies if isinstance(policy, Gaussian)]
    if gaussians:
        return Gaussian(torch.stack([policy.mean for policy in gaussians]), gaussians[0].log_std)
    return Categorical(torch.stack([policy.log_probs for policy in policies if isinstance(policy, Categorical)]))


class DeployedPolicy(nn.Module):
    """The graph that drives: sensors in; steering angle (rad), speed (m/s) and, if discrete, probabilities out."""

    low: Tensor
    span: Tensor
    table: Tensor

    def __init__(
        self, agent: ActorCritic | SoftActorCritic, action_space: ActionSpace, inputs: Sequence[str] = ("image",)
    ) -> None:
        super().__init__()
        self.agent = agent
        self.input_names = list(inputs)
        self.action_space = action_space
        if isinstance(action_space, ContinuousActionSpace):
            low, high = torch.from_numpy(action_space.low.copy()), torch.from_numpy(action_space.high.copy())
            self.register_buffer("low", low.float())
            self.register_buffer("span", (high - low).float())
        else:
            self.register_buffer("table", torch.from_numpy(action_space.table().copy()).float())

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs in order, as the policy file defines them."""
        names = ["steering_angle", "speed"]
        return names if self.agent.continuous else [*names, "action_probabilities"]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Decode the greedy action of inputs, in the order of `input_names`, into physical units, each `(N,)`."""
        head = self.agent.head(from_inputs(dict(zip(self.input_names, inputs, strict=True))))
        if self.agent.continuous:
            action = self.low + (head.clamp(-1.0, 1.0) + 1.0) * 0.5 * self.span
            return action[:, 0], action[:, 1]
        probabilities = functional.softmax(head, dim=-1)
        action = self.table[probabilities.argmax(-1)]
        return action[:, 0], action[:, 1], probabilities
