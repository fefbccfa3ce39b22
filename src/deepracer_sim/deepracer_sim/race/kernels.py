"""The referee's work on one car after the other, compiled.

Everything about a car is computed from that car alone, in plain IEEE arithmetic, so that a verdict depends neither on
the other cars nor on how many there are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from deepracer_sim.race.rules import STATUSES, EpisodeStatus
from deepracer_sim.tracks.kernels import point_on_road, project_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREPARE, IN_PROGRESS, LAP_COMPLETE, OFF_TRACK, CRASHED, IMMOBILIZED, REVERSED, TIME_UP, PAUSE, PARK = (
    STATUSES.index(status)
    for status in (
        EpisodeStatus.PREPARE,
        EpisodeStatus.IN_PROGRESS,
        EpisodeStatus.LAP_COMPLETE,
        EpisodeStatus.OFF_TRACK,
        EpisodeStatus.CRASHED,
        EpisodeStatus.IMMOBILIZED,
        EpisodeStatus.REVERSED,
        EpisodeStatus.TIME_UP,
        EpisodeStatus.PAUSE,
        EpisodeStatus.PARK,
    )
)


class Road(NamedTuple):
    """A track's lines as the kernels take them: open rings, all (M, 2), and their cumulative lengths (M + 1,), m."""

    center: NDArray[np.float64]
    center_length: NDArray[np.float64]
    left: NDArray[np.float64]
    left_length: NDArray[np.float64]
    right: NDArray[np.float64]
    right_length: NDArray[np.float64]
    inner: NDArray[np.float64]
    outer: NDArray[np.float64]


class Shape(NamedTuple):
    """Points of the car ahead of `base_link` (x) and left of it (y), m."""

    rear_x: float
    rear_y: float
    front_x: float
    front_y: float
    nose_x: float
    middle_x: float
    """Middle of the footprint."""
    length: float
    """Of the footprint."""
    width: float


class Limits(NamedTuple):
    """`RaceRules` in steps."""

    off_track_pause: int
    collision_pause: int
    immobilized_steps: int
    immobilized_distance: float
    reversed_steps: int
    max_steps: int
    max_resets: int
    period_ns: int


MEMORY = np.dtype(
    [
        ("racing", np.bool_),  # between start and end of an episode
        ("steps", np.int64),
        ("lead_ns", np.int64),  # of the lap before its first step: a following lap begins within a step
        ("pause_steps", np.int64),  # still to stand
        ("still_steps", np.int64),
        ("backward_steps", np.int64),
        ("x", np.float64),  # base_link at the last step
        ("y", np.float64),
        ("start", np.float64),  # arc length of base_link at the start of the episode
        ("arc_length", np.float64),  # of the nose at the last step
        ("travelled", np.float64),  # by the nose since the start, laps not taken off, m
        ("ghost", np.bool_),  # was put back, and touches nothing until it has been clear of everything
        ("off_track", np.int64),
        ("crashes", np.int64),
        ("immobilized", np.int64),
        ("reversed", np.int64),
        ("resets", np.int64),
    ],
    align=True,
)
"""What the referee remembers of a car from step to step."""

VERDICT = np.dtype(
    [
        ("status", np.int8),
        ("done", np.bool_),
        ("progress", np.float64),
        ("lap_time_s", np.float64),
        ("steps", np.int64),
        ("arc_length", np.float64),
        ("lateral", np.float64),
        ("closest", np.int64, (2,)),
        ("nose", np.float64, (2,)),
        ("wheels_on_track", np.int8, (4,)),  # 0 or 1: numba has no arrays of bool inside records
        ("is_offtrack", np.bool_),
        ("is_crashed", np.bool_),
        ("left_of_center", np.bool_),
        ("road_width", np.float64),
        ("pause_s", np.float64),
        ("replaced", np.bool_),
        ("replace_pose", np.float64, (3,)),
        ("off_track", np.int64),
        ("crashes", np.int64),
        ("immobilized", np.int64),
        ("reversed", np.int64),
        ("resets", np.int64),
    ],
    align=True,
)
"""What the referee says about a car after a step."""


