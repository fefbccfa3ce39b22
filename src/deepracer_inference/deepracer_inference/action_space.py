"""What a model may command: a list of actions or two ranges, in AWS's units at the edge and SI inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, model_validator

from deepracer_inference.config import StrictModel

Float32Array = npt.NDArray[np.float32]

# AWS's limits in training [D 1.2].
MIN_SPEED = 0.1
MAX_SPEED = 4.0
MAX_STEERING_ANGLE_DEG = 30.0

SteeringDegrees = Annotated[float, Field(ge=-MAX_STEERING_ANGLE_DEG, le=MAX_STEERING_ANGLE_DEG)]
Speed = Annotated[float, Field(ge=MIN_SPEED, le=MAX_SPEED)]


class DiscreteAction(StrictModel):
    """One entry of a discrete action space."""

    steering_angle: SteeringDegrees
    """Degrees, + = left."""
    speed: Speed
    """m/s."""


class DiscreteActionSpace(StrictModel):
    """A fixed list of actions; the network chooses one of them in every step."""

    kind: Literal["discrete"] = "discrete"
    actions: tuple[DiscreteAction, ...] = Field(min_length=2, max_length=30)

    def table(self) -> Float32Array:
        """Return all actions as (n, 2): steering angle (rad, + = left), speed (m/s)."""
        degrees = np.array([[action.steering_angle, action.speed] for action in self.actions])
        return _to_si(degrees)

    @property
    def low(self) -> Float32Array:
        """Smallest steering angle (rad) and speed (m/s) of all actions, (2,)."""
        return np.asarray(self.table().min(axis=0))

    @property
    def high(self) -> Float32Array:
        """Largest steering angle (rad) and speed (m/s) of all actions, (2,)."""
        return np.asarray(self.table().max(axis=0))

    @property
    def max_speed(self) -> float:
        """Speed of the fastest action (m/s)."""
        return max(action.speed for action in self.actions)


class Range(StrictModel):
    """Two ends of a range, in the unit of the field that holds it."""

    low: float
    high: float

    @model_validator(mode="after")
    def _check_order(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}, but low must be smaller than high")
        return self


def _within(lowest: float, highest: float, unit: str) -> AfterValidator:
    def check(value: Range) -> Range:
        if value.low < lowest or value.high > highest:
            raise ValueError(
                f"the range is {value.low} to {value.high} {unit}, but must lie within {lowest} to {highest} {unit}"
            )
        return value

    return AfterValidator(check)


SteeringRange = Annotated[Range, _within(-MAX_STEERING_ANGLE_DEG, MAX_STEERING_ANGLE_DEG, "degrees")]
SpeedRange = Annotated[Range, _within(MIN_SPEED, MAX_SPEED, "m/s")]


class ContinuousActionSpace(StrictModel):
    """Any steering angle and speed within two ranges."""

    kind: Literal["continuous"] = "continuous"
    steering_angle: SteeringRange
    """Degrees, + = left."""
    speed: SpeedRange
    """m/s."""

    @property
    def low(self) -> Float32Array:
        """Smallest steering angle (rad) and speed (m/s), (2,)."""
        return _to_si(np.array([self.steering_angle.low, self.speed.low]))

    @property
    def high(self) -> Float32Array:
        """Largest steering angle (rad) and speed (m/s), (2,)."""
        return _to_si(np.array([self.steering_angle.high, self.speed.high]))

    @property
    def max_speed(self) -> float:
        """Upper end of the speed range (m/s)."""
        return self.speed.high

    def scale(self, normalized: npt.NDArray[np.floating]) -> Float32Array:
        """Map the network's normalised action to a command.

        Args:
            normalized: (..., 2); -1 is the lower end of a range, +1 the upper end; values beyond are clipped.

        Returns:
            (..., 2): steering angle (rad), speed (m/s).
        """
        return self.scaler()(normalized)

    def scaler(self) -> Callable[[npt.NDArray[np.floating]], Float32Array]:
        """Return `scale` with the ends of the ranges worked out, for a caller in a hurry."""
        low, high = self.low, self.high

        def scale(normalized: npt.NDArray[np.floating]) -> Float32Array:
            share = (np.clip(normalized, -1.0, 1.0).astype(np.float32) + np.float32(1.0)) * np.float32(0.5)
            return np.asarray(low + share * (high - low), dtype=np.float32)

        return scale


ActionSpace = Annotated[DiscreteActionSpace | ContinuousActionSpace, Field(discriminator="kind")]
"""Type of a configuration field that holds either kind; told apart by `kind`."""


def _to_si(values: npt.NDArray[np.float64]) -> Float32Array:
    """Convert (..., 2) degrees and m/s to rad and m/s."""
    return np.stack([np.deg2rad(values[..., 0]), values[..., 1]], axis=-1).astype(np.float32)
