"""The agent at work: collecting experience with the current policy, learning from it, driving trial laps."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.camera.world import World
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.objects import build_objects
from deepracer_sim.race.rules import EpisodeStatus, RaceRules
from deepracer_sim.simulator import Simulator
from deepracer_sim.tracks.library import load_track
from deepracer_training.environment import Episode, RacingEnv
from deepracer_training.models.config import ROLLOUT_LIMIT_BYTES, ModelConfig
from deepracer_training.networks import ActorCritic, Distribution, stack_distributions
from deepracer_training.observations import ArrayObservation, Observation, as_tensors, concatenate, stack, take
from deepracer_training.ppo import PPO, PPOSettings, Rollout
from deepracer_training.rewards.function import RewardFunction
from deepracer_training.sac_networks import SoftActorCritic

TRIAL_CARS = 16
NO_LAP_S = 1e9
"""Lap time of a trial without a complete lap, to compare."""
MAX_ROLLOUT_STEPS = 10_000
"""AWS's cap on the experience of one update; the rest of an endless episode is bootstrapped instead of dropped."""


def global_random_state() -> dict[str, Any]:
    """Return the state of the generators that reward functions and dropout draw from as plain JSON."""
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    torch_state = base64.b64encode(torch.get_rng_state().numpy().tobytes()).decode("ascii")
    inner = {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}
    return {"python": random.getstate(), "numpy": {**numpy_state, "state": inner}, "torch": torch_state}


def set_global_random_state(state: dict[str, Any]) -> None:
    """Go on where `global_random_state` was taken.

    Raises:
        UserError: It was not.
    """
    try:
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        inner = {**state["numpy"]["state"], "key": np.array(state["numpy"]["state"]["key"], np.uint32)}
        np.random.set_state({**state["numpy"], "state": inner})
        torch.set_rng_state(torch.from_numpy(np.frombuffer(base64.b64decode(state["torch"]), np.uint8).copy()))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"the random state in the checkpoint is damaged ({error}); start anew") from error


