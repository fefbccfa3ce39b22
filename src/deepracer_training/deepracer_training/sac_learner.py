"""Soft actor-critic at work: drives with the current policy, remembers, learns from what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from deepracer_training.environment import RacingEnv
from deepracer_training.learner import Learner
from deepracer_training.models.config import ModelConfig
from deepracer_training.observations import ArrayObservation, as_inputs, as_tensors
from deepracer_training.sac import SAC, ReplayBuffer, SACSettings
from deepracer_training.sac_networks import ACTIONS, SoftActorCritic


@dataclass
class Drive:
    """Steps of N cars since the last update; what they saw is in the replay buffer."""

    rewards: Tensor  # (T, N)


class SacLearner:
    """Agent, optimiser, replay buffer and the cars that fill it; the counterpart of PPO's `Learner`."""

    def __init__(self, config: ModelConfig, env: RacingEnv, seed: int) -> None:
        torch.manual_seed(seed)
        torch.set_num_threads(1)  # see PPO
        self.config, self.env = config, env
        self.agent = SoftActorCritic(config.network, config.observation).eval()
        hyperparameters, training = config.hyperparameters, config.training
        learning = [parameter for parameter in self.agent.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(learning, lr=hyperparameters.lr, fused=True)
        self.generator = torch.Generator().manual_seed(seed)
        settings = SACSettings(
            batch_size=hyperparameters.batch_size,
            discount_factor=hyperparameters.discount_factor,
            sac_alpha=hyperparameters.sac_alpha,
            target_rate=training.target_rate,
            max_grad_norm=training.max_grad_norm,
            huber=hyperparameters.loss_type == "huber",
        )
        self.sac = SAC(self.agent, self.optimizer, settings, self.generator)
        self.replay = ReplayBuffer(training.replay_size)
        self.restart()

    def restart(self) -> None:
        """Start new episodes in all cars."""
        self._observation: ArrayObservation = self.env.reset()[0]

    @torch.no_grad()
    def collect(self) -> Drive:
        """Drive with sampled actions until the update schedule asks for an update; at random before the first one."""
        rewards: list[Tensor] = []
        episodes = 0
        while not self._enough(len(rewards), episodes):
            before = as_tensors(self._observation)
            if self.agent.updates == 0:
                action = 2.0 * torch.rand((self.env.num_envs, ACTIONS), generator=self.generator) - 1.0
            else:
                action = self.agent(before)[0].sample(self.generator)
            self._observation, reward, terminated, truncated, info = self.env.step(action.numpy())
            done = terminated | truncated
            # What an action led to is not what the car sees next, where a new episode has begun already.
            after = as_tensors(info["final_obs"] if done.any() else self._observation)
            rewards.append(torch.from_numpy(reward).float())
            self.replay.add(
                {
                    **{f"now.{name}": tensor for name, tensor in as_inputs(before).items()},
                    **{f"next.{name}": tensor for name, tensor in as_inputs(after).items()},
                    "action": action,
                    "reward": rewards[-1],
                    # A cut episode would have gone on.
                    "goes_on": torch.from_numpy(~terminated).float(),
                }
            )
            episodes += int(done.sum())
        return Drive(torch.stack(rewards))

    def learn(self, drive: Any, before_batch: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Take gradient steps in proportion to a new `Drive` and return the statistics."""
        samples = drive.rewards.numel() * self.config.training.replay_ratio
        steps = max(1, round(samples / self.config.hyperparameters.batch_size))
        return asdict(self.sac.update(self.replay, steps, before_batch))

    def _enough(self, steps: int, episodes: int) -> bool:
        training = self.config.training
        if len(self.replay) < min(training.warmup_steps, training.replay_size):
            return False
        if training.update_schedule == "fixed_horizon":
            return steps >= training.horizon_steps
        return episodes >= self.config.hyperparameters.num_episodes_between_training


def make_learner(config: ModelConfig, env: RacingEnv, seed: int) -> Learner | SacLearner:
    """Return the learner of the model's training algorithm."""
    return SacLearner(config, env, seed) if config.training_algorithm == "sac" else Learner(config, env, seed)
