"""Calibration of one car: which pulses give which steering angle and which speed, in physical units.

AWS's calibration knows only the ends of the servo's way, so a model's 15 degrees become whatever the linkage makes of
them, and 1 m/s has no meaning at all. Here every point is a pulse and what was measured with it.
"""

from __future__ import annotations

import datetime
import math
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from deepracer_inference.config import StrictModel, dump_yaml, load_yaml
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import home, read_bytes, write_atomic
from deepracer_inference.monotone import MonotoneCurve
from deepracer_inference.vehicle import LONGEST_PULSE_NS, SHORTEST_PULSE_NS, PwmChannel, Vehicle

Pulse = Annotated[int, Field(ge=SHORTEST_PULSE_NS, le=LONGEST_PULSE_NS)]

Nominal = Literal["vehicle file", "aws"]
"""Nothing was measured: the vehicle file's limits, spread over its own pulses or over those of AWS's calibration."""
SteeringMethod = Literal["protractor", "turning circle"]
ThrottleMethod = Literal["timed distance"]


class SteeringPoint(StrictModel):
    """The wheels' angle at one pulse."""

    pulse_ns: Pulse
    angle: Annotated[float, Field(ge=-1.2, le=1.2)]
    """rad, + = left; the mean of both front wheels."""


class ThrottlePoint(StrictModel):
    """The car's speed at one pulse."""

    pulse_ns: Pulse
    speed: Annotated[float, Field(gt=0.0, le=30.0)]
    """m/s, positive in reverse, too."""


class ThrottleCurve(StrictModel):
    """From pulses to speeds. Between `reverse_from_ns` and `forward_from_ns` the car stands still: the dead band."""

    neutral_ns: Pulse
    """The pulse that is sent to stand still."""
    forward_from_ns: Pulse
    """Where the wheels begin to turn forwards."""
    reverse_from_ns: Pulse
    """Where they begin to turn backwards."""
    forward: tuple[ThrottlePoint, ...] = Field(min_length=1, max_length=32)
    """Slow to fast."""
    reverse: tuple[ThrottlePoint, ...] = Field(default=(), max_length=32)
    """Slow to fast; empty for a car that is not to drive backwards."""

    @model_validator(mode="after")
    def _check_order(self) -> ThrottleCurve:
        way = 1 if self.forward[0].pulse_ns > self.neutral_ns else -1
        sides = (("forward", way, self.forward_from_ns), ("reverse", -way, self.reverse_from_ns))
        for name, sign, start_ns in sides:
            if sign * (start_ns - self.neutral_ns) < 0:
                raise ValueError(
                    f"{name}_from_ns is {start_ns}, but lies on the other side of neutral_ns {self.neutral_ns}"
                )
            points: tuple[ThrottlePoint, ...] = getattr(self, name)
            pulses = [sign * start_ns, *(sign * point.pulse_ns for point in points)]
            speeds = [0.0, *(point.speed for point in points)]
            if any(b <= a for values in (pulses, speeds) for a, b in pairwise(values)):
                raise ValueError(
                    f"the {name} points must get faster from one to the next, "
                    f"with pulses further and further from {name}_from_ns"
                )
        return self


class Calibration(StrictModel):
    """The calibration file of one car."""

    format: Literal[1] = 1
    vehicle: Annotated[str, Field(min_length=1)]
    """Name of its vehicle file."""
    date: Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    """Day of the measurement, ISO 8601; empty when nothing was measured."""
    steering_method: Nominal | SteeringMethod
    throttle_method: Nominal | ThrottleMethod
    steering: tuple[SteeringPoint, ...] = Field(min_length=2, max_length=32)
    """From right to left."""
    throttle: ThrottleCurve

    @model_validator(mode="after")
    def _check_steering(self) -> Calibration:
        way = 1 if self.steering[-1].pulse_ns > self.steering[0].pulse_ns else -1
        for a, b in pairwise(self.steering):
            if b.angle <= a.angle or way * (b.pulse_ns - a.pulse_ns) <= 0:
                raise ValueError(
                    "the steering points must go from right to left (angle ascending), "
                    "with pulses that only rise or only fall"
                )
        if not self.steering[0].angle < 0.0 < self.steering[-1].angle:
            raise ValueError("the steering points must reach to the right (angle below 0) and to the left (above 0)")
        return self

    @classmethod
    def from_vehicle(cls, vehicle: Vehicle) -> Calibration:
        """Return what the vehicle file promises, for a car that nobody has measured."""
        return nominal_calibration(vehicle, vehicle.pwm.steering, vehicle.pwm.throttle, "vehicle file")

    @property
    def is_measured(self) -> bool:
        """Whether angles and speeds were measured on this car."""
        nominal = get_args(Nominal)
        return self.steering_method not in nominal and self.throttle_method not in nominal

    @property
    def steering_range(self) -> tuple[float, float]:
        """Steering angle at the right and at the left end (rad)."""
        return self.steering[0].angle, self.steering[-1].angle

    @property
    def speed_range(self) -> tuple[float, float]:
        """Fastest speed backwards (zero or below) and forwards (m/s)."""
        reverse = self.throttle.reverse
        return -reverse[-1].speed if reverse else 0.0, self.throttle.forward[-1].speed

    @cached_property
    def neutral(self) -> tuple[int, int]:
        """Pulses for steering and throttle (ns) of a car that stands still with its wheels straight."""
        return self.pulses(0.0, 0.0)

    def pulses(self, steering_angle: float, speed: float) -> tuple[int, int]:
        """Return the pulses for a command.

        Args:
            steering_angle: rad, + = left; limited to `steering_range`.
            speed: m/s, below 0 = backwards; limited to `speed_range`.

        Returns:
            Steering and throttle (ns).

        Raises:
            DeepRacerError: One of them is not a finite number.
        """
        if not (math.isfinite(steering_angle) and math.isfinite(speed)):
            raise DeepRacerError(f"The command {steering_angle} rad, {speed} m/s is not a pair of finite numbers")
        steering_ns = self._steering_sign * round(self._steering.inverse(steering_angle))
        curve = self._forward if speed > 0.0 else self._reverse
        if speed == 0.0 or curve is None:
            return steering_ns, self.throttle.neutral_ns
        sign = self._forward_sign if speed > 0.0 else -self._forward_sign
        return steering_ns, sign * round(curve.inverse(abs(speed)))

    def motion(self, steering_ns: int, throttle_ns: int) -> tuple[float, float]:
        """Return what pulses do, the inverse of `pulses`.

        Args:
            steering_ns: Pulse of the servo.
            throttle_ns: Pulse of the speed controller.

        Returns:
            Steering angle (rad) and speed (m/s); within the dead band 0.
        """
        angle = self._steering(self._steering_sign * steering_ns)
        forward = self._forward(self._forward_sign * throttle_ns)
        backward = self._reverse(-self._forward_sign * throttle_ns) if self._reverse else 0.0
        return angle, forward if forward > 0.0 else 0.0 - backward

    # The curves run over ascending pulses; a sign turns those channels round on which the longer pulse means less.

    @property
    def _steering_sign(self) -> int:
        return 1 if self.steering[-1].pulse_ns > self.steering[0].pulse_ns else -1

    @property
    def _forward_sign(self) -> int:
        return 1 if self.throttle.forward[0].pulse_ns > self.throttle.neutral_ns else -1

    @cached_property
    def _steering(self) -> MonotoneCurve:
        pulses = [self._steering_sign * point.pulse_ns for point in self.steering]
        return MonotoneCurve(pulses, [point.angle for point in self.steering])

    @cached_property
    def _forward(self) -> MonotoneCurve:
        return _speed_curve(self._forward_sign, self.throttle.forward_from_ns, self.throttle.forward)

    @cached_property
    def _reverse(self) -> MonotoneCurve | None:
        points = self.throttle.reverse
        return _speed_curve(-self._forward_sign, self.throttle.reverse_from_ns, points) if points else None


