"""The dictionary that reward functions get, on a rectangle and a circle where its values can be worked out by hand."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.race import RaceRules, Referee
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.rewards.function import RewardFunction
from deepracer_training.rewards.params import REWARD_KEYS, Params, RewardInputs

SHARED = Path(__file__).parents[3].parent / "shared"


def states(poses: FloatArray, time_ns: int = 0) -> CarStates:
    x, y, yaw = np.asarray(poses, dtype=np.float64).reshape(-1, 3).T.copy()
    other = np.full(len(x), 0.123)  # measured speeds and angles, which reward functions never see
    return CarStates(x, y, yaw, other, other, other, other, time_ns)


def params_at(
    track: Track,
    vehicle: Vehicle,
    pose: tuple[float, float, float],
    *,
    start: tuple[float, float, float] | None = None,
    steering_deg: float = 0.0,
    speed: float = 1.0,
    time_ns: int = 0,
) -> Params:
    referee = Referee(track, vehicle, RaceRules.training(), 1, vehicle.control_period_ns)
    referee.start(np.array([0]), np.array([start or pose]))
    state = states(np.array([pose]), time_ns)
    inputs = RewardInputs(track, vehicle)
    inputs.observe(referee.judge(state), state, np.radians([steering_deg]), np.array([speed]))
    return inputs.params(0)


def test_every_key_on_the_straight(rectangle: Track, vehicle: Vehicle) -> None:
    params = params_at(
        rectangle,
        vehicle,
        (4.0, 0.2, 0.0),
        start=(3.0, 0.0, 0.0),
        steering_deg=15.0,
        speed=1.7,
        time_ns=2_500_000_000,
    )
    assert params == {
        "all_wheels_on_track": True,
        "x": pytest.approx(4.14),
        "y": pytest.approx(0.2),
        "heading": 0.0,
        "distance_from_center": pytest.approx(0.2),
        "projection_distance": pytest.approx(2.14),
        "progress": pytest.approx(100 * 1.14 / 24),
        "steps": 1,
        "speed": 1.7,
        "steering_angle": 15.0,
        "track_width": pytest.approx(1.0),
        "track_length": pytest.approx(24.0),
        "waypoints": [(2.0, 0.0), (8.0, 0.0), (8.0, 4.0), (0.0, 4.0), (0.0, 0.0), (2.0, 0.0)],
        "closest_waypoints": [0, 1],
        "is_left_of_center": True,
        "is_reversed": False,
        "closest_objects": [0, 0],
        "objects_location": [],
        "objects_left_of_center": [],
        "object_in_camera": False,
        "objects_speed": [],
        "objects_heading": [],
        "objects_distance_from_center": [],
        "objects_distance": [],
        "is_crashed": False,
        "is_offtrack": False,
        "sim_time": pytest.approx(2.5),
    }
    assert tuple(params) == REWARD_KEYS
    assert len(REWARD_KEYS) == 27


def test_values_are_plain_python(rectangle: Track, vehicle: Vehicle) -> None:
    params = params_at(rectangle, vehicle, (4.0, 0.2, 0.0))
    kinds = {key: type(value) for key, value in params.items()}
    assert set(kinds.values()) <= {bool, int, float, list}
    assert kinds["steps"] is int
    assert all(type(waypoint) is tuple and type(waypoint[0]) is float for waypoint in params["waypoints"])
    assert [type(index) for index in params["closest_waypoints"]] == [int, int]


def test_x_and_y_are_the_nose(circle: Track, vehicle: Vehicle) -> None:
    # On the circle at (0, 2), looking outwards: the nose is 0.14 m farther from the middle.
    params = params_at(circle, vehicle, (0.0, 2.0, math.pi / 2))
    assert (params["x"], params["y"]) == (pytest.approx(0.0, abs=1e-12), pytest.approx(2.14))
    assert params["distance_from_center"] == pytest.approx(0.14)
    assert params["projection_distance"] == pytest.approx(circle.length / 4)
    assert params["heading"] == pytest.approx(90.0)
    assert params["is_left_of_center"] is False


@pytest.mark.parametrize(
    ("yaw", "heading"), [(3.5, 3.5 - 2 * math.pi), (-4.0, 2 * math.pi - 4.0), (20.0, 20.0 - 6 * math.pi)]
)
def test_heading_is_between_minus_180_and_180(rectangle: Track, vehicle: Vehicle, yaw: float, heading: float) -> None:
    assert params_at(rectangle, vehicle, (4.0, 0.0, yaw))["heading"] == pytest.approx(math.degrees(heading))


def test_is_reversed_means_clockwise_and_not_facing_backwards(rectangle: Track, vehicle: Vehicle) -> None:
    assert params_at(rectangle, vehicle, (4.0, 0.0, math.pi))["is_reversed"] is False
    params = params_at(rectangle.reversed(), vehicle, (4.0, 0.2, math.pi))
    assert params["is_reversed"] is True
    assert params["is_left_of_center"] is False
    assert params["waypoints"] == [(2.0, 0.0), (0.0, 0.0), (0.0, 4.0), (8.0, 4.0), (8.0, 0.0), (2.0, 0.0)]


def test_closest_waypoint_after_the_last_is_the_closing_one(rectangle: Track, vehicle: Vehicle) -> None:
    params = params_at(rectangle, vehicle, (1.0, 0.0, 0.0))
    assert params["closest_waypoints"] == [4, 5]
    assert params["waypoints"][5] == params["waypoints"][0]


def test_wheels_on_and_off_the_track(rectangle: Track, vehicle: Vehicle) -> None:
    seen = [params_at(rectangle, vehicle, (4.0, y, 0.0)) for y in (0.4, 0.5, 0.6)]
    assert [(one["all_wheels_on_track"], one["is_offtrack"]) for one in seen] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_track_width_is_the_width_here(vehicle: Vehicle) -> None:
    # The road widens from 1 m at x = 0 to 2 m at x = 10; its borders are mirror images.
    funnel = Track(
        "funnel",
        center=[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)],
        inner=[(0.0, 0.5), (9.0, 1.0), (9.0, 9.0), (0.5, 9.0)],
        outer=[(0.0, -0.5), (11.0, -1.0), (11.0, 11.0), (-1.0, 11.0)],
    )
    near, far = (params_at(funnel, vehicle, (x, 0.0, 0.0))["track_width"] for x in (1.0, 8.0))
    assert 1.0 < near < 1.2
    assert 1.6 < far < 2.0


def test_actions_in_float32_have_their_round_numbers_again(rectangle: Track, vehicle: Vehicle) -> None:
    referee = Referee(rectangle, vehicle, RaceRules.training(), 1, vehicle.control_period_ns)
    pose = np.array([[4.0, 0.0, 0.0]])
    referee.start(np.array([0]), pose)
    inputs = RewardInputs(rectangle, vehicle)
    for degrees in (-30.0, -15.0, 0.0, 7.5, 15.0, 22.25):
        steering, speed = np.radians([degrees]).astype(np.float32), np.array([1.3], np.float32)
        inputs.observe(referee.judge(states(pose)), states(pose), steering, speed)
        assert (inputs.params(0)["steering_angle"], inputs.params(0)["speed"]) == (degrees, 1.3)


def test_a_function_that_changes_its_params_harms_nobody(rectangle: Track, vehicle: Vehicle) -> None:
    referee = Referee(rectangle, vehicle, RaceRules.training(), 2, vehicle.control_period_ns)
    poses = np.array([[4.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    referee.start(np.arange(2), poses)
    inputs = RewardInputs(rectangle, vehicle)
    inputs.observe(referee.judge(states(poses)), states(poses), np.zeros(2), np.ones(2))
    spoilt = inputs.params(0)
    for value in spoilt.values():
        if isinstance(value, list):
            value.clear()
    spoilt.clear()
    for car in range(2):
        assert len(inputs.params(car)["waypoints"]) == 6
        assert inputs.params(car)["closest_waypoints"] == [0, 1]
    assert inputs.params(1)["x"] == pytest.approx(5.14)


CENTER_LINE = """
    def reward_function(params):
        # Read input variables
        track_width = params['track_width']
        distance_from_center = params['distance_from_center']

        # Calculate 3 marks that are farther and farther away from the center line
        marker_1 = 0.1 * track_width
        marker_2 = 0.25 * track_width
        marker_3 = 0.5 * track_width

        if distance_from_center <= marker_1:
            reward = 1.0
        elif distance_from_center <= marker_2:
            reward = 0.5
        elif distance_from_center <= marker_3:
            reward = 0.1
        else:
            reward = 1e-3
        return reward
