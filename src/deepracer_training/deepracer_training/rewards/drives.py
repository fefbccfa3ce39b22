"""Made-up laps for a reward function that nothing was driven with yet: good, slow, nervous and bad ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import Objects, build_objects
from deepracer_sim.race.referee import Referee
from deepracer_sim.race.rules import RaceRules
from deepracer_sim.race_settings import RaceSettings
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.object_trace import recorded
from deepracer_training.traces import Trace, TraceWriter, parse_trace, trace_row

DEFAULT_SPEEDS = (1.0, 2.0)
"""Slowest and fastest of our default action space, m/s."""
WEAVE_LENGTH = 1.5
"""Of one swing to either side and back, m."""

Line = Callable[[FloatArray], FloatArray]
"""Arc length (M,), m, to the offset of the nose to the left of the centre line (M,), m."""


@dataclass(frozen=True)
class Drive:
    """One way to drive a lap."""

    name: str
    speed: float
    """m/s along the centre line."""
    line: Line


def drives(
    track: Track,
    vehicle: Vehicle,
    speeds: tuple[float, float] = DEFAULT_SPEEDS,
    race: RaceSettings | None = None,
) -> tuple[list[str], Trace, dict[int, Objects] | None]:
    """Drive a lap in every way, from the start line, each an episode of its own.

    The cars follow their lines exactly: what is tried is the reward function, not the dynamics.

    Args:
        track: The road.
        vehicle: The car.
        speeds: Slowest and fastest that the policy may command, m/s.
        race: What stands or drives on the road besides; the cars drive through it.

    Returns:
        Names of the drives, in the order of the episodes, their trace and, in a race, the objects of each.
    """
    writer, names = TraceWriter(), []
    worlds: dict[int, Objects] = {}
    for episode, drive in enumerate(_drives(track, vehicle, speeds)):
        names.append(drive.name)
        objects = build_objects(race, track, 1, vehicle.control_period_ns, seed=0)
        rows = _record(writer, episode, drive, track, vehicle, objects)
        if objects is not None:
            worlds[episode] = recorded(track, [kind.name for kind in objects.kinds], np.array(rows))
    return names, parse_trace(writer.text(), "built-in drives"), worlds or None


def _drives(track: Track, vehicle: Vehicle, speeds: tuple[float, float]) -> Iterator[Drive]:
    slow, fast = speeds
    middle = 0.5 * (slow + fast)
    half = 0.5 * track.width
    beside = half - 0.25 * vehicle.geometry.track_front
    turning = _turning(track)

    def weave(s: FloatArray) -> FloatArray:
        return 0.5 * half * np.sin(2.0 * np.pi * s / WEAVE_LENGTH)

    def leave(s: FloatArray) -> FloatArray:
        return np.asarray(3.0 * half * np.clip(s / track.length - 0.4, 0.0, None) / 0.2)

    yield Drive("centre line", middle, np.zeros_like)
    yield Drive("centre line, fastest", fast, np.zeros_like)
    yield Drive("centre line, slowest", slow, np.zeros_like)
    yield Drive("inside of the bends", middle, lambda s: 0.6 * half * np.interp(s, track.cumulative, turning))
    yield Drive("left border", middle, lambda s: np.full_like(s, 0.7 * half))
    yield Drive("right border", middle, lambda s: np.full_like(s, -0.7 * half))
    yield Drive("weaving", middle, weave)
    yield Drive("wheels beside the road", middle, lambda s: np.full_like(s, beside))
    yield Drive("leaves the road", middle, leave)


def _turning(track: Track) -> FloatArray:
    """Return -1 (tightest right bend) to 1 (left) at each row and the closing one, smoothed over a metre."""
    s = np.arange(0.0, track.length, 0.05)
    bend = np.interp(s, track.arc_length, track.curvature(), period=track.length)
    width = 20
    padded = np.concatenate([bend[-width:], bend, bend[:width]])
    smooth = np.convolve(padded, np.ones(2 * width + 1) / (2 * width + 1), "valid")
    scaled = smooth / max(float(np.abs(smooth).max()), 1e-9)
    return np.interp(track.cumulative, s, scaled, period=track.length)


def _record(
    writer: TraceWriter, episode: int, drive: Drive, track: Track, vehicle: Vehicle, objects: Objects | None
) -> list[FloatArray]:
    """Put the car on its line, one control period after the other, until the referee ends the lap.

    Returns:
        x, y, yaw, speed of each object (M, 4), m, m, degrees, m/s, after each step.
    """
    rows: list[FloatArray] = []
    if objects is not None:
        objects.start(np.array([0]), np.zeros(1))
    period_s = vehicle.control_period_s
    steps = math.ceil(1.05 * track.length / (drive.speed * period_s)) + 2
    s: FloatArray = drive.speed * period_s * np.arange(steps + 2, dtype=np.float64)
    line = track.pose_at(s, drive.line(s))
    # A line that turns more tightly than its bends is driven where the centre line's normals point, so heading and
    # steering come from the points themselves.
    way = np.diff(line[:, :2], axis=0)
    yaw = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))
    covered = np.maximum(np.hypot(way[:, 0], way[:, 1])[1:], 1e-6)
    steering = np.arctan(vehicle.geometry.wheelbase * np.diff(yaw) / covered)
    steering = np.clip(steering, -vehicle.steering.limit, vehicle.steering.limit)
    nose = vehicle.geometry.nose_offset
    heading = np.column_stack([np.cos(yaw), np.sin(yaw)])
    base = line[:-1, :2] - nose * heading
    rules = RaceRules.training(max_steps=steps)
    referee = Referee(track, vehicle, rules, 1, vehicle.control_period_ns)
    referee.start(np.array([0]), np.array([[*base[0], yaw[0]]]))
    for step in range(1, steps):
        time_ns = step * vehicle.control_period_ns
        zero = np.zeros(1)
        x, y, turned = base[step, :1], base[step, 1:], yaw[step : step + 1]
        verdict = referee.judge(CarStates(x, y, turned, zero, zero, zero, zero, time_ns))
        writer.add(
            trace_row(
                verdict,
                0,
                track=track,
                episode=episode,
                yaw=float(yaw[step]),
                steering_angle=float(steering[step - 1]),
                speed=drive.speed,
                action=None,
                reward=0.0,
                time_s=time_ns * 1e-9,
            )
        )
        if objects is not None:
            objects.move(0, 1)
            pose = objects.poses[0]
            rows.append(np.column_stack([pose[:, :2], np.degrees(pose[:, 2]), objects.speed[0]]))
        if verdict.done[0]:
            break
    return rows
