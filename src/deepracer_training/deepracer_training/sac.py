"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905) with AWS's fixed temperature, readable on one screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from deepracer_inference.errors import DeepRacerError
from deepracer_training import compact_encoder
from deepracer_training.observations import from_inputs
from deepracer_training.sac_networks import SoftActorCritic


@dataclass(frozen=True)
class SACSettings:
    """What learning needs; model.yaml is where a user sets it."""

    batch_size: int
    discount_factor: float
    sac_alpha: float
    """Worth of a nat of entropy, in units of reward."""
    target_rate: float
    max_grad_norm: float
    huber: bool
    """Huber loss with delta 1 for the critics instead of the mean squared error."""


@dataclass(frozen=True)
class SACStats:
    """Means over all gradient steps of one update."""

    policy_loss: float
    value_loss: float
    entropy: float
    q_mean: float


class ReplayBuffer:
    """The newest transitions, as columns; the oldest make room for new ones."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.columns: dict[str, Tensor] = {}
        self.added = 0
        """Transitions ever added."""

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, columns: Mapping[str, Tensor]) -> None:
        """Store transitions, the same number in each column."""
        if not self.columns:
            for name, column in columns.items():
                self.columns[name] = torch.empty((self.capacity, *column.shape[1:]), dtype=column.dtype)
        count = len(next(iter(columns.values())))
        kept = min(count, self.capacity)
        places = (self.added + torch.arange(count - kept, count)) % self.capacity
        for name, column in columns.items():
            self.columns[name][places] = column[count - kept :]
        self.added += count

    def newest(self, count: int) -> dict[str, Tensor]:
        """Return the newest transitions, the oldest of them first."""
        places = torch.arange(self.added - count, self.added) % self.capacity
        return {name: column[places] for name, column in self.columns.items()}

    def sample(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw transitions, each with equal chance."""
        rows = torch.randint(len(self), (count,), generator=generator)
        return {name: column[rows] for name, column in self.columns.items()}


class SAC:
    """The learning half of training: improves an agent on what the replay buffer holds."""

    def __init__(
        self, agent: SoftActorCritic, optimizer: Optimizer, settings: SACSettings, generator: torch.Generator
    ) -> None:
        """Prepare the updates.

        Args:
            agent: Changed in place by `update`.
            optimizer: Over the parameters of its actor and critics.
            settings: Hyperparameters.
            generator: Draws transitions and actions; the only source of chance here.
        """
        self.agent, self.optimizer, self.settings, self.generator = agent, optimizer, settings, generator
        if agent.encoder.compiled:
            compact_encoder.prepare()
        self._learning = [parameter for parameter in agent.parameters() if parameter.requires_grad]

    def update(self, replay: ReplayBuffer, steps: int, before_batch: Callable[[], None] = lambda: None) -> SACStats:
        """Take gradient steps on random minibatches.

        Args:
            replay: The experience.
            steps: How many.
            before_batch: Called before each step; an error raised there leaves the agent as of the step before.

        Raises:
            DeepRacerError: The training has diverged; the agent is as of the step before.
        """
        sums = torch.zeros(4)
        self.agent.train()
        for _ in range(steps):
            before_batch()
            sums += self._step(replay.sample(self.settings.batch_size, self.generator))
        self.agent.eval()
        return SACStats(*(sums / steps).tolist())

    def _step(self, batch: dict[str, Tensor]) -> Tensor:
        """Take one gradient step on actor and critics; return its four statistics."""
        agent, settings = self.agent, self.settings
        observation, following = (
            from_inputs({name[len(prefix) :]: batch[name] for name in batch if name.startswith(prefix)})
            for prefix in ("now.", "next.")
        )
        with torch.no_grad():
            action, log_prob = agent.policy(agent.features(following)).sample_with_log_prob(self.generator)
            value = agent.target_values(following, action).amin(0) - settings.sac_alpha * log_prob
            target = batch["reward"] + settings.discount_factor * value * batch["goes_on"]

        features = agent.features(observation)
        values = agent.critics(features, batch["action"])
        loss = functional.smooth_l1_loss if settings.huber else functional.mse_loss
        value_loss = loss(values, target.expand_as(values))

        features = features.detach()  # only the critics train the encoder
        action, log_prob = agent.policy(features).sample_with_log_prob(self.generator)
        policy_loss = (settings.sac_alpha * log_prob - agent.critics(features, action).amin(0)).mean()

        self.optimizer.zero_grad(set_to_none=True)
        value_loss.backward()  # type: ignore[no-untyped-call]
        # Not backward(): the critics must not learn to please the actor.
        actor = list(agent.actor.parameters())
        for parameter, gradient in zip(actor, torch.autograd.grad(policy_loss, actor), strict=True):
            parameter.grad = gradient
        if not clip_grad_norm_(self._learning, settings.max_grad_norm).isfinite():
            raise DeepRacerError(
                "the training has diverged: a gradient is not finite; lower hyperparameters.lr in model.yaml, "
                "or see whether the rewards are huge, and go on with --resume from the last checkpoint"
            )
        self.optimizer.step()
        agent.move_target(settings.target_rate)
        agent.updates += 1
        return torch.stack([policy_loss, value_loss, -log_prob.mean(), values.mean()]).detach()