"""
ALL_WHEELS = """
    def reward_function(params):
        all_wheels_on_track = params['all_wheels_on_track']
        distance_from_center = params['distance_from_center']
        track_width = params['track_width']
        reward = 1e-3
        if all_wheels_on_track and (0.5 * track_width - distance_from_center) >= 0.05:
            reward = 1.0
        return reward
"""
NO_ZIGZAG = """
    def reward_function(params):
        abs_steering = abs(params['steering_angle'])
        ABS_STEERING_THRESHOLD = 15
        reward = 1.0
        if abs_steering > ABS_STEERING_THRESHOLD:
            reward *= 0.8
        return float(reward)
"""
HEADING = """
    import math

    def reward_function(params):
        waypoints = params['waypoints']
        closest_waypoints = params['closest_waypoints']
        heading = params['heading']

        next_point = waypoints[closest_waypoints[1]]
        prev_point = waypoints[closest_waypoints[0]]

        # Calculate the direction in radius, arctan2(dy, dx), the result is (-pi, pi) in radians
        track_direction = math.atan2(next_point[1] - prev_point[1], next_point[0] - prev_point[0])
        track_direction = math.degrees(track_direction)

        direction_diff = abs(track_direction - heading)
        if direction_diff > 180:
            direction_diff = 360 - direction_diff

        reward = 1.0
        DIRECTION_THRESHOLD = 10.0
        if direction_diff > DIRECTION_THRESHOLD:
            reward *= 0.5
        return float(reward)
