"""The networks of soft actor-critic: one encoder, a squashed Gaussian policy, two critics and their slow copies."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepracer_inference.observation import ObservationSpec
from deepracer_training.networks import encoder_for
from deepracer_training.observations import Observation

LOG_STD_RANGE = (-5.0, 1.0)
"""Bounds of the noise before squashing, which the policy chooses from observation to observation."""
HIDDEN = 128
ACTIONS = 2
"""Steering and speed."""


class SquashedGaussian:
    """Normal distribution through tanh: actions in (-1, 1)."""

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        """Take mean and log standard deviation before squashing, each `(N, 2)`."""
        self.mean, self.log_std = mean, log_std

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw actions `(N, 2)`."""
        return self.sample_with_log_prob(generator)[0]

    def sample_with_log_prob(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw actions `(N, 2)` with their log densities `(N,)`, both differentiable."""
        noise = torch.randn(self.mean.shape, generator=generator)
        raw = self.mean + noise * self.log_std.exp()
        normal = -0.5 * (noise * noise + math.log(2.0 * math.pi)) - self.log_std
        # log(1 - tanh(raw)^2) in a form that does not run out of digits.
        squashing = 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))
        return raw.tanh(), (normal - squashing).sum(-1)

    def greedy(self) -> Tensor:
        """Return the action in the middle of the distribution `(N, 2)`."""
        return self.mean.tanh()


class Critics(nn.Module):
    """Two estimates of the soft value of an action, from the features of an observation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_mlp(features + ACTIONS, 1) for _ in range(2))

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """Return both values `(2, N)` of actions `(N, 2)`."""
        both = torch.cat([features, action], dim=-1)
        return torch.stack([head(both).squeeze(-1) for head in self.heads])


class SoftActorCritic(nn.Module):
    """Policy and critics on one encoder, which the critics alone train (Yarats et al. 2021, arXiv:1910.01741)."""

    updates: Tensor
    """Gradient steps so far; a buffer, so that checkpoints hold it."""
    continuous = True

    def __init__(self, network: str, observation: ObservationSpec) -> None:
        super().__init__()
        self.encoder = encoder_for(network, observation)
        width = self.encoder.features
        self.norm = nn.LayerNorm(width)  # or the features grow until tanh passes no gradient
        self.critics = Critics(width)
        self.actor = _mlp(width, 2 * ACTIONS)
        self.target = copy.deepcopy(nn.ModuleDict(self._critical())).requires_grad_(False)
        """Follows what the critics' values depend on, slowly."""
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def features(self, observation: Observation) -> Tensor:
        """Encode observations to `(N, F)` in (-1, 1)."""
        encoded: Tensor = self.norm(self.encoder.encode(observation))
        return encoded.tanh()

    def policy(self, features: Tensor) -> SquashedGaussian:
        """Return the distribution of actions for features `(N, F)`."""
        mean, spread = self.actor(features).chunk(2, dim=-1)
        low, high = LOG_STD_RANGE
        return SquashedGaussian(mean, low + 0.5 * (high - low) * (spread.tanh() + 1.0))

    def head(self, observation: Observation) -> Tensor:
        """Return the greedy action `(N, 2)` in (-1, 1), from which commands are decoded."""
        return self.policy(self.features(observation)).greedy()

    def forward(self, observation: Observation) -> tuple[SquashedGaussian, Tensor]:
        """Return the distribution of actions and the value `(N,)` of the greedy one."""
        features = self.features(observation)
        policy = self.policy(features)
        value: Tensor = self.critics(features, policy.greedy()).amin(0)
        return policy, value

    def target_values(self, observation: Observation, action: Tensor) -> Tensor:
        """Return the slow critics' values `(2, N)` of actions `(N, 2)`."""
        target: Any = self.target
        values: Tensor = target["critics"](target["norm"](target["encoder"].encode(observation)).tanh(), action)
        return values

    @torch.no_grad()
    def move_target(self, rate: float) -> None:
        """Let the slow copies follow by a share of the way."""
        for name, module in self._critical().items():
            slow = self.target[name]
            for mine, theirs in zip(slow.parameters(), module.parameters(), strict=True):
                mine.lerp_(theirs, rate)
            for kept, new in zip(slow.buffers(), module.buffers(), strict=True):
                kept.copy_(new)

    def _critical(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "norm": self.norm, "critics": self.critics}


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))