@njit(cache=True, nogil=True)
def start_cars(cars: NDArray[np.int64], poses: NDArray[np.float64], memory: Any, road: Road, shape: Shape) -> None:
    """Begin a new episode for `cars` (K,), whose `base_link` stands at `poses` (K, 3)."""
    for k in range(cars.shape[0]):
        car = memory[cars[k]]
        x, y, yaw = poses[k, 0], poses[k, 1], poses[k, 2]
        start, _, _, _ = project_point(x, y, road.center, road.center_length)
        nose, _, _, _ = project_point(
            x + shape.nose_x * math.cos(yaw), y + shape.nose_x * math.sin(yaw), road.center, road.center_length
        )
        car.racing = True
        car.steps = 0
        car.lead_ns = 0
        car.pause_steps = 0
        car.still_steps = 0
        car.backward_steps = 0
        car.x = x
        car.y = y
        car.start = start
        car.arc_length = nose
        # AWS counts progress of the nose from where base_link started, so that a lap begins at nose_x, not at 0.
        car.travelled = _way(start, nose, road.center_length[-1])
        car.ghost = False
        _clear_counters(car)


@njit(cache=True, nogil=True)
def next_laps(cars: NDArray[np.int64], memory: Any, verdicts: Any, road: Road, limits: Limits) -> None:
    """Begin another lap for `cars` (K,), which have just finished one, at the moment when they crossed the line."""
    for k in range(cars.shape[0]):
        car = memory[cars[k]]
        car.racing = True
        car.travelled -= road.center_length[-1]
        lap_ns = round(verdicts[cars[k]].lap_time_s * 1e9)
        car.lead_ns += car.steps * limits.period_ns - lap_ns
        car.steps = 0
        _clear_counters(car)


@njit(cache=True, nogil=True)
def _clear_counters(car: Any) -> None:
    car.off_track = 0
    car.crashes = 0
    car.immobilized = 0
    car.reversed = 0
    car.resets = 0


@njit(cache=True, nogil=True)
def judge_cars(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    yaw: NDArray[np.float64],
    contacts: NDArray[np.int64],
    contact_lead: NDArray[np.float64],
    memory: Any,
    verdicts: Any,
    road: Road,
    shape: Shape,
    limits: Limits,
) -> None:
    """Judge one control period of all cars; poses are those of `base_link` (N,) after it.

    Args:
        x: m.
        y: m.
        yaw: rad.
        contacts: The object that each car touches, or -1 (N,).
        contact_lead: Arc length of what a car must be behind of to be at fault, m; NaN where it always is (N,).
        memory: In and out.
        verdicts: Out.
        road: The track.
        shape: The car.
        limits: The rules.
    """
    for i in range(memory.shape[0]):
        car = memory[i]
        verdict = verdicts[i]
        verdict.done = False
        verdict.replaced = False
        if not car.racing:
            verdict.status = PARK
            continue
        _locate(x[i], y[i], yaw[i], verdict, road, shape)
        touching = contacts[i] >= 0
        if car.ghost and not touching and car.pause_steps == 0:
            car.ghost = False
        crashed = touching and not car.ghost
        if crashed and not math.isnan(contact_lead[i]):
            crashed = _way(verdict.arc_length, contact_lead[i], road.center_length[-1]) > 0.0
        _apply_rules(x[i], y[i], crashed, car, verdict, road, limits)
        if verdict.replaced:
            place = (car.start + car.travelled - shape.nose_x) % road.center_length[-1]
            _replace(car, verdict, road, shape, place, 0.0)


