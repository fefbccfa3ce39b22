"""A calibration as a fixed set of sliders, for a window instead of the wizard's questions."""

from __future__ import annotations

import math
from typing import Literal, cast

from pydantic import Field

from deepracer_inference.calibrate.draft import Direction, Draft
from deepracer_inference.calibration import Calibration, SteeringMethod
from deepracer_inference.config import StrictModel
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle

_SHARES = {"forward_1": 0.2, "forward_2": 0.45, "forward_3": 0.8, "reverse_1": 0.4}
"""Where the throttles lie at first, between dead band and fastest."""

HELD = ("right", "half_right", "centre", "half_left", "left")
RUNS = tuple(_SHARES)
MEASURED = (*(f"{name}_deg" for name in HELD if name != "centre"), *(f"{name}_speed" for name in RUNS))
"""What has to be read off the car; everything else is tried out on it."""


class Points(StrictModel):
    """Pulses (us), angles (degrees, + = left) and speeds (m/s) of one car."""

    method: Literal["protractor", "turning circle"] = Field(
        default="protractor", description="How the wheel angles were measured."
    )
    right_us: int = Field(default=1200, ge=500, le=2500, description="Pulse of the right end, us.")
    centre_us: int = Field(default=1450, ge=500, le=2500, description="Pulse at which the wheels are straight, us.")
    left_us: int = Field(default=1700, ge=500, le=2500, description="Pulse of the left end, us.")
    right_deg: float = Field(default=-30.0, ge=-50.0, le=50.0, description="Wheel angle at the right end, degrees.")
    half_right_deg: float = Field(
        default=-15.0, ge=-50.0, le=50.0, description="Wheel angle midway between centre and right end, degrees."
    )
    centre_deg: float = Field(default=0.0, ge=-50.0, le=50.0, description="Wheel angle at the centre, degrees.")
    half_left_deg: float = Field(
        default=15.0, ge=-50.0, le=50.0, description="Wheel angle midway between centre and left end, degrees."
    )
    left_deg: float = Field(default=30.0, ge=-50.0, le=50.0, description="Wheel angle at the left end, degrees.")
    neutral_us: int = Field(default=1446, ge=500, le=2500, description="Throttle pulse of standstill, us.")
    forward_from_us: int = Field(default=1446, ge=500, le=2500, description="Wheels begin to turn forwards here, us.")
    reverse_from_us: int = Field(default=1446, ge=500, le=2500, description="Wheels begin to turn backwards here, us.")
    forward_1_us: int = Field(default=1420, ge=500, le=2500, description="Slow throttle, us.")
    forward_2_us: int = Field(default=1385, ge=500, le=2500, description="Middle throttle, us.")
    forward_3_us: int = Field(default=1340, ge=500, le=2500, description="Fast throttle, us.")
    reverse_1_us: int = Field(default=1510, ge=500, le=2500, description="Throttle of driving backwards, us.")
    forward_1_speed: float = Field(default=0.8, ge=0.0, le=30.0, description="Speed at the slow throttle, m/s.")
    forward_2_speed: float = Field(default=1.8, ge=0.0, le=30.0, description="Speed at the middle throttle, m/s.")
    forward_3_speed: float = Field(default=3.2, ge=0.0, le=30.0, description="Speed at the fast throttle, m/s.")
    reverse_1_speed: float = Field(default=1.6, ge=0.0, le=30.0, description="Speed of driving backwards, m/s.")
    hold: Literal["right", "half_right", "centre", "half_left", "left"] = Field(
        default="centre", description="Where the steering is held now, to be read off."
    )
    run: Literal["forward_1", "forward_2", "forward_3", "reverse_1"] = Field(
        default="forward_1", description="Throttle that the service ~/test runs."
    )
    run_s: float = Field(default=1.0, ge=0.2, le=5.0, description="Time that ~/test runs it, s.")

    @classmethod
    def of(cls, calibration: Calibration) -> Points:
        """Return the points of a calibration; what it has not measured at such a point, it interpolates."""
        throttle = calibration.throttle
        centre, neutral = calibration.neutral
        ends = {"right": calibration.steering[0].pulse_ns, "centre": centre, "left": calibration.steering[-1].pulse_ns}
        values: dict[str, int | float] = {f"{name}_us": round(pulse / 1000) for name, pulse in ends.items()}
        values |= {
            "neutral_us": round(neutral / 1000),
            "forward_from_us": round(throttle.forward_from_ns / 1000),
            "reverse_from_us": round(throttle.reverse_from_ns / 1000),
        }
        backwards, forwards = calibration.speed_range
        for name, share in _SHARES.items():
            start, speed = (
                (throttle.forward_from_ns, forwards)
                if name.startswith("forward")
                else (throttle.reverse_from_ns, backwards)
            )
            end = calibration.pulses(0.0, speed)[1]
            values[f"{name}_us"] = round((start + share * (end - start)) / 1000)
        draft = cls.model_validate(values)
        for name in HELD:
            angle, _ = calibration.motion(draft.steering_ns(name), neutral)
            values[f"{name}_deg"] = round(math.degrees(angle), 2) + 0.0
        for name in RUNS:
            values[f"{name}_speed"] = round(abs(calibration.motion(centre, draft.throttle_ns(name))[1]), 3)
        return cls.model_validate(values)

    def steering_ns(self, name: str) -> int:
        """Return the steering pulse of one of `HELD`."""
        if name.startswith("half_"):
            end = getattr(self, f"{name.removeprefix('half_')}_us")
            return 500 * (int(end) + self.centre_us)
        return 1000 * int(getattr(self, f"{name}_us"))

    def throttle_ns(self, name: str) -> int:
        """Return the throttle pulse of one of `RUNS`."""
        return 1000 * int(getattr(self, f"{name}_us"))

    def calibration(self, vehicle: Vehicle, unmeasured: set[str]) -> Calibration:
        """Return the calibration.

        Args:
            vehicle: The car.
            unmeasured: Those of `MEASURED` that nobody has read off yet.

        Raises:
            UserError: Something has not been measured, or the values contradict each other.
        """
        if unmeasured:
            names = [name for name in MEASURED if name in unmeasured]
            raise UserError(f"Nothing has been saved; still to measure: {', '.join(names)}")
        draft = Draft(vehicle)
        for name in HELD:
            draft.add_angle(self.steering_ns(name), getattr(self, f"{name}_deg"))
        draft.set_neutral(1000 * self.neutral_us)
        directions: tuple[Direction, ...] = ("forward", "reverse")
        for direction in directions:
            draft.set_start(direction, 1000 * int(getattr(self, f"{direction}_from_us")))
        for name in RUNS:
            direction = cast(Direction, name.partition("_")[0])
            draft.add_speed(direction, self.throttle_ns(name), getattr(self, f"{name}_speed"))
        method: SteeringMethod = self.method
        return draft.finish(method)
