"""The motion of N cars of one kind: state, latency queue and exact control periods around the compiled kernels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from deepracer_sim.dynamics import kernels
from deepracer_sim.simulator import CarStates

if TYPE_CHECKING:
    from deepracer_inference.vehicle import Vehicle
    from deepracer_sim.simulator import FloatArray, IntArray

LONGEST_SUBSTEP_S = 0.007
"""Integration step. One second of random commands (15 of them) ends 1 um off a 0.05 ms reference in the median, 10 um
with AWS's abrupt drive and stiff tyres (where `LARGEST_DECAY` shortens the step to 4.8 ms), never 1 mm."""
LARGEST_DECAY = 1.5
"""Integration step times the fastest decay rate; Runge-Kutta 4 is stable up to 2.78."""


def parameters(vehicle: Vehicle) -> FloatArray:
    """Flatten what the kernels need of a vehicle into one vector, `(PARAMETER_COUNT,)`."""
    geometry, tyre, steering, drive = vehicle.geometry, vehicle.tyre, vehicle.steering, vehicle.drive
    vector = np.empty(kernels.PARAMETER_COUNT)
    vector[kernels.CG_TO_FRONT_AXLE] = geometry.cg_to_front_axle
    vector[kernels.CG_TO_REAR_AXLE] = geometry.cg_to_rear_axle
    vector[kernels.ORIGIN_TO_CG] = geometry.origin_to_cg
    vector[kernels.HALF_TRACK_FRONT] = geometry.track_front / 2.0
    vector[kernels.HALF_TRACK_REAR] = geometry.track_rear / 2.0
    vector[kernels.LOAD_FRONT] = kernels.GRAVITY * geometry.cg_to_rear_axle / geometry.wheelbase
    vector[kernels.LOAD_REAR] = kernels.GRAVITY * geometry.cg_to_front_axle / geometry.wheelbase
    vector[kernels.YAW_GAIN] = vehicle.inertia.mass / vehicle.inertia.yaw
    vector[kernels.FRICTION] = tyre.friction
    vector[kernels.STIFFNESS_FRONT] = tyre.cornering_stiffness_front
    vector[kernels.STIFFNESS_REAR] = tyre.cornering_stiffness_rear
    vector[kernels.STEERING_RATE_LIMIT] = steering.rate_limit
    vector[kernels.STEERING_TIME_CONSTANT] = steering.time_constant_s
    vector[kernels.DRIVE_TIME_CONSTANT] = drive.time_constant_s
    vector[kernels.ACCELERATION_LIMIT] = drive.acceleration_limit
    vector[kernels.DECELERATION_LIMIT] = drive.deceleration_limit
    vector[kernels.DIFFERENTIAL_LOCK] = drive.differential_lock
    return vector


def initial_state(poses: ArrayLike) -> FloatArray:
    """Return the state of cars that stand with straight wheels, `(K, STATE_SIZE)`.

    Args:
        poses: x, y, yaw of `base_link` in m, m, rad, `(K, 3)`.
    """
    poses = np.asarray(poses, np.float64)
    state = np.zeros((len(poses), kernels.STATE_SIZE))
    state[:, : kernels.YAW + 1] = poses
    return state


def substep_s(p: FloatArray) -> float:
    """Return the longest integration step that is accurate and stable for a parameter vector, s.

    The fastest motion is the tyre damping at standstill (see `kernels`).
    """
    lever = max(p[kernels.CG_TO_FRONT_AXLE], p[kernels.CG_TO_REAR_AXLE]) ** 2
    scrub = p[kernels.DIFFERENTIAL_LOCK] * max(p[kernels.HALF_TRACK_FRONT], p[kernels.HALF_TRACK_REAR]) ** 2
    stiffness = max(p[kernels.STIFFNESS_FRONT], p[kernels.STIFFNESS_REAR])
    rate = stiffness * kernels.GRAVITY / kernels.SLIP_SPEED * max(1.0, (lever + scrub) * p[kernels.YAW_GAIN])
    return min(LONGEST_SUBSTEP_S, LARGEST_DECAY / float(rate))


class SingleTrack:
    """N cars that are told steering angle and speed once per control period."""

    state: FloatArray
    """Of all cars, `(N, STATE_SIZE)`, with the columns named in `kernels`."""

    def __init__(self, vehicle: Vehicle, cars: int, period_ns: int) -> None:
        """Put all cars down at the origin.

        Args:
            vehicle: The kind of car.
            cars: Number of cars N.
            period_ns: Control period; commands act `vehicle.latency_s` later, exactly, also if that is several periods.
        """
        self._vehicle = vehicle
        self._parameters = parameters(vehicle)
        whole_periods, before_ns = divmod(round(vehicle.latency_s * 1e9), period_ns)
        longest = substep_s(self._parameters)
        self._before_s, self._after_s = before_ns * 1e-9, (period_ns - before_ns) * 1e-9
        self._before_substeps = math.ceil(self._before_s / longest)
        self._after_substeps = math.ceil(self._after_s / longest)
        self.state = initial_state(np.zeros((cars, 3)))
        self._command = np.zeros((cars, 2))
        self._waiting = np.zeros((cars, whole_periods + 1, 2))

    def reset(self, cars: IntArray, poses: ArrayLike) -> None:
        """Put cars down at standstill with straight wheels, and forget the commands that they have not carried out yet.

        Args:
            cars: Indices, `(K,)`.
            poses: x, y, yaw of `base_link` in m, m, rad, `(K, 3)`.
        """
        self.state[cars] = initial_state(poses)
        self._command[cars] = 0.0
        self._waiting[cars] = 0.0

    def command(self, steering_angle: ArrayLike, speed: ArrayLike) -> None:
        """Set the commands of the next period; what is beyond the vehicle's limits is cut off there.

        Args:
            steering_angle: rad, left positive, `(N,)`.
            speed: m/s, negative backwards, `(N,)`.

        Raises:
            ValueError: A command is not a finite number.
        """
        for column, name, given, limit in (
            (kernels.STEERING_COMMAND, "steering_angle", steering_angle, self._vehicle.steering.limit),
            (kernels.SPEED_COMMAND, "speed", speed, self._vehicle.drive.speed_limit),
        ):
            values = np.asarray(given, np.float64)
            if values.shape != (len(self.state),):
                raise ValueError(f"{name} has the shape {values.shape}, but ({len(self.state)},) is expected")
            finite = np.isfinite(values)
            if not finite.all():
                car = int(np.argmin(finite))
                raise ValueError(f"{name} of car {car} is {values[car]}, but a finite number is expected")
            np.clip(values, -limit, limit, out=self._command[:, column])

    def step(self, low: int, high: int) -> None:
        """Drive the cars `low` to `high` for one period; threads may drive disjoint ranges at the same time."""
        kernels.step_cars(
            self.state,
            self._command,
            self._waiting,
            self._parameters,
            self._before_s,
            self._before_substeps,
            self._after_s,
            self._after_substeps,
            low,
            high,
        )

    def poses(self) -> FloatArray:
        """Return x, y, yaw of all cars, `(N, 3)`, a view of the state."""
        return self.state[:, : kernels.YAW + 1]

    def states(self, time_ns: int) -> CarStates:
        """Return a copy of the motion of all cars.

        Args:
            time_ns: Simulated time to label it with.
        """
        x, y, yaw, vx, vy, yaw_rate, steering, _ = self.state.T.copy()
        return CarStates(x, y, yaw, vx, vy, yaw_rate, steering, time_ns)
