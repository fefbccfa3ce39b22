"""The one interface of every simulator: embedded or over ROS topics, N cars in lock-step."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deepracer_inference.vehicle import Vehicle
    from deepracer_sim.objects import Objects
    from deepracer_sim.tracks.track import Track

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
FrameArray = NDArray[np.uint8]


@dataclass
class CarStates:
    """Motion of N cars at one moment; every array is `(N,)` float64.

    The pose is the one of `base_link`, the vehicle file's origin. The velocities are in the body frame at the
    centre of gravity.
    """

    x: FloatArray
    """Position along the world's x axis, m."""
    y: FloatArray
    """Position along the world's y axis, m."""
    yaw: FloatArray
    """Heading, rad, counter-clockwise from the x axis; not necessarily wrapped."""
    speed: FloatArray
    """Forward velocity, m/s, negative when rolling backwards."""
    lateral_speed: FloatArray
    """Velocity to the car's left, m/s."""
    yaw_rate: FloatArray
    """rad/s, counter-clockwise positive."""
    steering_angle: FloatArray
    """Angle the wheels have really reached (not the command), rad, left positive."""
    time_ns: int
    """Simulated time of all cars, ns."""

    def copy(self) -> CarStates:
        """Return states that share no memory with these."""
        return replace(self, **{name: getattr(self, name).copy() for name in _ARRAYS})

    def take(self, cars: IntArray) -> CarStates:
        """Return a copy with only the given cars, in the given order.

        Args:
            cars: Indices, `(K,)`.
        """
        return replace(self, **{name: getattr(self, name)[cars] for name in _ARRAYS})


_ARRAYS = tuple(field.name for field in fields(CarStates) if field.name != "time_ns")


class Simulator(Protocol):
    """N cars of one kind on one track, each in a world of its own, stepped together."""

    track: Track
    """The road all cars drive on, in driving direction."""
    vehicle: Vehicle
    """The car that is simulated."""
    cars: int
    """Number of cars N."""
    period_ns: int
    """Simulated time that one step takes, ns."""
    frame_shape: tuple[int, int]
    """Height and width of an image, px."""
    objects: Objects | None
    """What stands or drives on the road besides the cars; None in a time trial."""

    def reset(self, cars: IntArray, poses: FloatArray) -> None:
        """Put cars down at standstill: wheels straight, nothing left in the latency queue.

        Args:
            cars: Indices of the cars to move, `(K,)`; the others are not touched.
            poses: x, y, yaw of `base_link` in m, m, rad, `(K, 3)`.
        """
        ...

    def step(self, steering_angle: FloatArray, speed: FloatArray) -> None:
        """Drive all cars for exactly one control period.

        Args:
            steering_angle: Commands, rad, left positive, `(N,)`.
            speed: Commands, m/s, `(N,)`.
        """
        ...

    def images(self) -> FrameArray:
        """Return what the cameras see now, grey, `(N, H, W)`; the view is valid until the next step or reset."""
        ...

    def readings(self) -> dict[str, NDArray[Any]]:
        """Return what the sensors of the observation give the network now, by the names of `ObservationSpec.inputs`.

        With the front camera alone that is `image`, `(N, H, W, 1)`. As `images`, valid until the next step or reset.
        """
        ...

    def state(self) -> CarStates:
        """Return the motion of all cars now."""
        ...


class ColorSimulator(Simulator, Protocol):
    """A simulator that also has what people look at."""

    def frame_rgb(self, car: int) -> FrameArray:
        """Return the colour image of one car at the camera's full resolution, `(H, W, 3)`."""
        ...
