"""The laser scanner: distances by hand, directions, noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepracer_inference.vehicle import Lidar as LidarMount
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.lidar import Lidar
from deepracer_sim.objects import BOX, Objects
from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track

AHEAD = LidarMount(
    x=0.0, y=0.0, z=0.17, yaw=0.0, field_of_view=2.0 * math.pi * 63 / 64, min_range=0.15, max_range=12.0, noise=0.0
)
"""64 rays all around, 360 / 64 degrees apart, none straight ahead."""
STEP = 2.0 * math.pi / 64
FIRST = -31.5


def put(track: Track, *poses: tuple[float, float, float], cars: int = 1) -> Objects:
    objects = Objects(track, [BOX] * len(poses), cars, 0)
    objects.poses[:] = poses
    return objects


def measure(mount: LidarMount, car: tuple[float, float, float], objects: Objects | None, seed: int = 0) -> FloatArray:
    out = np.zeros((1, 64))
    Lidar(mount, seed).scan(np.array([car]), objects, out, 0, 1)
    return out[0]


def ray(degrees: float) -> int:
    """Index of the ray next to a direction in the car's frame."""
    return round(math.radians(degrees) / STEP - FIRST)


def test_a_box_is_as_far_away_as_its_side(circle_track: Track) -> None:
    # The box is 0.4 m long: its near side is at x = 0.8, seen half a step beside straight ahead.
    ranges = measure(AHEAD, (0.0, 0.0, 0.0), put(circle_track, (1.0, 0.0, 0.0)))
    assert ranges[31] == ranges[32] == pytest.approx(0.8 / math.cos(0.5 * STEP))
    # It is 0.3 m wide, so nothing is seen beyond atan(0.15 / 0.8) = 10.6 degrees.
    assert np.isinf(ranges[[ray(-14.1), ray(14.1)]]).all()
    assert np.isfinite(ranges).sum() == 4


def test_directions_turn_with_car_and_box(circle_track: Track) -> None:
    # The car looks to +y; the box stands on its left, turned by 90 degrees: its near side is 0.15 m from its middle.
    ranges = measure(AHEAD, (2.0, 1.0, math.pi / 2), put(circle_track, (0.5, 1.0, math.pi / 2)))
    side = ranges[ray(90 - 2.8) : ray(90 + 2.8) + 1]
    assert side == pytest.approx([1.35 / math.cos(0.5 * STEP)] * 2)
    assert np.isinf(ranges[ray(-90 - 30) : ray(60)]).all()


def test_the_nearest_of_several_things_counts_and_only_solid_ones(circle_track: Track) -> None:
    objects = put(circle_track, (1.0, 0.0, 0.0), (3.0, 0.0, 0.0))
    assert measure(AHEAD, (0.0, 0.0, 0.0), objects)[31] == pytest.approx(0.8, abs=0.01)
    objects.solid[0, 0] = False
    assert measure(AHEAD, (0.0, 0.0, 0.0), objects)[31] == pytest.approx(2.8, abs=0.02)


def test_the_deepracer_looks_back_over_300_degrees(circle_track: Track) -> None:
    mount = load_vehicle("deepracer").lidar
    assert mount is not None
    quiet = mount.model_copy(update={"noise": 0.0})
    behind = measure(quiet, (0.0, 0.0, 0.0), put(circle_track, (-1.0, 0.0, 0.0)))
    # The scanner stands 3.77 cm ahead of the car's origin, the box's near side 0.8 m behind that.
    assert np.nanmin(np.where(np.isfinite(behind), behind, np.nan)) == pytest.approx(0.8377, abs=0.001)
    assert int(np.argmin(behind)) in (31, 32)
    assert np.isinf(measure(quiet, (0.0, 0.0, 0.0), put(circle_track, (1.0, 0.0, 0.0)))).all()


def test_an_empty_road_and_things_out_of_range_are_infinitely_far(circle_track: Track) -> None:
    assert np.isinf(measure(AHEAD, (0.0, 0.0, 0.0), None)).all()
    assert np.isinf(measure(AHEAD, (0.0, 0.0, 0.0), put(circle_track, (12.3, 0.0, 0.0)))).all()
    assert measure(AHEAD, (0.0, 0.0, 0.0), put(circle_track, (0.3, 0.0, 0.0)))[31] == 0.15


def test_noise_has_the_spread_of_the_vehicle_file_and_follows_from_seed_and_pose(circle_track: Track) -> None:
    mount = AHEAD.model_copy(update={"noise": 0.01})
    objects = put(circle_track, (1.0, 0.0, 0.0))
    cars = [(0.0, 0.0, 1e-5 * k) for k in range(500)]
    errors = [measure(mount, car, objects)[31:33] - measure(AHEAD, car, objects)[31:33] for car in cars]
    assert np.std(errors) == pytest.approx(0.01, rel=0.06)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.001)
    car = (0.1, 0.2, 0.3)
    assert np.array_equal(measure(mount, car, objects), measure(mount, car, objects))
    assert not np.array_equal(measure(mount, car, objects, seed=1), measure(mount, car, objects))


def test_a_scan_does_not_depend_on_the_other_cars(circle_track: Track) -> None:
    mount = AHEAD.model_copy(update={"noise": 0.01})
    poses = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 3))
    objects = put(circle_track, (1.0, 0.5, 0.2), cars=5)
    out = np.zeros((5, 64))
    for low, high in ((0, 2), (2, 5)):
        Lidar(mount, 0).scan(poses, objects, out, low, high)
    for car in range(5):
        assert np.array_equal(out[car], measure(mount, tuple(poses[car]), put(circle_track, (1.0, 0.5, 0.2))))
