"""The environment: Gymnasium's contract, resets, and what counts as an end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteAction, DiscreteActionSpace, Range
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.race.rules import EpisodeStatus, RaceRules
from deepracer_sim.tracks.library import load_track
from deepracer_training.environment import RacingEnv
from deepracer_training.rewards.function import RewardFunction

CONTINUOUS = ContinuousActionSpace(steering_angle=Range(low=-25, high=25), speed=Range(low=1, high=2))
DISCRETE = DiscreteActionSpace(
    actions=(DiscreteAction(steering_angle=30, speed=1.0), DiscreteAction(steering_angle=-30, speed=3.0))
)


@pytest.fixture
def make_env(tmp_path: Path):
    path = tmp_path / "reward_function.py"
    path.write_text("def reward_function(params):\n    return params['progress'] + 1000 * params['speed']\n")
    reward = RewardFunction.load(path)

    def make(space=CONTINUOUS, cars=6, start="random", seed=0, max_steps=100_000) -> RacingEnv:
        simulator = EmbeddedSimulator(
            load_track("riverside"), load_vehicle("deepracer"), cars, observation=ObservationSpec()
        )
        rules = RaceRules.training(max_steps)
        return RacingEnv(simulator, reward.fresh(), space, rules=rules, start=start, seed=seed)

    return make


def test_spaces_and_shapes_follow_gymnasium(make_env) -> None:
    env = make_env()
    observation, info = env.reset(seed=1)
    assert observation in env.observation_space
    assert info == {}
    observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert reward.shape == terminated.shape == truncated.shape == (6,)
    assert terminated.dtype == truncated.dtype == np.bool_


def test_continuous_actions_are_scaled_to_the_ranges_and_clipped(make_env) -> None:
    env, seen = make_env(cars=3), []
    env.listeners.append(lambda step: seen.append((step.steering_angle.copy(), step.speed.copy())))
    env.reset()
    env.step(np.array([[-1.0, -1.0], [0.0, 0.0], [7.0, 7.0]]))
    steering_angle, speed = seen[0]
    np.testing.assert_allclose(np.degrees(steering_angle), [-25, 0, 25], atol=1e-5)
    np.testing.assert_allclose(speed, [1.0, 1.5, 2.0], atol=1e-6)


def test_discrete_actions_are_rows_of_the_table(make_env) -> None:
    env, seen = make_env(DISCRETE, cars=2), []
    env.listeners.append(lambda step: seen.append((step.steering_angle.copy(), step.speed.copy())))
    env.reset()
    _, reward, *_ = env.step(np.array([1, 0]))
    np.testing.assert_allclose(np.degrees(seen[0][0]), [-30, 30], atol=1e-4)
    np.testing.assert_allclose(seen[0][1], [3.0, 1.0])
    # The reward function is given the commanded speed in m/s.
    assert 3000 <= reward[0] < 3100 > 1100 > reward[1] >= 1000


def test_leaving_the_road_terminates_and_starts_anew_in_the_same_step(make_env) -> None:
    env = make_env(cars=4)
    env.reset()
    for _ in range(100):
        observation, _, terminated, truncated, info = env.step(np.tile([1.0, 1.0], (4, 1)))
        if terminated.any():
            break
    car = int(np.flatnonzero(terminated)[0])
    assert not truncated[car]
    episode = env.pop_episodes()[0]
    assert episode.car == car
    assert episode.status is EpisodeStatus.OFF_TRACK
    assert np.isnan(episode.lap_time_s)
    assert not np.array_equal(info["final_obs"][car], observation[car])
    # The new episode stands on the road, slow, near the centre line.
    state = env.simulator.state()
    assert abs(state.speed[car]) < 1e-9
    position = np.array([[state.x[car], state.y[car]]])
    assert abs(env.simulator.track.project(position).lateral[0]) <= 0.2 * env.simulator.track.width + 1e-9


def test_running_out_of_steps_is_a_cut_not_an_end(make_env) -> None:
    env = make_env(cars=2, max_steps=3)
    env.reset()
    for _ in range(2):
        *_, terminated, truncated, _ = env.step(np.zeros((2, 2)))
        assert not (terminated | truncated).any()
    before = env.simulator
    _, _, terminated, truncated, info = env.step(np.zeros((2, 2)))
    assert truncated.all()
    assert not terminated.any()
    assert info["_final_obs"].all()
    assert before is env.simulator
    assert [episode.status for episode in env.pop_episodes()] == [EpisodeStatus.TIME_UP] * 2
    assert env.pop_episodes() == []


def test_episode_reward_is_the_sum_of_its_steps(make_env) -> None:
    env = make_env(cars=1, max_steps=5)
    env.reset()
    rewards = [float(env.step(np.zeros((1, 2)))[1][0]) for _ in range(5)]
    assert env.pop_episodes()[0].reward == pytest.approx(sum(rewards))


def test_round_robin_starts_advance_by_five_percent(make_env) -> None:
    env = make_env(cars=4, start="round_robin", max_steps=1)
    env.reset()
    track, places = env.simulator.track, []
    for _ in range(3):
        state = env.simulator.state()
        places.append(track.project(np.stack([state.x, state.y], axis=1)).arc_length / track.length)
        env.step(np.zeros((4, 2)))
    np.testing.assert_allclose(np.concatenate(places), 0.05 * np.arange(12), atol=1e-6)


def test_same_seed_same_drive_and_another_seed_another(make_env) -> None:
    def drive(seed: int) -> bytes:
        env = make_env(seed=seed)
        observation, _ = env.reset()
        out = [observation.tobytes()]
        actions = np.random.default_rng(0).uniform(-1, 1, (30, 6, 2))
        for action in actions:
            observation, reward, *_ = env.step(action)
            out += [observation.tobytes(), reward.tobytes()]
        return b"".join(out)

    assert drive(1) == drive(1)
    assert drive(1) != drive(2)


def test_reset_with_a_seed_repeats_the_starts(make_env) -> None:
    env = make_env()
    first = env.reset(seed=5)[0]
    env.step(np.zeros((6, 2)))
    assert np.array_equal(env.reset(seed=5)[0], first)
    assert not np.array_equal(env.reset()[0], first)


def test_a_car_does_not_notice_the_others(make_env) -> None:
    many, one = make_env(cars=6), make_env(cars=1)
    pose = many.simulator.track.pose_at(np.array([3.0]))
    for env in (many, one):
        env.reset()
        env.simulator.reset(np.array([0]), pose)
        env.simulator.step(np.full(env.num_envs, 0.2), np.full(env.num_envs, 1.7))
    assert np.array_equal(many.simulator.images()[0], one.simulator.images()[0])
    assert many.simulator.state().x[0] == one.simulator.state().x[0]
