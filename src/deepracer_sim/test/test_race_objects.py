"""Collisions: which footprints overlap, whose fault it is, what it costs, and where the car goes on."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.object_kernels import find_neighbors, overlap
from deepracer_sim.objects import BOT_CAR, BOX, Objects
from deepracer_sim.race import STATUSES, RaceRules, Referee, Verdict
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks import Track

PERIOD_NS = 66_666_667
PENALTY_STEPS = 75  # 5 s


@pytest.fixture(scope="module")
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


class Placed(Objects):
    """Objects exactly where a test wants them."""

    def __init__(self, track: Track, poses: list[tuple[float, float, float]], *, moving: bool = False) -> None:
        super().__init__(track, [BOT_CAR if moving else BOX] * len(poses), 1, 0)
        self.moving = moving
        self.put(poses)

    def put(self, poses: list[tuple[float, float, float]]) -> None:
        self.poses[0] = poses
        where = self.track.project(self.poses[0, :, :2])
        self.arc_length[0], self.lateral[0] = where.arc_length, where.lateral


def states(pose: FloatArray) -> CarStates:
    x, y, yaw = np.array(pose, np.float64).reshape(1, 3).T.copy()
    zero = np.zeros(1)
    return CarStates(x, y, yaw, zero, zero, zero, zero, 0)


def status(verdict: Verdict) -> str:
    return STATUSES[verdict.status[0]].value


def drive(referee: Referee, track: Track, objects: Objects, start: float, steps: int, way: float = 0.05) -> Verdict:
    """Drive along the centre line until something happens, `steps` times `way` at most."""
    for k in range(1, steps + 1):
        verdict = referee.judge(states(track.pose_at(start + k * way)), objects)
        if status(verdict) not in ("in_progress", "pause"):
            break
    return verdict


def referee_for(track: Track, vehicle: Vehicle, rules: RaceRules, start: float = 0.0) -> Referee:
    referee = Referee(track, vehicle, rules, 1, PERIOD_NS)
    referee.start(np.array([0]), track.pose_at(start))
    return referee


def test_rectangles_overlap_as_opencv_says() -> None:
    random = np.random.default_rng(0)
    seen = {True: 0, False: 0}
    for _ in range(3000):
        a, b = ((*random.uniform(-0.5, 0.5, 2), random.uniform(-4, 4), *random.uniform(0.1, 0.6, 2)) for _ in range(2))
        one, other = (((x, y), (length, width), math.degrees(yaw)) for x, y, yaw, length, width in (a, b))
        kind, region = cv2.rotatedRectangleIntersection(one, other)
        area = cv2.contourArea(cv2.convexHull(region)) if kind != cv2.INTERSECT_NONE else 0.0
        if 0.0 < area < 1e-4:
            continue  # a touch; OpenCV computes in single precision
        assert overlap(*a, *b) == (area > 0.0), (a, b)
        seen[area > 0.0] += 1
    assert min(seen.values()) > 500


def test_a_crash_ends_an_episode_of_training(stadium_track: Track, vehicle: Vehicle) -> None:
    # The box stands across the centre line at x = 2: its footprint begins at 1.75 and the car's front is 0.1621 ahead.
    objects = Placed(stadium_track, [(stadium_track.pose_at(2.0)[0, 0], stadium_track.pose_at(2.0)[0, 1], 0.0)])
    referee = referee_for(stadium_track, vehicle, RaceRules.training())
    verdict = drive(referee, stadium_track, objects, 0.0, 100)
    assert status(verdict) == "crashed"
    assert verdict.is_crashed[0]
    assert verdict.done[0]
    assert verdict.crashes[0] == 1
    assert verdict.steps[0] == math.ceil((1.75 - 0.5 * 0.32352) / 0.05)


def test_a_car_beside_a_box_does_not_crash(stadium_track: Track, vehicle: Vehicle) -> None:
    # On the straight; half widths are 0.2 (box with buffer) and 0.098 (car).
    x, y, _ = stadium_track.pose_at(0.5)[0]
    for offset, expected in ((0.31, "in_progress"), (0.29, "crashed")):
        referee = referee_for(stadium_track, vehicle, RaceRules.training(), -1.0)
        objects = Placed(stadium_track, [(x, y + offset, 0.0)])
        assert status(drive(referee, stadium_track, objects, -1.0, 40)) == expected


def test_in_an_evaluation_a_crash_costs_the_penalty_and_a_metre(stadium_track: Track, vehicle: Vehicle) -> None:
    x, y, _ = stadium_track.pose_at(2.0, 0.001)[0]
    objects = Placed(stadium_track, [(x, y, 0.0)])
    referee = referee_for(stadium_track, vehicle, RaceRules.evaluation())
    verdict = drive(referee, stadium_track, objects, 0.0, 100)
    assert status(verdict) == "crashed"
    assert not verdict.done[0]
    assert verdict.replaced[0]
    # The box is a hair left of the centre line, so the car goes on in the middle of the right lane.
    np.testing.assert_allclose(verdict.replace_pose[0], stadium_track.pose_at(1.0, -0.2)[0], atol=1e-3)
    assert verdict.pause_s[0] == pytest.approx(5.0, abs=1e-6)
    pose = verdict.replace_pose[0].copy()
    for _ in range(PENALTY_STEPS):
        verdict = referee.judge(states(pose), objects)
        assert status(verdict) == "pause"
        assert not verdict.is_crashed[0]
    verdict = drive(referee, stadium_track, objects, 1.0, 3)
    assert status(verdict) == "in_progress"
    # Progress goes on from where the car was put: 1 m, three steps, and the nose ahead of it.
    assert verdict.progress[0] == pytest.approx(100.0 * (1.15 + 0.14) / stadium_track.length, abs=0.01)
    assert status(drive(referee, stadium_track, objects, 1.15, 100)) == "crashed"
    assert verdict.crashes[0] == 2


def test_crashes_use_up_resets(stadium_track: Track, vehicle: Vehicle) -> None:
    x, y, _ = stadium_track.pose_at(2.0)[0]
    objects = Placed(stadium_track, [(x, y, 0.0)])
    rules = RaceRules.evaluation().model_copy(update={"max_resets": 1})
    referee = referee_for(stadium_track, vehicle, rules)
    assert not drive(referee, stadium_track, objects, 0.0, 100).done[0]
    for _ in range(PENALTY_STEPS):
        referee.judge(states(stadium_track.pose_at(1.0)), objects)
    verdict = drive(referee, stadium_track, objects, 1.0, 100)
    assert verdict.done[0]
    assert verdict.resets[0] == 1
    assert verdict.crashes[0] == 2


def test_a_car_that_left_the_road_beside_a_box_is_put_behind_it(stadium_track: Track, vehicle: Vehicle) -> None:
    x, y, _ = stadium_track.pose_at(2.0, 0.001)[0]
    objects = Placed(stadium_track, [(x, y, 0.0)])
    referee = referee_for(stadium_track, vehicle, RaceRules.evaluation(), 1.0)
    for s in (1.5, 1.9):
        referee.judge(states(stadium_track.pose_at(s, -0.35)), objects)
    verdict = referee.judge(states(stadium_track.pose_at(2.0, -0.9)), objects)
    assert status(verdict) == "off_track"
    np.testing.assert_allclose(verdict.replace_pose[0], stadium_track.pose_at(1.0, -0.2)[0], atol=1e-3)
    assert verdict.pause_s[0] == pytest.approx(2.0, abs=1e-6)


def test_of_two_cars_the_one_behind_is_at_fault(stadium_track: Track, vehicle: Vehicle) -> None:
    for gap, expected in ((0.2, "crashed"), (-0.2, "in_progress")):
        x, y, _ = stadium_track.pose_at(2.0 + gap)[0]
        objects = Placed(stadium_track, [(x, y, 0.0)], moving=True)
        referee = referee_for(stadium_track, vehicle, RaceRules.training(), 1.9)
        verdict = referee.judge(states(stadium_track.pose_at(2.0)), objects)
        assert status(verdict) == expected
        assert verdict.is_crashed[0] == (expected == "crashed")


def test_two_cars_that_touch_are_never_both_at_fault(stadium_track: Track, vehicle: Vehicle) -> None:
    # Side by side on the straight, base_link on the rear axle: only the one whose nose is 1 cm behind is at fault.
    rear = vehicle.geometry.model_copy(update={"origin_to_rear_axle": 0.0, "nose_offset": 0.22})
    car = vehicle.model_copy(update={"geometry": rear})
    middle = rear.origin_to_middle
    for lead, expected in ((0.01, "crashed"), (-0.01, "in_progress")):
        x, y, _ = stadium_track.pose_at(0.5 + lead + middle, 0.1)[0]
        objects = Placed(stadium_track, [(x, y, 0.0)], moving=True)
        referee = referee_for(stadium_track, car, RaceRules.training(), 0.4)
        assert status(referee.judge(states(stadium_track.pose_at(0.5, -0.05)), objects)) == expected


def test_a_car_put_back_is_a_ghost_until_nothing_touches_it(stadium_track: Track, vehicle: Vehicle) -> None:
    ahead, behind = ((*stadium_track.pose_at(s)[0, :2].tolist(), 0.0) for s in (2.0, 1.0))
    objects = Placed(stadium_track, [ahead], moving=True)
    referee = referee_for(stadium_track, vehicle, RaceRules.evaluation())
    assert status(drive(referee, stadium_track, objects, 0.0, 100)) == "crashed"
    pose = stadium_track.pose_at(1.0)
    # While it waits, another car comes from behind and drives through it, so that it is touched from ahead at the end.
    objects.put([(behind[0] + 0.1, behind[1], 0.0)])
    for _ in range(PENALTY_STEPS):
        referee.judge(states(pose), objects)
    assert status(referee.judge(states(pose), objects)) == "in_progress"
    objects.put([(behind[0] + 0.6, behind[1], 0.0)])
    assert status(referee.judge(states(pose), objects)) == "in_progress"
    objects.put([(behind[0] + 0.1, behind[1], 0.0)])
    assert status(referee.judge(states(pose), objects)) == "crashed"


def test_without_objects_nothing_changes(stadium_track: Track, vehicle: Vehicle) -> None:
    far = Placed(stadium_track, [(50.0, 50.0, 0.0)])
    with_far, without = (referee_for(stadium_track, vehicle, RaceRules.evaluation()) for _ in range(2))
    random = np.random.default_rng(0)
    for k in range(300):
        pose = states(stadium_track.pose_at(0.06 * k, random.uniform(-0.6, 0.6)))
        one, other = with_far.judge(pose, far), without.judge(pose)
        for name in ("status", "progress", "replaced", "replace_pose", "pause_s", "off_track", "resets"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_neighbors_along_the_lap() -> None:
    closest = np.zeros((4, 2), np.int64)
    objects = np.tile([5.0, 1.0, 3.0], (4, 1))
    find_neighbors(np.array([2.0, 0.5, 6.0, 3.0]), objects, closest)
    # Before the first object the last one is behind, after the last one the first is ahead; level counts as behind.
    np.testing.assert_array_equal(closest, [[1, 2], [0, 1], [0, 1], [2, 0]])
