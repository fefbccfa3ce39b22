"""The referee's geometry against shapely, which AWS's own simulator uses, and against that simulator's traces."""

from __future__ import annotations

import csv
import math
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import LinearRing, Point, Polygon

from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.race import STATUSES, EpisodeStatus, RaceRules, Referee
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track

SHARED = Path(__file__).parents[3].parent / "shared"
VEHICLE = load_vehicle("deepracer")
GEOMETRY = VEHICLE.geometry


def wavy_track(rows: int, clockwise: bool = False) -> Track:
    """A smooth closed curve with bends to both sides; borders follow its normals."""
    angle = np.linspace(0.0, 2 * np.pi, rows, endpoint=False)
    radius = 3.0 + 0.5 * np.cos(3 * angle)
    center = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    tangent = np.roll(center, -1, axis=0) - np.roll(center, 1, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    track = Track("wavy", center, center + 0.4 * normal, center - 0.5 * normal)
    return track.reversed() if clockwise else track


def states(poses: FloatArray) -> CarStates:
    x, y, yaw = poses.T.copy()
    zero = np.zeros(len(poses))
    return CarStates(x, y, yaw, zero, zero, zero, zero, 0)


def at(pose: FloatArray, ahead: float, left: float = 0.0) -> Point:
    x, y, yaw = pose
    return Point(x + ahead * math.cos(yaw) - left * math.sin(yaw), y + ahead * math.sin(yaw) + left * math.cos(yaw))


@pytest.mark.parametrize("clockwise", [False, True])
@pytest.mark.parametrize("rows", [24, 200])
def test_geometry_is_that_of_shapely(rows: int, clockwise: bool) -> None:
    track = wavy_track(rows, clockwise)
    random = np.random.default_rng(rows)
    count = 400
    poses = track.pose_at(random.uniform(0, track.length, count), random.uniform(-0.8, 0.8, count))
    poses[:, 2] += random.uniform(-np.pi, np.pi, count)
    referee = Referee(track, VEHICLE, RaceRules.evaluation(), count, VEHICLE.control_period_ns)
    referee.start(np.arange(count), poses)
    verdict = referee.judge(states(poses))

    center, inner, outer = (LinearRing(line) for line in (track.center, track.inner, track.outer))
    road = Polygon(outer, [inner])
    rear, front = -GEOMETRY.origin_to_rear_axle, GEOMETRY.wheelbase - GEOMETRY.origin_to_rear_axle
    half_rear, half_front = 0.5 * GEOMETRY.track_rear, 0.5 * GEOMETRY.track_front
    wheels = [(rear, half_rear), (rear, -half_rear), (front, half_front), (front, -half_front)]
    partly = 0
    for car, pose in enumerate(poses):
        nose = at(pose, GEOMETRY.nose_offset)
        s = center.project(nose)
        assert verdict.nose[car].tolist() == pytest.approx([nose.x, nose.y])
        assert verdict.arc_length[car] == pytest.approx(s % track.length, abs=1e-9)
        assert abs(verdict.lateral[car]) == pytest.approx(center.distance(nose), abs=1e-9)
        near = center.interpolate(s)
        near_inner = inner.interpolate(inner.project(near))
        near_outer = outer.interpolate(outer.project(near))
        assert verdict.road_width[car] == pytest.approx(near_inner.distance(near_outer))
        left = (near_inner.distance(nose) < near_outer.distance(nose)) ^ (not track.is_ccw)
        assert bool(verdict.left_of_center[car]) is left
        on_road = [road.contains(at(pose, *wheel)) for wheel in wheels]
        assert verdict.wheels_on_track[car].tolist() == on_road
        assert bool(verdict.is_offtrack[car]) is not any(on_road)
        partly += any(on_road) and not all(on_road)
        previous = int(np.searchsorted(track.arc_length, s, side="right")) - 1
        assert verdict.closest[car].tolist() == [previous, previous + 1]
    assert partly > 20  # the test saw cars astride the border


def test_shapely_would_accept_the_test_tracks() -> None:
    for rows in (24, 200):
        track = wavy_track(rows)
        assert Polygon(track.outer, [track.inner]).is_valid
        assert Polygon(track.outer, [track.inner]).contains(LinearRing(track.center))


def read_trace(name: str) -> tuple[Track, list[list[dict[str, str]]]]:
    """Return the track and the rows, episode by episode, of one of AWS's traces."""
    track_name = "Spain_track" if name.startswith("spain") else "reInvent2019_wide_cw"
    trace, rows = SHARED / "traces" / f"{name}.csv", SHARED / "tracks" / f"{track_name}.npy"
    if not (trace.is_file() and rows.is_file()):
        pytest.skip(f"AWS's trace {name} and its track are not beside the repository")
    with open(trace, newline="", encoding="utf-8") as file:
        episodes = [list(group) for _, group in groupby(csv.DictReader(file), key=lambda row: row["episode"])]
    return Track.from_rows(track_name, np.load(rows, allow_pickle=False)), episodes


@pytest.mark.parametrize(
    "name",
    [*(f"a_to_z_cw_continuous_training_{n}" for n in (0, 5, 10, 14)), "spain_discrete_evaluation"],
)
def test_verdicts_are_those_of_awss_simulator(name: str) -> None:
    track, episodes = read_trace(name)
    # Our own re-placement and ends of episodes stay out of it: AWS's poses are followed to the end.
    rules = RaceRules(max_resets=10_000, immobilized_distance=0.0, reversed_steps=10_000, off_track_penalty_s=0.0)
    rows = wheels = statuses = 0
    for episode in episodes:
        referee = Referee(track, VEHICLE, rules, 1, VEHICLE.control_period_ns)
        turn = int(episode[0]["episode"]) if "training" in name else 0
        referee.start(np.array([0]), track.pose_at(turn * 0.05 * track.length))
        for row in episode:
            # X, Y are the nose: taken for base_link, hardly any row agrees.
            x, y, yaw = float(row["X"]), float(row["Y"]), math.radians(float(row["yaw"]))
            pose = np.array([x - 0.14 * math.cos(yaw), y - 0.14 * math.sin(yaw), yaw])
            verdict = referee.judge(states(pose[None]))
            waypoints = np.vstack([track.center, track.center[:1]])
            previous, following = verdict.closest[0]
            distances = np.hypot(*(waypoints[[previous, following]] - (x, y)).T)
            nearer = following if distances[1] < distances[0] else previous
            assert nearer == int(row["closest_waypoint"])
            assert verdict.progress[0] == pytest.approx(float(row["progress"]), abs=1e-9)
            rows += 1
            wheels += str(verdict.wheels_on_track[0].all()) == row["all_wheels_on_track"]
            off_track = STATUSES[verdict.status[0]] is EpisodeStatus.OFF_TRACK
            statuses += off_track == (row["episode_status"] == "off_track")
            complete = STATUSES[verdict.status[0]] is EpisodeStatus.LAP_COMPLETE
            assert complete == (row["episode_status"] == "lap_complete")
    # AWS reads wheels and body at different moments, so that after a teleport and at the very border a row may differ.
    assert wheels / rows > 0.997
    assert statuses / rows > 0.997