"""


@pytest.mark.parametrize(
    ("source", "y", "yaw", "steering", "reward"),
    [
        (CENTER_LINE, 0.09, 0.0, 0.0, 1.0),
        (CENTER_LINE, -0.2, 0.0, 0.0, 0.5),
        (CENTER_LINE, 0.3, 0.0, 0.0, 0.1),
        (CENTER_LINE, 0.6, 0.0, 0.0, 1e-3),
        (ALL_WHEELS, 0.41, 0.0, 0.0, 1.0),
        (ALL_WHEELS, 0.43, 0.0, 0.0, 1e-3),  # wheel beside the road
        (ALL_WHEELS, 0.32, math.pi / 2, 0.0, 1e-3),  # nose within 5 cm of the border
        (NO_ZIGZAG, 0.0, 0.0, -15.0, 1.0),
        (NO_ZIGZAG, 0.0, 0.0, 16.0, 0.8),
        (HEADING, 0.0, math.radians(9.0), 0.0, 1.0),
        (HEADING, 0.0, math.radians(-11.0), 0.0, 0.5),
        (HEADING, 0.0, math.pi, 0.0, 0.5),
    ],
)
def test_functions_in_the_style_of_awss_guide(
    rectangle: Track,
    vehicle: Vehicle,
    reward_file: Callable[[str], Path],
    source: str,
    y: float,
    yaw: float,
    steering: float,
    reward: float,
) -> None:
    function = RewardFunction.load(reward_file(source))
    assert function(params_at(rectangle, vehicle, (4.0, y, yaw), steering_deg=steering), 0) == reward


@pytest.mark.parametrize("name", ["a_to_z_cw_continuous_training_14", "spain_discrete_evaluation"])
def test_params_are_those_of_awss_traces(vehicle: Vehicle, name: str) -> None:
    trace = SHARED / "traces" / f"{name}.csv"
    track_file = SHARED / "tracks" / f"{'Spain_track' if name.startswith('spain') else 'reInvent2019_wide_cw'}.npy"
    if not (trace.is_file() and track_file.is_file()):
        pytest.skip(f"AWS's trace {name} and its track are not beside the repository")
    track = Track.from_rows("real", np.load(track_file, allow_pickle=False))
    with open(trace, newline="", encoding="utf-8") as file:
        episodes = [list(group) for _, group in groupby(csv.DictReader(file), key=lambda row: row["episode"])]
    rules = RaceRules(max_resets=10_000, immobilized_distance=0.0, reversed_steps=10_000, off_track_penalty_s=0.0)
    for episode in episodes[:3]:
        referee = Referee(track, vehicle, rules, 1, vehicle.control_period_ns)
        turn = int(episode[0]["episode"]) if "training" in name else 0
        referee.start(np.array([0]), track.pose_at(turn * 0.05 * track.length))
        inputs = RewardInputs(track, vehicle)
        for row in episode:
            x, y, yaw = float(row["X"]), float(row["Y"]), math.radians(float(row["yaw"]))
            state = states(np.array([[x - 0.14 * math.cos(yaw), y - 0.14 * math.sin(yaw), yaw]]))
            command = math.radians(float(row["steer"])), float(row["throttle"])
            inputs.observe(referee.judge(state), state, np.array([command[0]]), np.array([command[1]]))
            params = inputs.params(0)
            expected = [float(row[key]) for key in ("X", "Y", "yaw", "progress", "track_len", "steps")]
            keys = ("x", "y", "heading", "progress", "track_length", "steps")
            assert [params[key] for key in keys] == pytest.approx(expected, abs=1e-9)
            assert [params["steering_angle"], params["speed"]] == pytest.approx(
                [float(row["steer"]), float(row["throttle"])], abs=1e-5
            )
            assert int(row["closest_waypoint"]) in params["closest_waypoints"]