class Learner:
    """Agent, optimiser, the cars that gather their experience, and the random numbers of actions and shuffling."""

    def __init__(self, config: ModelConfig, env: RacingEnv, seed: int) -> None:
        torch.manual_seed(seed)
        torch.set_num_threads(1)  # see PPO
        self.config, self.env = config, env
        self.agent = ActorCritic(
            config.network, config.observation, config.action_space, config.training.log_std_init
        ).eval()
        hyperparameters, training = config.hyperparameters, config.training
        self.optimizer = torch.optim.Adam(self.agent.parameters(), lr=hyperparameters.lr, eps=1e-5, fused=True)
        self.generator = torch.Generator().manual_seed(seed)
        settings = PPOSettings(
            batch_size=hyperparameters.batch_size,
            num_epochs=hyperparameters.num_epochs,
            discount_factor=hyperparameters.discount_factor,
            gae_lambda=training.gae_lambda,
            clip_range=training.clip_range,
            beta_entropy=hyperparameters.beta_entropy,
            value_coefficient=training.value_coefficient,
            max_grad_norm=training.max_grad_norm,
            huber=hyperparameters.loss_type == "huber",
            bfloat16=_use_bfloat16(config),
        )
        self.ppo = PPO(self.agent, self.optimizer, settings, self.generator)
        self.restart()

    def restart(self) -> None:
        """Start new episodes in all cars."""
        self._observation: ArrayObservation = self.env.reset()[0]

    @torch.no_grad()
    def collect(self) -> Rollout:
        """Drive with sampled actions until the update schedule asks for an update."""
        observations: list[Observation] = []
        policies: list[Distribution] = []
        steps: list[tuple[torch.Tensor, ...]] = []
        cut: list[Observation] = []
        episodes = 0
        while not self._enough(len(steps), episodes):
            observation = as_tensors(self._observation)
            policy, value = self.agent(observation)
            action = policy.sample(self.generator)
            self._observation, reward, terminated, truncated, info = self.env.step(action.numpy())
            if truncated.any():
                cut.append(as_tensors(take(info["final_obs"], truncated)))
            done = terminated | truncated
            episodes += int(done.sum())
            observations.append(observation)
            policies.append(policy)
            results = torch.from_numpy(reward.astype(np.float32)), torch.from_numpy(done), torch.from_numpy(truncated)
            steps.append((action, value, *results))
        actions, values, rewards, dones, truncations = (torch.stack(column) for column in zip(*steps, strict=True))
        if cut:
            # A cut episode would have gone on: its last reward carries the value of what was cut off.
            seen = concatenate(cut)
            parts = seen.chunk(-(-len(seen) // self.env.num_envs))
            cut_values = torch.cat([self.agent(part)[1] for part in parts])
            rewards[truncations] += self.config.hyperparameters.discount_factor * cut_values
        _, last_values = self.agent(as_tensors(self._observation))
        log_probs = stack_distributions(policies).log_prob(actions)
        return Rollout(stack(observations), actions, log_probs, values, rewards, dones, last_values)

    def learn(self, rollout: Any, before_batch: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Update the agent on a `Rollout` and return the statistics; `before_batch` may end this by raising."""
        return asdict(self.ppo.update(rollout, before_batch))

    def _enough(self, steps: int, episodes: int) -> bool:
        training = self.config.training
        if training.update_schedule == "fixed_horizon":
            return steps == training.horizon_steps
        wanted = self.config.hyperparameters.num_episodes_between_training
        return episodes >= wanted or (steps + 1) * self.env.num_envs > longest_rollout(self.config.observation)


def longest_rollout(observation: ObservationSpec) -> int:
    """Return how many steps of all cars together one rollout may have: AWS's number, or what memory allows."""
    return min(MAX_ROLLOUT_STEPS, ROLLOUT_LIMIT_BYTES // observation.size_bytes)


@dataclass(frozen=True)
class Trial:
    """Greedy laps in the training environment."""

    laps: int
    laps_completed: int
    progress_mean: float
    lap_time_mean_s: float | None
    reward_mean: float

    @property
    def scores(self) -> dict[str, list[float]]:
        """Sort keys by metric of `checkpoint.BEST`.

        By progress: more complete laps, then more progress, then faster laps. By reward: the mean per lap. By lap time:
        faster laps, among trials with at least half of the laps complete.
        """
        lap_time = -(self.lap_time_mean_s or NO_LAP_S)
        return {
            "progress": [self.laps_completed, round(self.progress_mean, 3), lap_time],
            "reward": [self.reward_mean],
            "lap_time": [float(2 * self.laps_completed >= self.laps), lap_time],
        }


@torch.no_grad()
def drive_trial(
    agent: ActorCritic | SoftActorCritic,
    env: RacingEnv,
    seed: int,
    on_episode: Callable[[Episode], None] = lambda episode: None,
) -> Trial:
    """Drive one greedy lap per car from starts that are the same for each trial of a seed.

    Args:
        agent: Drives.
        env: Its cars.
        seed: Of the starts.
        on_episode: Hears of each car's lap, in the order in which they end.
    """
    observation, _ = env.reset(seed=seed)
    env.pop_episodes()
    first: dict[int, Episode] = {}
    while len(first) < env.num_envs:
        policy, _ = agent(as_tensors(observation))
        observation = env.step(policy.greedy().numpy())[0]
        for episode in env.pop_episodes():
            if episode.car not in first:
                first[episode.car] = episode
                on_episode(episode)
    complete = [episode for episode in first.values() if episode.status is EpisodeStatus.LAP_COMPLETE]
    return Trial(
        laps=len(first),
        laps_completed=len(complete),
        progress_mean=float(np.mean([episode.progress for episode in first.values()])),
        lap_time_mean_s=float(np.mean([episode.lap_time_s for episode in complete])) if complete else None,
        reward_mean=float(np.mean([episode.reward for episode in first.values()])),
    )


@dataclass(frozen=True)
class Fleet:
    """The simulators of a training."""

    cars: Simulator
    trial: Simulator
    """For trial laps; may be the same one, which is then borrowed."""


def embedded_fleet(config: ModelConfig, seed: int) -> Fleet:
    """Build the cars of a model in this process, in one world.

    Args:
        config: The model.
        seed: Of the world's textures.
    """
    track, vehicle = load_track(config.track), load_vehicle(config.vehicle)
    world = World(track, seed=seed)
    cars, trial = (
        EmbeddedSimulator(
            track,
            vehicle,
            count,
            observation=config.observation,
            world=world,
            objects=build_objects(config.race, track, count, vehicle.control_period_ns, seed),
        )
        for count in (config.training.cars, TRIAL_CARS)
    )
    return Fleet(cars, trial)


def make_env(config: ModelConfig, simulator: Simulator, reward: RewardFunction, seed: int, start: str) -> RacingEnv:
    """Build the environment of a model; it gets a copy of the reward function that remembers nothing."""
    if config.race is not None and simulator.objects is None:
        raise UserError(
            f"race_type is {config.race_type}, but this simulator has no objects on the road; only the embedded "
            "one has: train without ROS, or with race_type: time_trial and race: null"
        )
    rules = RaceRules.training(config.training.max_episode_steps)
    return RacingEnv(simulator, reward.fresh(), config.action_space, rules=rules, start=start, seed=seed)


def _use_bfloat16(config: ModelConfig) -> bool:
    """Decide the precision: bfloat16 pays for AWS's large convolutions, not for the compact network (measured)."""
    if config.training.precision != "auto":
        return config.training.precision == "bfloat16"
    return config.network != "compact" and torch.cpu._is_avx512_bf16_supported()