@njit(cache=True, nogil=True)
def _locate(x: float, y: float, yaw: float, verdict: Any, road: Road, shape: Shape) -> None:
    """Fill in everything that follows from the pose alone."""
    cos = math.cos(yaw)
    sin = math.sin(yaw)
    nose_x = x + shape.nose_x * cos
    nose_y = y + shape.nose_x * sin
    before = verdict.closest[0]
    arc_length, lateral, _, segment = project_point(nose_x, nose_y, road.center, road.center_length, before)
    verdict.nose[0] = nose_x
    verdict.nose[1] = nose_y
    verdict.arc_length = arc_length
    verdict.lateral = lateral
    verdict.closest[0] = segment
    verdict.closest[1] = segment + 1

    # AWS measures the width of the road and the side of the car at the border points nearest to the centre line's
    # nearest point, not at those nearest to the car.
    center_x, center_y = _point_at(arc_length, segment, road.center, road.center_length)
    left_s, left_distance, _, left_segment = project_point(center_x, center_y, road.left, road.left_length, segment)
    right_s, right_distance, _, right_segment = project_point(
        center_x, center_y, road.right, road.right_length, segment
    )
    left_x, left_y = _point_at(left_s, left_segment, road.left, road.left_length)
    right_x, right_y = _point_at(right_s, right_segment, road.right, road.right_length)
    verdict.road_width = math.hypot(left_x - right_x, left_y - right_y)
    verdict.left_of_center = math.hypot(nose_x - left_x, nose_y - left_y) < math.hypot(
        nose_x - right_x, nose_y - right_y
    )

    # No border reaches into the circle of this radius around the centre line's point: what is inside it is on the road,
    # which spares most wheels the walk around both borders.
    clear = min(abs(left_distance), abs(right_distance))
    on_track = 0
    for wheel in range(4):  # rear left, rear right, front left, front right
        ahead = shape.rear_x if wheel < 2 else shape.front_x
        left = shape.rear_y if wheel < 2 else shape.front_y
        if wheel % 2 == 1:
            left = -left
        wheel_x = x + ahead * cos - left * sin
        wheel_y = y + ahead * sin + left * cos
        on_road = math.hypot(wheel_x - center_x, wheel_y - center_y) < clear or point_on_road(
            wheel_x, wheel_y, road.inner, road.outer
        )
        verdict.wheels_on_track[wheel] = on_road
        on_track += on_road
    verdict.is_offtrack = on_track == 0


@njit(cache=True, nogil=True)
def _apply_rules(x: float, y: float, crashed: bool, car: Any, verdict: Any, road: Road, limits: Limits) -> None:
    """Advance the episode by one step."""
    length = road.center_length[-1]
    step = _way(car.arc_length, verdict.arc_length, length)
    before = car.travelled
    car.travelled += step
    car.steps += 1
    paused = car.pause_steps > 0
    if paused:
        car.pause_steps -= 1
        car.still_steps = 0
        car.backward_steps = 0
    else:
        moved = math.hypot(x - car.x, y - car.y)
        car.still_steps = car.still_steps + 1 if moved <= limits.immobilized_distance else 0
        car.backward_steps = car.backward_steps + 1 if step < 0.0 else 0
    car.arc_length = verdict.arc_length
    car.x = x
    car.y = y

    # AWS's order: a car that crosses the finish line and leaves the track in the same step has finished.
    pause = -1
    verdict.is_crashed = crashed and not paused
    if car.travelled >= length:
        verdict.status = LAP_COMPLETE
        verdict.done = True
        share = min(max((length - before) / step, 0.0), 1.0) if step > 0.0 else 1.0
        elapsed_ns = car.lead_ns + (car.steps - 1) * limits.period_ns + round(share * limits.period_ns)
        verdict.lap_time_s = elapsed_ns * 1e-9
    elif paused:
        verdict.status = PAUSE
    elif crashed:
        verdict.status = CRASHED
        car.crashes += 1
        pause = limits.collision_pause
    elif verdict.is_offtrack:
        verdict.status = OFF_TRACK
        car.off_track += 1
        pause = limits.off_track_pause
    elif car.still_steps >= limits.immobilized_steps:
        verdict.status = IMMOBILIZED
        car.immobilized += 1
        pause = 0
    elif car.backward_steps >= limits.reversed_steps:
        verdict.status = REVERSED
        car.reversed += 1
        pause = limits.off_track_pause
    else:
        verdict.status = IN_PROGRESS
    if not verdict.done:
        verdict.lap_time_s = math.nan

    verdict.progress = min(max(100.0 * car.travelled / length, 0.0), 100.0)
    if pause >= 0:
        if car.resets < limits.max_resets:
            car.resets += 1
            car.pause_steps = pause
            car.still_steps = 0
            car.backward_steps = 0
            # The violating step's own place may belong to another part of the track, so go back to the one before.
            car.travelled = before
            verdict.replaced = True
            car.ghost = True
        else:
            verdict.done = True
    if not verdict.done and car.steps >= limits.max_steps:
        verdict.status = TIME_UP
        verdict.done = True
        verdict.replaced = False
    car.racing = not verdict.done
    verdict.steps = car.steps
    verdict.pause_s = car.pause_steps * limits.period_ns * 1e-9
    verdict.off_track = car.off_track
    verdict.crashes = car.crashes
    verdict.immobilized = car.immobilized
    verdict.reversed = car.reversed
    verdict.resets = car.resets


