"""A calibration in the making: every reading is checked when it comes, and a missing one is named at the end."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from deepracer_inference.calibration import (
    Calibration,
    SteeringMethod,
    SteeringPoint,
    ThrottleCurve,
    ThrottlePoint,
    today,
)
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle

Direction = Literal["forward", "reverse"]

MAX_ANGLE_DEG = 50.0
MAX_SPEED = 30.0
MIN_RANGE_DEG = 10.0
"""A car that turns its wheels less to one side was not steered to its end."""

_STEEPNESS = 4.0
"""How much steeper one piece of the servo's curve may be than another; linkages stay below 2, misreadings do not."""
_TAPE_ERROR_M = 0.02
_SPEED_ERROR = 0.05
MIN_DIFFERENCE_M = math.sqrt(2.0) * _TAPE_ERROR_M / _SPEED_ERROR
"""Two runs whose lengths differ by less cannot tell the speed to 5 % with a tape that is read to 2 cm."""


class Draft:
    """Readings of one car, in any order."""

    def __init__(self, vehicle: Vehicle) -> None:
        """Start without any reading."""
        self.vehicle = vehicle
        self.angles: dict[int, float] = {}
        """Steering angle (rad, + = left) by pulse (ns)."""
        self.neutral_ns: int | None = None
        self.starts: dict[Direction, int] = {}
        """Pulse at which the wheels begin to turn, by direction."""
        self.speeds: dict[Direction, dict[int, float]] = {"forward": {}, "reverse": {}}
        """Speed (m/s) by pulse (ns), by direction."""

    def add_angle(self, pulse_ns: int, degrees: float) -> None:
        """Take a reading of the front wheels: the mean of both, left positive.

        Raises:
            UserError: It cannot be right; the draft is as before.
        """
        if not abs(degrees) <= MAX_ANGLE_DEG:
            raise UserError(f"{degrees:g} degrees cannot be right: wheels turn by {MAX_ANGLE_DEG:g} at most")
        angles = dict(sorted({**self.angles, pulse_ns: math.radians(degrees)}.items()))
        values = list(angles.values())
        steps = [b - a for a, b in pairwise(values)]
        if any(step * steps[0] <= 0 for step in steps):
            readings = ", ".join(f"{math.degrees(angle):.1f} at {_us(pulse)}" for pulse, angle in angles.items())
            raise UserError(
                f"the angles ({readings}) must all grow or all shrink with the pulse; left is positive, right negative"
            )
        slopes = [abs(step) / (b - a) for step, (a, b) in zip(steps, pairwise(angles), strict=True)]
        if slopes and max(slopes) > _STEEPNESS * min(slopes):
            raise UserError(
                f"with {degrees:g} degrees at {_us(pulse_ns)} the wheels would turn {max(slopes) / min(slopes):.0f} "
                "times as far in one place as in another for the same change of the pulse; read the angle again"
            )
        self.angles = angles

    def set_neutral(self, pulse_ns: int) -> None:
        """Take the throttle pulse at which the car stands still."""
        self.neutral_ns = pulse_ns

    def set_start(self, direction: Direction, pulse_ns: int) -> None:
        """Take the pulse at which the wheels begin to turn.

        Raises:
            UserError: Both directions would lie on one side of neutral.
        """
        other = self.starts.get("reverse" if direction == "forward" else "forward")
        if self.neutral_ns is None:
            raise UserError("the neutral pulse comes first")
        if other is not None and (other - self.neutral_ns) * (pulse_ns - self.neutral_ns) > 0:
            raise UserError(
                f"the wheels cannot begin to turn forwards and backwards on the same side of neutral, "
                f"at {_us(other)} and {_us(pulse_ns)}"
            )
        self.starts[direction] = pulse_ns

    def add_speed(self, direction: Direction, pulse_ns: int, speed: float) -> None:
        """Take a measured speed (m/s, positive in both directions).

        Raises:
            UserError: It cannot be right; the draft is as before.
        """
        if not 0.0 < speed <= MAX_SPEED:
            raise UserError(f"a speed of {speed:g} m/s cannot be right: {MAX_SPEED:g} at most, and more than nothing")
        start = self.starts.get(direction)
        if start is None:
            raise UserError(f"the pulse at which the wheels begin to turn ({direction}) comes first")
        assert self.neutral_ns is not None
        way = 1 if pulse_ns > self.neutral_ns else -1
        points = {**self.speeds[direction], pulse_ns: speed}
        ordered = [points[pulse] for pulse in sorted(points, key=lambda pulse: way * pulse)]
        if way * (pulse_ns - start) <= 0:
            raise UserError(f"{_us(pulse_ns)} lies within the dead band, which ends at {_us(start)}")
        if any(b <= a for a, b in pairwise(ordered)):
            readings = ", ".join(f"{value:.2f}" for value in ordered)
            raise UserError(f"more throttle must be faster, but the speeds are now {readings} m/s; measure again")
        self.speeds[direction] = points

    def missing(self) -> list[str]:
        """Return what has not been measured yet, in plain words."""
        right, left = min(self.angles.values(), default=0.0), max(self.angles.values(), default=0.0)
        least = math.radians(MIN_RANGE_DEG)
        steps = {
            "the wheels' angle at three pulses or more": len(self.angles) < 3,
            f"an angle of {MIN_RANGE_DEG:g} degrees or more to the right": right > -least,
            f"an angle of {MIN_RANGE_DEG:g} degrees or more to the left": left < least,
            "the neutral pulse of the throttle": self.neutral_ns is None,
            "the pulse at which the wheels begin to turn forwards": "forward" not in self.starts,
            "the speed at two forward throttles or more": len(self.speeds["forward"]) < 2,
            "the speed of a reverse throttle": "reverse" in self.starts and not self.speeds["reverse"],
        }
        return [step for step, is_missing in steps.items() if is_missing]

    def finish(self, method: SteeringMethod) -> Calibration:
        """Return the calibration.

        Raises:
            UserError: Something has not been measured.
        """
        if missing := self.missing():
            raise UserError(f"The calibration is not complete; still to measure: {'; '.join(missing)}")
        assert self.neutral_ns is not None
        curves = {
            direction: tuple(
                ThrottlePoint(pulse_ns=pulse, speed=speed)
                for pulse, speed in sorted(points.items(), key=lambda point: point[1])
            )
            for direction, points in self.speeds.items()
        }
        return Calibration(
            vehicle=self.vehicle.name,
            date=today(),
            steering_method=method,
            throttle_method="timed distance",
            steering=tuple(
                SteeringPoint(pulse_ns=pulse, angle=angle)
                for pulse, angle in sorted(self.angles.items(), key=lambda point: point[1])
            ),
            throttle=ThrottleCurve(
                neutral_ns=self.neutral_ns,
                forward_from_ns=self.starts["forward"],
                reverse_from_ns=self.starts.get("reverse", self.neutral_ns),
                forward=curves["forward"],
                reverse=curves["reverse"],
            ),
        )


