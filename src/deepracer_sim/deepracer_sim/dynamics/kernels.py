"""Compiled single-track dynamics: one car after the other, each from its own rows only.

A car's motion therefore does not depend on its index, on the number of cars or on how the caller cuts them into chunks.

The wheels turn at a speed of their own, which follows the command; what moves the car is the slip between wheel and
road. Slip is a wheel's sliding velocity over its rolling speed, and the rolling speed counts as at least `SLIP_SPEED`.
So nothing is divided by zero: towards standstill the tyre becomes a stiff damper that lets the wheel only roll,
forwards or backwards, and that *is* the kinematic model.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

X, Y, YAW, VX, VY, YAW_RATE, STEERING, WHEEL_SPEED = range(8)
STATE_SIZE = 8
"""Columns of the state: pose of `base_link` (m, m, rad), velocity of the centre of gravity in the body frame (m/s,
m/s), yaw rate (rad/s), angle of the front wheels (rad), circumferential speed the wheels
are driven at (m/s)."""

(
    CG_TO_FRONT_AXLE,
    CG_TO_REAR_AXLE,
    ORIGIN_TO_CG,
    HALF_TRACK_FRONT,
    HALF_TRACK_REAR,
    LOAD_FRONT,
    LOAD_REAR,
    YAW_GAIN,
    FRICTION,
    STIFFNESS_FRONT,
    STIFFNESS_REAR,
    STEERING_RATE_LIMIT,
    STEERING_TIME_CONSTANT,
    DRIVE_TIME_CONSTANT,
    ACCELERATION_LIMIT,
    DECELERATION_LIMIT,
    DIFFERENTIAL_LOCK,
) = range(17)
PARAMETER_COUNT = 17
"""Positions in the parameter vector, units as in the vehicle file; axle loads per mass (m/s^2), yaw gain = mass / yaw
inertia (1/m^2)."""

STEERING_COMMAND, SPEED_COMMAND = range(2)
"""Columns of commands: rad, m/s."""

GRAVITY = 9.80665
SLIP_SPEED = 0.5
"""m/s; wheels that roll more slowly than this go over to the kinematic model."""
STANDSTILL_SPEED = 1e-4
"""m/s, rad/s; a car that is told to stand and is slower than this stands: static friction holds it."""
NEGLIGIBLE = 1e-12
"""m/s, rad/s, rad; the rest of a decaying value is dropped before it becomes a denormal number, which is slow."""


@njit(cache=True, nogil=True, error_model="numpy")
def tyre_gain(slip: float, stiffness: float, friction: float) -> float:
    """Return the tyre force over slip and load: Fiala's brush model, linear at first, then saturating at the friction.

    Source: Pacejka, Tire and Vehicle Dynamics, 3rd edition, section 3.2 (isotropic brushes, parabolic pressure).

    Args:
        slip: Length of the slip vector (longitudinal, lateral).
        stiffness: Force over load per slip at zero slip.
        friction: Largest force over load.
    """
    share = slip * (stiffness / (3.0 * friction))
    if share >= 1.0:
        return friction / slip
    return stiffness * (1.0 - share + share * share * (1.0 / 3.0))


@njit(cache=True, nogil=True, error_model="numpy")
def axle_forces(
    along: float, across: float, scrub: float, stiffness: float, friction: float
) -> tuple[float, float, float]:
    """Return the forces of an axle over its load, in the frame of its wheels.

    Args:
        along: Longitudinal slip, positive when the wheels drive.
        across: Lateral slip, positive when the road pushes the wheels to the left.
        scrub: Slip forwards that the left wheel has more, and the right wheel less, because both turn at one speed.
        stiffness: As in `tyre_gain`.
        friction: As in `tyre_gain`.

    Returns:
        Force forwards, force to the left, force forwards of the right wheel less the left one.
    """
    if scrub == 0.0:
        gain = tyre_gain(math.sqrt(along * along + across * across), stiffness, friction)
        return gain * along, gain * across, 0.0
    left, right = along + scrub, along - scrub
    gain_left = 0.5 * tyre_gain(math.sqrt(left * left + across * across), stiffness, friction)
    gain_right = 0.5 * tyre_gain(math.sqrt(right * right + across * across), stiffness, friction)
    return (
        gain_left * left + gain_right * right,
        (gain_left + gain_right) * across,
        gain_right * right - gain_left * left,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def accelerations(
    vx: float, vy: float, yaw_rate: float, sin_angle: float, cos_angle: float, wheel_speed: float, p: FloatArray
) -> tuple[float, float, float]:
    """Return the derivatives of forward velocity, lateral velocity and yaw rate.

    Args:
        vx: Forward velocity, m/s.
        vy: Lateral velocity of the centre of gravity, m/s.
        yaw_rate: rad/s.
        sin_angle: Sine of the angle of the front wheels.
        cos_angle: Cosine of it.
        wheel_speed: Circumferential speed of the wheels, m/s.
        p: Parameter vector.
    """
    per_speed = 1.0 / max(abs(wheel_speed), SLIP_SPEED)
    # Differentials let every wheel turn as fast as the road under it moves; what they are locked, wheels slip instead.
    lock = p[DIFFERENTIAL_LOCK] * per_speed
    vy_front = vy + p[CG_TO_FRONT_AXLE] * yaw_rate
    vy_rear = vy - p[CG_TO_REAR_AXLE] * yaw_rate

    rolling_front = vx * cos_angle + vy_front * sin_angle
    front_along, front_across, front_difference = axle_forces(
        (wheel_speed - vx) * per_speed - (rolling_front - vx) * lock,
        (vx * sin_angle - vy_front * cos_angle) * per_speed,
        yaw_rate * p[HALF_TRACK_FRONT] * lock,
        p[STIFFNESS_FRONT],
        p[FRICTION],
    )
    rear_along, rear_across, rear_difference = axle_forces(
        (wheel_speed - vx) * per_speed,
        -vy_rear * per_speed,
        yaw_rate * p[HALF_TRACK_REAR] * lock,
        p[STIFFNESS_REAR],
        p[FRICTION],
    )
    front_x = p[LOAD_FRONT] * (front_along * cos_angle - front_across * sin_angle)
    front_y = p[LOAD_FRONT] * (front_along * sin_angle + front_across * cos_angle)
    rear_x, rear_y = p[LOAD_REAR] * rear_along, p[LOAD_REAR] * rear_across
    torque = p[CG_TO_FRONT_AXLE] * front_y - p[CG_TO_REAR_AXLE] * rear_y
    torque += (
        p[LOAD_FRONT] * front_difference * p[HALF_TRACK_FRONT] + p[LOAD_REAR] * rear_difference * p[HALF_TRACK_REAR]
    )
    return front_x + rear_x + vy * yaw_rate, front_y + rear_y - vx * yaw_rate, torque * p[YAW_GAIN]


@njit(cache=True, nogil=True, error_model="numpy")
def decay(duration: float, time_constant: float) -> float:
    """Return what is left of 1 after a duration of exponential decay; at once nothing if the time constant is 0."""
    return math.exp(-duration / time_constant) if time_constant > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def follow(value: float, target: float, duration: float, left: float, time_constant: float, rate_limit: float) -> float:
    """Return where a first-order lag with limited rate gets within a duration: the exact solution, not an integration.

    Args:
        value: Now.
        target: Constant command.
        duration: s.
        left: `decay(duration, time_constant)`, which the caller needs many times.
        time_constant: s; may be 0.
        rate_limit: Largest change per s.
    """
    error = target - value
    distance = abs(error)
    linear = rate_limit * time_constant
    if distance <= linear:
        return target - error * left if distance > NEGLIGIBLE else target
    sign = 1.0 if error > 0.0 else -1.0
    until_linear = (distance - linear) / rate_limit
    if until_linear >= duration:
        return value + sign * rate_limit * duration
    return target - sign * linear * decay(duration - until_linear, time_constant)


@njit(cache=True, nogil=True, error_model="numpy")
def turned(sine: float, cosine: float, angle: float) -> tuple[float, float]:
    """Return sine and cosine of an angle after turning on, to 1e-10; for small turns several times faster than libm."""
    square = angle * angle
    if square < 0.01:
        sin_angle = angle * (1.0 - square * (1.0 / 6.0) * (1.0 - square * (1.0 / 20.0)))
        cos_angle = 1.0 - square * 0.5 * (1.0 - square * (1.0 / 12.0) * (1.0 - square * (1.0 / 30.0)))
    else:
        sin_angle, cos_angle = math.sin(angle), math.cos(angle)
    return sine * cos_angle + cosine * sin_angle, cosine * cos_angle - sine * sin_angle


@njit(cache=True, nogil=True, error_model="numpy")
def advance(car: FloatArray, steering: float, speed: float, duration: float, substeps: int, p: FloatArray) -> None:
    """Integrate one car under a constant command.

    Steering angle and wheel speed are solved exactly, the velocities by Runge-Kutta 4, and the pose, on which nothing
    depends, by Simpson's rule over the velocities.

    Args:
        car: State row, `(STATE_SIZE,)`, changed in place.
        steering: Command within the vehicle's limits, rad.
        speed: Command within the vehicle's limits, m/s.
        duration: s.
        substeps: Number of equal parts the duration is cut into.
        p: Parameter vector.
    """
    step = duration / substeps
    half, sixth, eighth, twenty_fourth = step / 2.0, step / 6.0, step / 8.0, step / 24.0
    left_of_speed = decay(half, p[DRIVE_TIME_CONSTANT])
    left_of_angle = decay(half, p[STEERING_TIME_CONSTANT])
    x, y, yaw = car[X], car[Y], car[YAW]
    vx, vy, yaw_rate = car[VX], car[VY], car[YAW_RATE]
    angle, wheels = car[STEERING], car[WHEEL_SPEED]
    sin_angle, cos_angle = math.sin(angle), math.cos(angle)
    sin_yaw, cos_yaw = math.sin(yaw), math.cos(yaw)
    for _ in range(substeps):
        limit = p[DECELERATION_LIMIT] if (speed - wheels) * wheels < 0.0 else p[ACCELERATION_LIMIT]
        wheels_mid = follow(wheels, speed, half, left_of_speed, p[DRIVE_TIME_CONSTANT], limit)
        wheels_end = follow(wheels_mid, speed, half, left_of_speed, p[DRIVE_TIME_CONSTANT], limit)
        limit = p[STEERING_RATE_LIMIT]
        angle_mid = follow(angle, steering, half, left_of_angle, p[STEERING_TIME_CONSTANT], limit)
        angle_end = follow(angle_mid, steering, half, left_of_angle, p[STEERING_TIME_CONSTANT], limit)
        sin_angle_mid, cos_angle_mid = turned(sin_angle, cos_angle, angle_mid - angle)
        sin_angle_end, cos_angle_end = turned(sin_angle_mid, cos_angle_mid, angle_end - angle_mid)

        a1, b1, c1 = accelerations(vx, vy, yaw_rate, sin_angle, cos_angle, wheels, p)
        a2, b2, c2 = accelerations(
            vx + half * a1, vy + half * b1, yaw_rate + half * c1, sin_angle_mid, cos_angle_mid, wheels_mid, p
        )
        a3, b3, c3 = accelerations(
            vx + half * a2, vy + half * b2, yaw_rate + half * c2, sin_angle_mid, cos_angle_mid, wheels_mid, p
        )
        a4, b4, c4 = accelerations(
            vx + step * a3, vy + step * b3, yaw_rate + step * c3, sin_angle_end, cos_angle_end, wheels_end, p
        )
        vx_end = vx + sixth * (a1 + 2.0 * (a2 + a3) + a4)
        vy_end = vy + sixth * (b1 + 2.0 * (b2 + b3) + b4)
        yaw_rate_end = yaw_rate + sixth * (c1 + 2.0 * (c2 + c3) + c4)

        # Velocities half-way, from the cubic through both ends with the slopes there.
        vx_mid = 0.5 * (vx + vx_end) + eighth * (a1 - a4)
        vy_mid = 0.5 * (vy + vy_end) + eighth * (b1 - b4)
        yaw_rate_mid = 0.5 * (yaw_rate + yaw_rate_end) + eighth * (c1 - c4)
        yaw_mid = yaw + twenty_fourth * (5.0 * yaw_rate + 8.0 * yaw_rate_mid - yaw_rate_end)
        yaw_end = yaw + sixth * (yaw_rate + 4.0 * yaw_rate_mid + yaw_rate_end)
        sin_mid, cos_mid = turned(sin_yaw, cos_yaw, yaw_mid - yaw)
        sin_end, cos_end = turned(sin_yaw, cos_yaw, yaw_end - yaw)
        side = vy - p[ORIGIN_TO_CG] * yaw_rate
        side_mid = vy_mid - p[ORIGIN_TO_CG] * yaw_rate_mid
        side_end = vy_end - p[ORIGIN_TO_CG] * yaw_rate_end
        x += sixth * (
            (vx * cos_yaw - side * sin_yaw)
            + 4.0 * (vx_mid * cos_mid - side_mid * sin_mid)
            + (vx_end * cos_end - side_end * sin_end)
        )
        y += sixth * (
            (vx * sin_yaw + side * cos_yaw)
            + 4.0 * (vx_mid * sin_mid + side_mid * cos_mid)
            + (vx_end * sin_end + side_end * cos_end)
        )
        yaw, vx, vy, yaw_rate = yaw_end, vx_end, vy_end, yaw_rate_end
        angle, wheels = angle_end, wheels_end
        sin_angle, cos_angle, sin_yaw, cos_yaw = sin_angle_end, cos_angle_end, sin_end, cos_end

    if speed == 0.0 and max(abs(wheels), abs(vx), abs(vy), abs(yaw_rate)) < STANDSTILL_SPEED:
        wheels = vx = vy = yaw_rate = 0.0
    if abs(vy) < NEGLIGIBLE:
        vy = 0.0
    if abs(yaw_rate) < NEGLIGIBLE:
        yaw_rate = 0.0
    car[X], car[Y], car[YAW] = x, y, yaw
    car[VX], car[VY], car[YAW_RATE] = vx, vy, yaw_rate
    car[STEERING], car[WHEEL_SPEED] = angle, wheels


@njit(cache=True, nogil=True, error_model="numpy")
def step_cars(
    state: FloatArray,
    command: FloatArray,
    waiting: FloatArray,
    p: FloatArray,
    before_s: float,
    before_substeps: int,
    after_s: float,
    after_substeps: int,
    low: int,
    high: int,
) -> None:
    """Drive the cars `low` to `high` for one control period.

    The latency is Q - 1 whole periods and `before_s`: commands wait in a queue of length Q, the oldest acts for the
    first `before_s` of the period, the next one for the remaining `after_s`.

    Args:
        state: `(N, STATE_SIZE)`, changed in place.
        command: New commands within the vehicle's limits, `(N, 2)`.
        waiting: Commands not yet superseded, oldest first, `(N, Q, 2)`; moved on in place.
        p: Parameter vector.
        before_s: Part of the period that the oldest command still acts, s.
        before_substeps: Integration steps of that part; 0 if there is none.
        after_s: Remaining part, s.
        after_substeps: Integration steps of that part.
        low: First car.
        high: One behind the last car.
    """
    length = waiting.shape[1]
    for i in range(low, high):
        if before_substeps > 0:
            advance(
                state[i], waiting[i, 0, STEERING_COMMAND], waiting[i, 0, SPEED_COMMAND], before_s, before_substeps, p
            )
        for k in range(1, length):
            waiting[i, k - 1] = waiting[i, k]
        waiting[i, length - 1] = command[i]
        advance(state[i], waiting[i, 0, STEERING_COMMAND], waiting[i, 0, SPEED_COMMAND], after_s, after_substeps, p)
