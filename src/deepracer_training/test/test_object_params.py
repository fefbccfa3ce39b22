"""AWS's object keys, on a rectangle and a circle where their values can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import BOT_CAR, BOX, Objects
from deepracer_sim.race import RaceRules, Referee
from deepracer_sim.simulator import CarStates
from deepracer_sim.tracks.track import Track
from deepracer_training.rewards.params import REWARD_KEYS, Params, RewardInputs

Pose = tuple[float, float, float]


class Placed(Objects):
    """Objects exactly where a test wants them, the same for every car."""

    def __init__(self, track: Track, poses: list[Pose], cars: int = 1, *, moving: bool = False) -> None:
        super().__init__(track, [BOT_CAR if moving else BOX] * len(poses), cars, 0)
        self.moving = moving
        self.poses[:] = poses
        where = track.project(self.poses[0, :, :2])
        self.arc_length[:], self.lateral[:] = where.arc_length, where.lateral
        self.speed[:] = 0.75 if moving else 0.0


def params_at(track: Track, vehicle: Vehicle, pose: Pose, objects: Objects | None) -> Params:
    referee = Referee(track, vehicle, RaceRules.training(), 1, vehicle.control_period_ns)
    referee.start(np.array([0]), np.array([pose]))
    x, y, yaw = np.array([pose]).T.copy()
    zero = np.zeros(1)
    state = CarStates(x, y, yaw, zero, zero, zero, zero, 0)
    inputs = RewardInputs(track, vehicle)
    inputs.observe(referee.judge(state, objects), state, np.zeros(1), np.ones(1), objects)
    return inputs.params(0)


def test_boxes_on_the_straights(rectangle: Track, vehicle: Vehicle) -> None:
    # The start line is at x = 2 on the lower straight; the far straight is driven in -x. The nose is at 3.14.
    boxes = Placed(rectangle, [(6.0, 0.25, 0.0), (4.0, 4.25, math.pi), (1.0, -0.2, 0.0)])
    params = params_at(rectangle, vehicle, (3.0, 0.0, 0.0), boxes)
    assert set(params) == set(REWARD_KEYS)
    assert params["objects_location"] == [(6.0, 0.25), (4.0, 4.25), (1.0, -0.2)]
    # 6 - 2; 6 + 4 + 4 along two more sides; one metre before the line of a lap of 24 m.
    assert params["objects_distance"] == pytest.approx([4.0, 14.0, 23.0])
    assert params["objects_distance_from_center"] == pytest.approx([0.25, 0.25, 0.2])
    # On the way back, left is the other way round.
    assert params["objects_left_of_center"] == [True, False, False]
    assert params["objects_speed"] == [0.0, 0.0, 0.0]
    assert params["objects_heading"] == [0.0, 0.0, 0.0]
    assert params["closest_objects"] == [2, 0]
    assert params["object_in_camera"] is True
    assert params["is_crashed"] is False


def test_closest_objects_are_the_one_before_and_the_one_after(rectangle: Track, vehicle: Vehicle) -> None:
    boxes = Placed(rectangle, [(6.0, 0.25, 0.0), (4.0, 4.25, math.pi)])
    for x, expected in ((5.85, [1, 0]), (5.87, [0, 1])):  # with the nose just before and just after the box
        assert params_at(rectangle, vehicle, (x, -0.3, 0.0), boxes)["closest_objects"] == expected
    alone = Placed(rectangle, [(6.0, 0.25, 0.0)])
    assert params_at(rectangle, vehicle, (3.0, 0.0, 0.0), alone)["closest_objects"] == [0, 0]


def test_bot_cars_have_speed_and_heading(rectangle: Track, vehicle: Vehicle) -> None:
    bots = Placed(rectangle, [(6.0, 0.2, 0.1), (4.0, 4.2, math.pi + 0.2)], moving=True)
    params = params_at(rectangle, vehicle, (3.0, 0.0, 0.0), bots)
    assert params["objects_speed"] == [0.75, 0.75]
    assert params["objects_heading"] == pytest.approx([math.degrees(0.1), math.degrees(0.2) - 180.0])


@pytest.mark.parametrize(
    ("place", "visible"),
    [
        ((2.0, 0.0), True),
        # The lens is at 0.145; at 1 m ahead of it, level, half the view is tan(1.13 / 2) of the depth to the side.
        ((1.145, 0.80), True),
        ((1.145, 1.10), False),
        ((0.10, 0.0), False),  # nearer than the frustum begins
        ((-1.0, 0.0), False),
    ],
)
def test_object_in_camera_is_awss_frustum(
    rectangle: Track, vehicle: Vehicle, place: tuple[float, float], visible: bool
) -> None:
    # Only a bot car's corners count, on the ground; another one far behind, so that this one is the next.
    car = (3.0, 0.0, 0.0)
    objects = Placed(rectangle, [(car[0] + place[0], place[1], 0.0)], moving=True)
    assert params_at(rectangle, vehicle, car, objects)["object_in_camera"] is visible


def test_only_the_next_object_counts_as_in_camera(rectangle: Track, vehicle: Vehicle) -> None:
    # The car looks back at a box it has passed; the next one is behind its back.
    boxes = Placed(rectangle, [(3.0, 0.0, 0.0), (7.0, 0.0, 0.0)])
    assert params_at(rectangle, vehicle, (5.0, 0.0, math.pi), boxes)["closest_objects"] == [0, 1]
    assert params_at(rectangle, vehicle, (5.0, 0.0, math.pi), boxes)["object_in_camera"] is False


def test_a_crash_is_told(rectangle: Track, vehicle: Vehicle) -> None:
    boxes = Placed(rectangle, [(3.3, 0.0, 0.0)])
    assert params_at(rectangle, vehicle, (3.0, 0.0, 0.0), boxes)["is_crashed"] is True


def test_the_lists_belong_to_whoever_gets_them(rectangle: Track, vehicle: Vehicle) -> None:
    boxes = Placed(rectangle, [(6.0, 0.25, 0.0)])
    referee = Referee(rectangle, vehicle, RaceRules.training(), 1, vehicle.control_period_ns)
    referee.start(np.array([0]), np.array([(3.0, 0.0, 0.0)]))
    zero = np.zeros(1)
    state = CarStates(np.array([3.0]), zero, zero, zero, zero, zero, zero, 0)
    inputs = RewardInputs(rectangle, vehicle)
    inputs.observe(referee.judge(state, boxes), state, np.zeros(1), np.ones(1), boxes)
    first = inputs.params(0)
    for key in ("objects_location", "objects_distance", "closest_objects"):
        first[key].clear()
    assert len(inputs.params(0)["objects_location"]) == len(inputs.params(0)["objects_distance"]) == 1


def test_boxes_put_elsewhere_are_told_at_once(rectangle: Track, vehicle: Vehicle) -> None:
    # A reset with a seed of its own begins again with episode 1, so that counting episodes does not tell.
    boxes = Placed(rectangle, [(6.0, 0.25, 0.0)])
    referee = Referee(rectangle, vehicle, RaceRules.training(), 1, vehicle.control_period_ns)
    referee.start(np.array([0]), np.array([(3.0, 0.0, 0.0)]))
    zero = np.zeros(1)
    state = CarStates(np.array([3.0]), zero, zero, zero, zero, zero, zero, 0)
    inputs = RewardInputs(rectangle, vehicle)
    for place in ((6.0, 0.25), (5.0, -0.25)):
        boxes.poses[0, 0, :2] = place
        inputs.observe(referee.judge(state, boxes), state, np.zeros(1), np.ones(1), boxes)
        assert inputs.params(0)["objects_location"] == [place]


def test_without_objects_the_lists_are_empty(rectangle: Track, vehicle: Vehicle) -> None:
    params = params_at(rectangle, vehicle, (3.0, 0.0, 0.0), None)
    assert params["objects_location"] == params["objects_distance"] == []
    assert params["closest_objects"] == [0, 0]