def angle_of_circle(diameter_m: float, vehicle: Vehicle) -> float:
    """Return the steering angle (degrees, positive) of a circle that the outer rear wheel draws.

    The middle of the rear axle runs on a circle of radius R around the point that the front wheels look at squarely, so
    tan(angle) = wheelbase / R (single-track geometry).

    Raises:
        UserError: No car of this size can drive such a circle.
    """
    radius = 0.5 * diameter_m - 0.5 * vehicle.geometry.track_rear
    if radius < 0.5 * vehicle.geometry.wheelbase:
        raise UserError(f"a circle of {diameter_m:g} m cannot be right: this car is too long for it")
    return math.degrees(math.atan(vehicle.geometry.wheelbase / radius))


def speed_of_runs(short_s: float, short_m: float, long_s: float, long_m: float) -> float:
    """Return the steady speed (m/s) from the lengths of two runs from standstill to standstill.

    Both begin with the same acceleration and end with the same coasting, so the longer one is longer by exactly the
    steady speed times the difference of the durations.

    Raises:
        UserError: The lengths contradict each other, or are too short to tell the speed to 5 %.
    """
    if long_m <= short_m:
        raise UserError(
            f"the run of {long_s:g} s went {long_m:g} m and that of {short_s:g} s {short_m:g} m, "
            "but the longer one must go further"
        )
    if long_m - short_m < MIN_DIFFERENCE_M:
        error = _SPEED_ERROR * MIN_DIFFERENCE_M / (long_m - short_m)
        raise UserError(
            f"the two runs differ by {100 * (long_m - short_m):.0f} cm only, "
            f"so that 2 cm on the tape are {100 * error:.0f} % of the speed; run longer"
        )
    speed = (long_m - short_m) / (long_s - short_s)
    if not 0.4 <= short_m / short_s / speed <= 2.0:
        raise UserError(
            f"the runs of {short_m:g} m and {long_m:g} m do not belong together: the shorter one was "
            f"{short_m / short_s:.2f} m/s on average, the rest of the longer one {speed:.2f}; measure both again"
        )
    return speed


def _us(pulse_ns: int) -> str:
    return f"{pulse_ns / 1000:.0f} us"
