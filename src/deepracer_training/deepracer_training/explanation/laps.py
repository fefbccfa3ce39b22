"""One recorded lap, row by row, with what an explanation needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.action_space import ActionSpace
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.explanation.steering import swings
from deepracer_training.report.plots import driven_speed
from deepracer_training.traces import Trace

SETTLED_S = 1.5
"""After a standing start or a penalty; until then the car gathers speed, which says nothing about the place."""
AT_LIMIT = 0.98
"""Of the largest steering angle, either way, counts as the limit."""
SWING_SHARE = 0.125
MIN_SWING_DEG = 4.0
"""Smaller movements of the steering than this, or than the share of its range, are no swing."""
VIOLATIONS = (EpisodeStatus.OFF_TRACK, EpisodeStatus.CRASHED, EpisodeStatus.IMMOBILIZED, EpisodeStatus.REVERSED)


@dataclass(frozen=True)
class Limits:
    """What the policy may command."""

    steering_low: float
    """Degrees, negative: to the right."""
    steering_high: float
    top_speed: float
    """m/s."""

    @classmethod
    def of(cls, space: ActionSpace) -> Limits:
        """Return those of an action space."""
        # The commands are float32; rounding gives 25.0 degrees back instead of 24.999999.
        low, high = (round(float(np.degrees(end[0])), 5) for end in (space.low, space.high))
        return cls(low, high, space.max_speed)


@dataclass(frozen=True)
class Lap:
    """One lap, row by row; columns of equal length (K,)."""

    number: int
    trace: Trace
    time: FloatArray
    way: FloatArray
    """Arc length, counted on over the start line, m."""
    lateral: FloatArray
    """Left of the centre line, m."""
    speed: FloatArray
    """Measured, m/s; NaN where it cannot be."""
    driving: NDArray[np.bool_]
    """Whether no penalty is waited out."""
    settled: NDArray[np.bool_]
    """Whether the car has been driving for `SETTLED_S`."""
    swing: NDArray[np.bool_]
    """Turning points of the steering."""
    at_limit: NDArray[np.bool_]
    """Whether the steering is as far left or right as it goes."""


def read_lap(number: int, trace: Trace, track: Track, limits: Limits) -> Lap:
    """Take a lap from a trace; `number` counts from 1."""
    place = track.project(np.column_stack([trace.x, trace.y]))
    length = track.length
    moved = np.diff(place.arc_length, prepend=place.arc_length[0])
    way = place.arc_length[0] + np.cumsum(np.mod(moved + 0.5 * length, length) - 0.5 * length)
    speed, measured = driven_speed(trace)
    waiting = trace.status == EpisodeStatus.PAUSE.value
    time = trace.time_s - trace.time_s[0]
    # Of the last row before each that stood still, waiting or at the start.
    since = np.maximum.accumulate(np.where(waiting | (np.arange(len(trace)) == 0), time, -np.inf))
    driving = ~waiting
    span = limits.steering_high - limits.steering_low
    steering = trace.steering_angle
    return Lap(
        number=number,
        trace=trace,
        time=time,
        way=way,
        lateral=place.lateral,
        speed=np.where(measured, speed, np.nan),
        driving=driving,
        settled=driving & (time - since >= SETTLED_S),
        swing=swings(steering, max(SWING_SHARE * span, MIN_SWING_DEG)),
        at_limit=driving
        & (np.abs(steering - 0.5 * (limits.steering_high + limits.steering_low)) >= 0.5 * AT_LIMIT * span),
    )


def violated(lap: Lap) -> NDArray[np.bool_]:
    """Mark the rows in which a rule was broken (K,)."""
    return np.isin(lap.trace.status, [status.value for status in VIOLATIONS])
