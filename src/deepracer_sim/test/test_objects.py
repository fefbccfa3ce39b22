"""Where boxes and bot cars are put, how bot cars drive, and that all of it follows from the seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_sim.lanes import clear_start, random_places
from deepracer_sim.objects import BotCars, Boxes, Objects, Rivals, build_objects
from deepracer_sim.race_settings import BotSettings, BoxPosition, BoxSettings, RaceSettings
from deepracer_sim.tracks import Track

PERIOD_NS = 66_666_667
PERIOD_S = PERIOD_NS * 1e-9


def started(objects: Objects, starts: list[float]) -> Objects:
    """Let all cars begin an episode."""
    objects.start(np.arange(len(starts)), np.array(starts))
    return objects


def test_listed_boxes_stand_in_the_middle_of_their_lanes(circle_track: Track) -> None:
    # The circle is 1 m wide around a radius of 2 m, so its lanes' middles are at 1.75 m and 2.25 m.
    places = (BoxPosition(at=0.25, lane="inner"), BoxPosition(at=0.5, lane="outer"))
    boxes = started(Boxes(circle_track, BoxSettings(positions=places), 1, 0), [0.0])
    np.testing.assert_allclose(boxes.poses[0, 0, :2], [3.0, 2.0 + 1.75], atol=5e-3)
    assert abs(math.remainder(boxes.poses[0, 0, 2] - math.pi, math.tau)) < 1e-2
    np.testing.assert_allclose(boxes.poses[0, 1, :2], [3.0 - 2.25, 2.0], atol=5e-3)
    assert abs(math.remainder(boxes.poses[0, 1, 2] + math.pi / 2, math.tau)) < 1e-2
    np.testing.assert_allclose(boxes.arc_length[0], [0.25 * circle_track.length, 0.5 * circle_track.length], atol=5e-3)
    np.testing.assert_allclose(boxes.lateral[0], [0.25, -0.25], atol=2e-3)  # the inner lane of a left bend is left


def test_even_boxes_follow_awss_rule(circle_track: Track) -> None:
    boxes = started(Boxes(circle_track, BoxSettings(number=3, positions="even", lanes="alternate"), 1, 0), [6.0])
    length = circle_track.length
    np.testing.assert_allclose(boxes.arc_length[0], [2.0, (2.0 + length - 1.0) / 2, length - 1.0], atol=1e-2)
    np.testing.assert_allclose(boxes.lateral[0], [0.25, -0.25, 0.25], atol=5e-3)


def test_random_boxes_keep_their_distance_and_differ_between_episodes(circle_track: Track) -> None:
    boxes = Boxes(circle_track, BoxSettings(number=3), 4, 7)
    seen = set()
    for _ in range(50):
        started(boxes, [0.0, 3.0, 6.0, 9.0])
        for car, start in enumerate((0.0, 3.0, 6.0, 9.0)):
            ahead = np.sort((boxes.arc_length[car] - start) % circle_track.length)
            assert ahead[0] > 2.0 - 0.01
            assert ahead[-1] < circle_track.length - 1.0 + 0.01
            assert np.diff(ahead).min() > 2.0 - 0.02
            assert set(np.sign(boxes.lateral[car])) <= {1.0, -1.0}
        seen.add(tuple(boxes.poses[0].ravel()))
    assert len(seen) == 50


def test_random_places_reach_the_whole_lap(circle_track: Track) -> None:
    random = np.random.default_rng(0)
    places = np.array([random_places(circle_track, 2, 2.0, random) for _ in range(500)])
    assert places[:, 0].min() < 2.3
    assert places[:, 1].max() > circle_track.length - 1.3
    assert places.std(axis=0).min() > 1.0


def test_what_a_car_meets_follows_from_seed_and_index_alone(circle_track: Track) -> None:
    race = RaceSettings(bots=BotSettings())
    one = build_objects(race, circle_track, 2, PERIOD_NS, 5)
    many = build_objects(race, circle_track, 9, PERIOD_NS, 5)
    other = build_objects(race, circle_track, 2, PERIOD_NS, 6)
    assert one is not None
    assert many is not None
    assert other is not None
    many.start(np.array([4, 1, 0, 8]), np.zeros(4))
    for objects in (one, other):
        objects.start(np.arange(2), np.zeros(2))
    for _ in range(200):
        one.move(0, 2)
        many.move(5, 9)
        many.move(0, 5)
        other.move(0, 2)
    np.testing.assert_array_equal(one.poses, many.poses[:2])
    assert not np.array_equal(one.poses, other.poses)
    moved = one.poses.copy()
    one.reset(5)
    started(one, [0.0, 0.0])
    for _ in range(200):
        one.move(0, 2)
    np.testing.assert_array_equal(one.poses, moved)


def test_bots_keep_their_speed_and_lane_without_lane_changes(circle_track: Track) -> None:
    settings = BotSettings(number=2, speed=0.6, lane_change=False)
    bots = started(BotCars(circle_track, settings, 1, PERIOD_NS, 0), [0.0])
    before, lateral = bots.arc_length.copy(), bots.lateral.copy()
    for _ in range(30):
        bots.move(0, 1)
    way = (bots.arc_length - before) % circle_track.length
    np.testing.assert_allclose(way, 30 * PERIOD_S * 0.6, atol=5e-3)
    np.testing.assert_allclose(bots.lateral, lateral, atol=2e-3)
    # They look where they drive: at right angles to the ray from the centre of the circle.
    rays = bots.poses[0, :, :2] - [3.0, 2.0]
    turned = bots.poses[0, :, 2] - np.arctan2(rays[:, 1], rays[:, 0]) - math.pi / 2
    np.testing.assert_allclose(np.arctan2(np.sin(turned), np.cos(turned)), 0.0, atol=1e-2)


def test_lane_changes_take_their_way_and_their_time(circle_track: Track) -> None:
    settings = BotSettings(number=1, speed=0.5)
    bots = started(BotCars(circle_track, settings, 1, PERIOD_NS, 3), [0.0])
    lateral, poses = [], []
    for _ in range(1500):
        bots.move(0, 1)
        lateral.append(float(bots.lateral[0, 0]))
        poses.append(bots.poses[0, 0].copy())
    changing = np.abs(lateral) < 0.245
    begins = np.flatnonzero(changing[1:] & ~changing[:-1]) + 1
    ends = np.flatnonzero(~changing[1:] & changing[:-1]) + 1
    assert len(begins) > 10
    ways = (ends[: len(begins)] - begins[: len(ends)]) * PERIOD_S * 0.5
    assert (ways > 0.75).all()
    assert (ways < 1.0).all()  # the ends of the S differ from the lane by less than is seen here
    waits = (begins[1:] - ends[: len(begins) - 1]) * PERIOD_S
    assert waits.min() > 3.0
    assert waits.max() < 5.0 + 0.7
    assert waits.max() - waits.min() > 0.5
    # They look where they go, also across.
    path = np.array(poses)
    went = np.arctan2(np.diff(path[:, 1]), np.diff(path[:, 0]))
    turned = path[1:, 2] - went
    assert np.abs(np.arctan2(np.sin(turned), np.cos(turned))).max() < 0.1


def test_bots_are_located_as_the_track_projects_them(stadium_track: Track) -> None:
    bots = started(BotCars(stadium_track, BotSettings(speed=1.5), 3, PERIOD_NS, 0), [0.0, 4.0, 9.0])
    for _ in range(60):
        bots.move(0, 3)
        where = stadium_track.project(bots.poses[:, :, :2].reshape(-1, 2))
        np.testing.assert_allclose(bots.arc_length.ravel(), where.arc_length, atol=1e-9)
        np.testing.assert_allclose(bots.lateral.ravel(), where.lateral, atol=1e-9)


def test_cars_start_clear_of_listed_boxes(circle_track: Track) -> None:
    boxes = Boxes(circle_track, BoxSettings(positions=(BoxPosition(at=0.5),)), 4, 0)
    box = 0.5 * circle_track.length
    starts = boxes.start(np.arange(4), np.array([box, box - 0.9, box + 0.3, box - 1.2]))
    np.testing.assert_allclose(starts, [box - 1.0, box - 1.0, box - 1.0, box - 1.2], atol=1e-5)
    assert clear_start(0.2, np.array([0.0, 9.0]), 10.0) == pytest.approx(8.0, abs=1e-5)
    # No gap of 6 boxes on 8 m has room for 0.6 m behind and 1 m ahead; the widest one, of 1.4 m, has for 0.525 m.
    dense = np.array([0.0, 1.3, 2.6, 4.0, 5.3, 6.65])
    for start in (0.0, 2.0, 3.3, 7.9):
        assert clear_start(start, dense, 8.0) == pytest.approx(2.6 + 0.375 * 1.4)


def test_a_track_that_is_too_short_is_refused(circle_track: Track) -> None:
    with pytest.raises(UserError, match=r"12\.6 m long, with room for 5 objects 2 m apart, but there are 6"):
        Boxes(circle_track, BoxSettings(number=6), 1, 0)
    with pytest.raises(UserError, match=r"race\.bots: track 'circle'"):
        BotCars(circle_track, BotSettings(min_gap_m=8.0, number=2), 1, PERIOD_NS, 0)
    near = (BoxPosition(at=0.2), BoxPosition(at=0.3))
    with pytest.raises(UserError, match=r"two boxes 1\.26 m apart"):
        Boxes(circle_track, BoxSettings(positions=near), 1, 0)


def test_a_time_trial_has_no_objects(circle_track: Track) -> None:
    assert build_objects(None, circle_track, 4, PERIOD_NS, 0) is None


def test_rivals_are_all_cars_but_oneself(circle_track: Track) -> None:
    rivals = Rivals(circle_track, 3)
    rivals.present[1] = False
    rivals.follow(np.array([[5.0, 2.0, 1.0], [3.0, 4.5, 2.0], [1.0, 2.0, 3.0]]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(rivals.poses[1], [[5.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(rivals.speed, [[2.0, 3.0], [1.0, 3.0], [1.0, 2.0]])
    np.testing.assert_array_equal(rivals.solid, [[False, True], [True, True], [True, False]])
    assert rivals.lateral[0, 0] == pytest.approx(-0.5, abs=1e-3)
