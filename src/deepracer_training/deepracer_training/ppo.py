"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), readable from top to bottom.

The objective itself is in `ppo_objective`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from deepracer_inference.errors import DeepRacerError
from deepracer_training import compact_encoder, compact_ppo, ppo_objective
from deepracer_training.networks import ActorCritic, Gaussian
from deepracer_training.observations import Observation
from deepracer_training.ppo_objective import Experience, Weights


@dataclass(frozen=True)
class PPOSettings:
    """What one update needs; model.yaml is where a user sets it."""

    batch_size: int
    num_epochs: int
    discount_factor: float
    gae_lambda: float
    clip_range: float
    beta_entropy: float
    value_coefficient: float
    max_grad_norm: float
    huber: bool
    """Huber loss with delta 1 on the value instead of the mean squared error."""
    bfloat16: bool = False
    """Run the network in bfloat16 where autocast finds it safe."""


@dataclass
class Rollout:
    """T steps of N cars; done tells that the episode ended with this step, whatever the reason."""

    observations: Observation  # (T, N, H, W, 1) uint8, or several sensors
    actions: Tensor  # (T, N, 2) float or (T, N) int64
    log_probs: Tensor  # (T, N)
    values: Tensor  # (T, N)
    rewards: Tensor  # (T, N); already carries the bootstrap of episodes cut by a limit
    dones: Tensor  # (T, N) bool
    last_values: Tensor  # (N,) value of the observation after the last step


@dataclass(frozen=True)
class UpdateStats:
    """Means over all minibatches of one update."""

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    explained_variance: float


def advantages(rollout: Rollout, discount_factor: float, gae_lambda: float) -> Tensor:
    """Estimate advantages `(T, N)` by GAE (Schulman et al. 2016, arXiv:1506.02438)."""
    out = torch.empty_like(rollout.rewards)
    next_value, next_advantage = rollout.last_values, torch.zeros_like(rollout.last_values)
    going_on = (~rollout.dones).float()
    for t in range(len(out) - 1, -1, -1):
        delta = rollout.rewards[t] + discount_factor * next_value * going_on[t] - rollout.values[t]
        next_advantage = delta + discount_factor * gae_lambda * going_on[t] * next_advantage
        next_value = rollout.values[t]
        out[t] = next_advantage
    return out


class PPO:
    """The learning half of training: improves an agent on one rollout at a time.

    The gradient of a minibatch is computed in two halves by two threads, each of them single-threaded inside. On an
    idle machine torch's own thread pool is a tenth faster for networks of this size, but its threads wait for each
    other by spinning: with one busy neighbour on two cores a minibatch took 15 times as long. Two halves whatever the
    number of cores: the result must not depend on it.
    """

    def __init__(
        self, agent: ActorCritic, optimizer: Optimizer, settings: PPOSettings, generator: torch.Generator
    ) -> None:
        """Prepare the updates.

        Args:
            agent: Changed in place by `update`.
            optimizer: Over the agent's parameters.
            settings: Hyperparameters.
            generator: Shuffles; the only source of chance here.
        """
        self.agent, self.optimizer, self.settings, self.generator = agent, optimizer, settings, generator
        self._parameters = list(agent.parameters())
        self._compiled = agent.encoder.compiled and not settings.bfloat16
        self._parts = 1 if agent.stateful else 2
        if self._compiled:
            compact_encoder.prepare()
        ppo_objective.prepare()
        self._pool = ThreadPoolExecutor(1, "gradient")

    def update(self, rollout: Rollout, before_batch: Callable[[], None] = lambda: None) -> UpdateStats:
        """Take several epochs of clipped policy gradient steps on the shuffled minibatches of a rollout.

        Args:
            rollout: The experience.
            before_batch: Called before each step; an error raised there leaves the agent as of the step before.

        Raises:
            DeepRacerError: The training has diverged; the agent is as of the step before.
        """
        settings = self.settings
        advantage = advantages(rollout, settings.discount_factor, settings.gae_lambda).flatten()
        old_values = rollout.values.flatten()
        target = advantage + old_values
        columns: tuple[Any, ...] = (
            rollout.observations.flatten(0, 1),
            rollout.actions.flatten(0, 1),
            rollout.log_probs.flatten(),
            (advantage - advantage.mean()) / (advantage.std() + 1e-8),
            target,
        )
        sums, steps = torch.zeros(5, dtype=torch.float64), 0

        self.agent.train()
        for _ in range(settings.num_epochs):
            for batch in torch.randperm(len(target), generator=self.generator).split(settings.batch_size):
                if len(batch) < min(len(target), settings.batch_size) // 2:
                    continue  # a small rest would take a full step on a noisy gradient
                before_batch()
                sums += self._gradient([column.index_select(0, batch) for column in columns])
                norm = clip_grad_norm_(self._parameters, settings.max_grad_norm)
                if not norm.isfinite():
                    raise DeepRacerError(
                        "the training has diverged: a gradient is not finite; lower hyperparameters.lr in model.yaml, "
                        "or see whether the rewards are huge, and go on with --resume from the last checkpoint"
                    )
                self.optimizer.step()
                steps += 1
        self.agent.eval()
        explained = 1.0 - (target - old_values).var() / (target.var() + 1e-8)
        policy_loss, value_loss, entropy, approx_kl, clip_fraction = (sums / steps).tolist()
        return UpdateStats(policy_loss, value_loss, entropy, approx_kl, clip_fraction, float(explained))

    def _gradient(self, columns: list[Any]) -> Tensor:
        """Leave the gradient of a minibatch in the agent's parameters; return its five statistics."""
        settings = self.settings
        weights = Weights(
            sample=1.0 / len(columns[-1]),
            clip_range=settings.clip_range,
            value=settings.value_coefficient,
            entropy=settings.beta_entropy,
            huber=settings.huber,
        )
        if self._compiled:
            return compact_ppo.differentiate(self.agent, columns, weights)
        parts = list(zip(*(column.chunk(self._parts) for column in columns), strict=True))
        others = [self._pool.submit(self._differentiate, part, weights) for part in parts[1:]]
        stats, gradients = self._differentiate(parts[0], weights)
        for other in others:
            their_stats, their_gradients = other.result()
            stats += their_stats
            for mine, theirs in zip(gradients, their_gradients, strict=True):
                mine += theirs
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient.contiguous()  # fused Adam would take other layouts for this one
        return stats

    def _differentiate(self, columns: tuple[Any, ...], weights: Weights) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return statistics and gradient of the clipped objective over a part of a minibatch."""
        observations, *experience = columns
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bfloat16, cache_enabled=False):
            policy, value = self.agent(observations)
        head, log_std = (policy.mean, policy.log_std) if isinstance(policy, Gaussian) else (policy.log_probs, None)
        stats, *derivatives = ppo_objective.differentiate(
            head.detach().contiguous().numpy(),
            value.detach().contiguous().numpy(),
            None if log_std is None else log_std.detach().numpy(),
            weights,
            Experience(*(column.numpy() for column in experience)),
        )
        said = [tensor for tensor in (head, value, log_std) if tensor is not None]
        outputs = [torch.from_numpy(derivative) for derivative in derivatives if derivative is not None]
        return torch.from_numpy(stats), torch.autograd.grad(said, self._parameters, outputs)
