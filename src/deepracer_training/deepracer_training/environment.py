"""The reinforcement learning environment: a simulator, the race rules and the user's reward function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from deepracer_inference.action_space import ActionSpace, ContinuousActionSpace
from deepracer_inference.errors import UserError
from deepracer_inference.sensors import LIDAR_MAX_M
from deepracer_sim.race.referee import Referee, Verdict
from deepracer_sim.race.rules import STATUSES, EpisodeStatus, RaceRules
from deepracer_sim.simulator import CarStates, FloatArray, IntArray, Simulator
from deepracer_training.observations import ArrayObservation, copied
from deepracer_training.rewards.function import RewardFunction
from deepracer_training.rewards.params import RewardInputs

ROUND_ROBIN_ADVANCE = 0.05
"""Share of the lap by which AWS moves the start from episode to episode (`ROUND_ROBIN_ADVANCE_DIST`)."""
START_LATERAL_SHARE = 0.2
START_YAW_RAD = 0.15
"""Random starts lie within this share of the track width from the centre line and within this angle of its heading, so
that the policy meets situations that it must recover from before it causes them itself."""

# An episode that ends well or runs out of time says nothing bad about its last state: PPO bootstraps over the cut.
IS_CUT = np.array([status in (EpisodeStatus.LAP_COMPLETE, EpisodeStatus.TIME_UP) for status in STATUSES])


@dataclass(frozen=True)
class Episode:
    """One finished episode."""

    car: int
    reward: float
    progress: float
    """Percent of a lap."""
    steps: int
    status: EpisodeStatus
    lap_time_s: float
    """NaN unless the lap is complete."""


@dataclass(frozen=True)
class Step:
    """All that happened in one control period, for recorders; arrays are only valid during the call."""

    verdict: Verdict
    state: CarStates
    steering_angle: FloatArray
    """Commands, rad, `(N,)`."""
    speed: FloatArray
    """Commands, m/s, `(N,)`."""
    action: NDArray[Any]
    reward: FloatArray


class RacingEnv(VectorEnv[ArrayObservation, NDArray[Any], NDArray[Any]]):
    """N cars as a `gymnasium.vector.VectorEnv` with same-step autoreset.

    Observations are `(N, H, W, 1)` uint8, or a dict of arrays by the names of the policy graph's inputs if there are
    other sensors than the front camera. Actions are `(N, 2)` floats in [-1, 1] (steering, speed; values beyond are
    clipped) for continuous action spaces, `(N,)` indices for discrete ones. `terminated` is a violation of the rules;
    `truncated` is a complete lap or an exhausted step limit, with the true last image in `info["final_obs"]`.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  (gymnasium's own contract)

    def __init__(
        self,
        simulator: Simulator,
        reward_function: RewardFunction,
        action_space: ActionSpace,
        *,
        rules: RaceRules,
        start: str = "random",
        seed: int = 0,
    ) -> None:
        """Build the environment.

        Args:
            simulator: Renders at the observation size.
            reward_function: The user's.
            action_space: The model's.
            rules: When an episode ends.
            start: `random` or `round_robin`.
            seed: Of the start poses.
        """
        self.num_envs = simulator.cars
        self.simulator = simulator
        self.listeners: list[Callable[[Step], None]] = []
        """Hear of every step, in the thread that drives."""
        self._decode = _decoder(action_space)
        self.single_observation_space = _observation_space(simulator)
        if isinstance(action_space, ContinuousActionSpace):
            self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        else:
            self.single_action_space = gymnasium.spaces.Discrete(len(action_space.actions))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._referee = Referee(simulator.track, simulator.vehicle, rules, self.num_envs, simulator.period_ns)
        self._inputs = RewardInputs(simulator.track, simulator.vehicle)
        self.reward_function = reward_function
        self._round_robin = start == "round_robin"
        self._next_start = 0
        self._random = np.random.default_rng([seed, 1])
        self._returns = np.zeros(self.num_envs)
        self._episodes: list[Episode] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ArrayObservation, dict[str, Any]]:
        """Start a new episode in every car."""
        if seed is not None:
            self._random = np.random.default_rng([seed, 1])
            self._next_start = 0
            if self.simulator.objects is not None:
                self.simulator.objects.reset(seed)
        self._start(np.arange(self.num_envs))
        return self._observations(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[ArrayObservation, FloatArray, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Drive all cars for one control period; finished ones start anew at once."""
        steering_angle, speed = self._decode(actions)
        self.simulator.step(steering_angle, speed)
        state = self.simulator.state()
        objects = self.simulator.objects
        verdict = self._referee.judge(state, objects)
        self._inputs.observe(verdict, state, steering_angle, speed, objects)
        rewards = np.array([self.reward_function(self._inputs.params(car), car) for car in range(self.num_envs)])
        self._returns += rewards
        if self.listeners:
            step = Step(verdict, state, steering_angle, speed, actions, rewards)
            for listen in self.listeners:
                listen(step)

        done = verdict.done.copy()
        truncated = np.zeros_like(done)
        info: dict[str, Any] = {}
        if done.any():
            truncated = done & IS_CUT[verdict.status]
            finished = np.flatnonzero(done)
            self._episodes += [self._episode(int(car), verdict) for car in finished]
            info = {"final_obs": self._observations(), "_final_obs": done}
            self._start(finished)
        return self._observations(), rewards, done & ~truncated, truncated, info

    def random_state(self) -> dict[str, Any]:
        """Return where the start poses go on, as plain JSON."""
        state = {"random": self._random.bit_generator.state, "next": self._next_start}
        if self.simulator.objects is not None:
            state["episodes"] = self.simulator.objects.episodes.tolist()
        return state

    def set_random_state(self, state: dict[str, Any]) -> None:
        """Go on where `random_state` was taken.

        Raises:
            UserError: It was not.
        """
        try:
            self._random.bit_generator.state = state["random"]
            self._next_start = int(state["next"])
            if self.simulator.objects is not None:
                # Absent when the training to resume was a time trial. With another number of cars none may repeat
                # what one of them has met already.
                episodes, now = np.asarray(state.get("episodes", 0), np.int64), self.simulator.objects.episodes
                now[:] = episodes if episodes.shape == now.shape else episodes.max()
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the random state in the checkpoint is damaged ({error}); start anew") from error

    def pop_episodes(self) -> list[Episode]:
        """Return the episodes finished since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def _episode(self, car: int, verdict: Verdict) -> Episode:
        episode = Episode(
            car=car,
            reward=float(self._returns[car]),
            progress=float(verdict.progress[car]),
            steps=int(verdict.steps[car]),
            status=STATUSES[verdict.status[car]],
            lap_time_s=float(verdict.lap_time_s[car]),
        )
        self._returns[car] = 0.0
        return episode

    def _start(self, cars: IntArray) -> None:
        track = self.simulator.track
        if self._round_robin:
            turns = self._next_start + np.arange(len(cars))
            self._next_start += len(cars)
            starts = np.asarray((turns * ROUND_ROBIN_ADVANCE % 1.0) * track.length, np.float64)
            poses = track.pose_at(self._clear(cars, starts))
        else:
            arc_length, lateral, yaw = self._random.random((3, len(cars)))
            starts = self._clear(cars, arc_length * track.length)
            poses = track.pose_at(starts, (2 * lateral - 1) * START_LATERAL_SHARE * track.width)
            poses[:, 2] += (2 * yaw - 1) * START_YAW_RAD
        self._returns[cars] = 0.0
        self.simulator.reset(cars, poses)
        self._referee.start(cars, poses)

    def _clear(self, cars: IntArray, starts: FloatArray) -> FloatArray:
        """Put down the objects of cars that start at these arc lengths; return where they really can."""
        objects = self.simulator.objects
        return starts if objects is None else objects.start(cars, starts)

    def _observations(self) -> ArrayObservation:
        return copied(self.simulator.readings())


def _observation_space(simulator: Simulator) -> gymnasium.spaces.Space[Any]:
    spaces: dict[str, gymnasium.spaces.Space[Any]] = {}
    for name, array in simulator.readings().items():
        high = 255 if array.dtype == np.uint8 else LIDAR_MAX_M
        spaces[name] = gymnasium.spaces.Box(0, high, array.shape[1:], array.dtype.type)
    return spaces["image"] if spaces.keys() == {"image"} else gymnasium.spaces.Dict(spaces)


def _decoder(action_space: ActionSpace) -> Callable[[NDArray[Any]], tuple[FloatArray, FloatArray]]:
    """Return the function from a batch of actions to steering angles (rad) and speeds (m/s)."""
    if isinstance(action_space, ContinuousActionSpace):
        scale = action_space.scaler()

        def decode(actions: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
            physical = scale(actions).astype(np.float64)
            return physical[:, 0], physical[:, 1]

        return decode
    table = action_space.table().astype(np.float64)
    return lambda actions: (table[actions, 0], table[actions, 1])
