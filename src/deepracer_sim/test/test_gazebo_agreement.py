"""Comparing two cameras: with pictures whose difference is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.gazebo.agreement import LINES, compare_frames, project
from deepracer_sim.tracks import load_track


def test_points_on_the_ground_are_where_a_pinhole_camera_sees_them() -> None:
    camera = load_vehicle("deepracer").camera
    ahead = camera.z / math.tan(camera.pitch)
    # On the optical axis; then one focal length of the ray's own length to the left, and behind the car.
    ray = camera.z / math.sin(camera.pitch)
    local = np.array([[camera.x + ahead, 0.0], [camera.x + ahead, 0.1 * ray], [-1.0, 0.0]])
    yaw = 2.0
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    pixels = project(camera, (3.0, -1.0, yaw), local @ turn.T + (3.0, -1.0))
    assert pixels[0] == pytest.approx([80.0, 60.0])
    assert pixels[1] == pytest.approx([80.0 - 0.1 * camera.focal_px, 60.0])
    assert np.isnan(pixels[2]).all()


@pytest.mark.parametrize("arc_length", [0.0, 13.0])
def test_a_shift_and_a_brightening_are_found(arc_length: float) -> None:
    track, vehicle = load_track("oval"), load_vehicle("deepracer")
    simulator = EmbeddedSimulator(track, vehicle, 1)
    pose = track.pose_at(arc_length)[0]
    simulator.reset(np.array([0]), pose[None])
    frame = simulator.images()[0].copy()
    place = (float(pose[0]), float(pose[1]), float(pose[2]))

    same = compare_frames(track, vehicle.camera, place, arc_length, frame, frame)
    assert same.mean_absolute == 0.0 and same.p99_absolute == 0.0
    assert {line.name for line in same.lines} == set(LINES) and len(same.lines) >= 8
    assert all(line.first == line.second for line in same.lines)

    shifted = np.roll(frame, 1, axis=1)
    result = compare_frames(track, vehicle.camera, place, arc_length, shifted, frame)
    shifts = [line.first - line.second for line in result.lines]
    assert np.median(shifts) == pytest.approx(1.0, abs=0.1)

    brighter = (frame // 2 + 20).astype(np.uint8)
    result = compare_frames(track, vehicle.camera, place, arc_length, brighter, frame)
    below = slice(27, None)  # the horizon of a camera that looks down by 15 deg is in row 25
    assert result.mean_first - result.mean_second == pytest.approx(
        brighter[below].mean() - frame[below].mean(), abs=1.0
    )
    assert result.mean_sky_first != result.mean_sky_second


def test_the_lines_are_where_the_geometry_says() -> None:
    track, vehicle = load_track("oval"), load_vehicle("deepracer")
    simulator = EmbeddedSimulator(track, vehicle, 1)
    # In the middle of a straight, the borders are straight lines at half the width, less half their own.
    simulator.reset(np.array([0]), track.pose_at(0.0))
    frame = simulator.images()[0]
    x, y, yaw = track.pose_at(0.0)[0].tolist()
    found = [
        each for each in compare_frames(track, vehicle.camera, (x, y, yaw), 0.0, frame, frame).lines if each.row > 80
    ]
    camera, half = vehicle.camera, 0.5 * track.width - 0.025
    for line in found:
        below = math.atan((line.row + 0.5 - 60.0) / camera.focal_px) + camera.pitch
        scale = camera.focal_px * math.sin(below) / (camera.z * math.cos(below - camera.pitch))
        offset = {"left border": -half, "centre line": 0.0, "right border": half}[line.name]
        assert line.first == pytest.approx(80.0 + offset * scale, abs=0.7)
    assert found