def calibration_path() -> Path:
    """Return the place of this car's calibration file."""
    return home() / "car" / "calibration.yaml"


def previous_path(path: Path) -> Path:
    """Return where the calibration before the one at `path` is kept."""
    return path.with_suffix(".previous.yaml")


def load_calibration(vehicle: Vehicle, path: Path | None = None) -> Calibration:
    """Return this car's calibration, or what the vehicle file promises if there is none.

    Args:
        vehicle: The car.
        path: A calibration file that must be there; the car's own when omitted.

    Raises:
        UserError: The file cannot be read, is wrong, or belongs to another vehicle.
    """
    file = path.expanduser() if path else calibration_path()
    if path is None and not file.exists():
        return Calibration.from_vehicle(vehicle)
    calibration = load_yaml(file, Calibration)
    if calibration.vehicle != vehicle.name:
        raise UserError(
            f"{file} is the calibration of a {calibration.vehicle}, but this car is a {vehicle.name}; "
            "calibrate this car with: deepracer calibrate"
        )
    return calibration


def save_calibration(calibration: Calibration, path: Path | None = None) -> Path:
    """Write a calibration file atomically and keep the one before; return its path.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    file = path or calibration_path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeepRacerError(f"Cannot create the folder {file.parent}: {error.strerror}") from error
    if file.exists():
        write_atomic(previous_path(file), read_bytes(file))
    dump_yaml(calibration, file)
    return file


def restore_calibration(path: Path | None = None) -> Calibration:
    """Exchange a calibration file with the one before and return what now holds; doing it twice changes nothing.

    Raises:
        UserError: There is no calibration before it.
    """
    file = path or calibration_path()
    previous = previous_path(file)
    if not previous.exists():
        raise UserError(f"There is no calibration before {file}; nothing has been changed")
    restored = load_yaml(previous, Calibration)
    save_calibration(restored, file)
    return restored


def today() -> str:
    """Return the date for `Calibration.date`."""
    return datetime.date.today().isoformat()


def nominal_calibration(vehicle: Vehicle, steering: PwmChannel, throttle: PwmChannel, method: Nominal) -> Calibration:
    """Spread the vehicle's steering and speed limits linearly over the ends of two channels."""
    limit = vehicle.steering.limit
    right, left = (steering.minimum_ns, steering.maximum_ns)[:: steering.polarity]
    back, ahead = (throttle.minimum_ns, throttle.maximum_ns)[:: throttle.polarity]
    return Calibration(
        vehicle=vehicle.name,
        steering_method=method,
        throttle_method=method,
        steering=(
            SteeringPoint(pulse_ns=right, angle=-limit),
            SteeringPoint(pulse_ns=steering.middle_ns, angle=0.0),
            SteeringPoint(pulse_ns=left, angle=limit),
        ),
        throttle=ThrottleCurve(
            neutral_ns=throttle.middle_ns,
            forward_from_ns=throttle.middle_ns,
            reverse_from_ns=throttle.middle_ns,
            forward=(ThrottlePoint(pulse_ns=ahead, speed=vehicle.drive.speed_limit),),
            reverse=(ThrottlePoint(pulse_ns=back, speed=vehicle.drive.speed_limit),),
        ),
    )


def _speed_curve(sign: int, start_ns: int, points: tuple[ThrottlePoint, ...]) -> MonotoneCurve:
    return MonotoneCurve(
        [sign * start_ns, *(sign * point.pulse_ns for point in points)], [0.0, *(point.speed for point in points)]
    )