@njit(cache=True, nogil=True)
def replace_car(i: int, s: float, lateral: float, memory: Any, verdicts: Any, road: Road, shape: Shape) -> None:
    """Choose arc length `s` and `lateral` (m, + = left) as the place of car `i`, which is to be put back."""
    _replace(memory[i], verdicts[i], road, shape, s % road.center_length[-1], lateral)


@njit(cache=True, nogil=True)
def _replace(car: Any, verdict: Any, road: Road, shape: Shape, s: float, lateral: float) -> None:
    """Choose the place of `base_link` by the centre line, and let the nose's progress go on from there."""
    length = road.center_length[-1]
    segment = min(np.searchsorted(road.center_length, s, side="right") - 1, road.center.shape[0] - 1)
    x, y = _point_at(s, segment, road.center, road.center_length)
    _, _, yaw, _ = project_point(x, y, road.center, road.center_length)
    if lateral != 0.0:
        x -= lateral * math.sin(yaw)
        y += lateral * math.cos(yaw)
    nose, _, _, _ = project_point(
        x + shape.nose_x * math.cos(yaw), y + shape.nose_x * math.sin(yaw), road.center, road.center_length
    )
    reached = (car.start + car.travelled) % length
    # In a bend the nose points away from the centre line, and its projection differs by some millimetres.
    car.travelled += _way(reached, nose, length)
    car.arc_length = nose
    car.x = x
    car.y = y
    verdict.replace_pose[0] = x
    verdict.replace_pose[1] = y
    verdict.replace_pose[2] = yaw


@njit(cache=True, nogil=True)
def _way(origin: float, target: float, length: float) -> float:
    """Shorter way along the lap from one arc length to another, in (-length / 2, length / 2]."""
    way = (target - origin) % length
    return way - length if way > 0.5 * length else way


@njit(cache=True, nogil=True)
def _point_at(
    s: float, segment: int, ring: NDArray[np.float64], cumulative: NDArray[np.float64]
) -> tuple[float, float]:
    """Point of a closed line at arc length `s`, which lies on `segment`."""
    following = segment + 1 if segment + 1 < ring.shape[0] else 0
    share = (s - cumulative[segment]) / (cumulative[segment + 1] - cumulative[segment])
    return (
        ring[segment, 0] + share * (ring[following, 0] - ring[segment, 0]),
        ring[segment, 1] + share * (ring[following, 1] - ring[segment, 1]),
    )
