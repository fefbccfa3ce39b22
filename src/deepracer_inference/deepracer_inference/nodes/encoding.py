"""Headings as quaternions and drive commands as twists, so that both come back without losing a bit.

ROS has no message with a yaw angle or a steering angle; the standard ones carry functions of them, and a function of a
rounded number rarely leads back to it. A trace over topics equals the one in process only if these pairs do.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

TURNS = 4.0 * math.pi
"""Headings differing by so much have the same quaternion; its sign tells those apart that differ by half of it."""

STANDSTILL_SPEED = 1e-9
"""m/s; a twist that is not faster means speed 0. At exactly 0 it could not carry a steering angle."""

_NEIGHBOURS = sorted(
    ((i, j) for i in range(-3, 4) for j in range(-3, 4)), key=lambda steps: (abs(steps[0]) + abs(steps[1]), steps)
)


def yaw_to_quaternion(yaw: float) -> tuple[float, float]:
    """Return z and w of a heading (rad), x and y being 0.

    Both are moved by a few units in the last place until `quaternion_to_yaw` gives the same heading again, exactly, if
    it is within ±2 pi; others are brought there first. The length stays 1 within 1e-15.
    """
    half = 0.5 * math.remainder(yaw, TURNS)
    z, w = math.sin(half), math.cos(half)
    if math.atan2(z, w) == half:
        return z, w
    for i, j in _NEIGHBOURS:
        candidate = _moved(z, i), _moved(w, j)
        if math.atan2(*candidate) == half:
            return candidate
    return z, w


def quaternion_to_yaw(z: float, w: float) -> float:
    """Return the heading (rad, within ±2 pi) of a rotation about the vertical axis."""
    return 2.0 * math.atan2(z, w)


def unwrap(yaw: float, near: float) -> float:
    """Return the heading that differs from `yaw` by whole `TURNS` and is nearest to another one, rounded only once."""
    turns = round((near - yaw) / TURNS)
    return float(Fraction(yaw) + turns * Fraction(TURNS)) if turns else yaw


def command_to_twist(steering_angle: float, speed: float, wheelbase: float) -> tuple[float, float]:
    """Return linear.x (m/s) and angular.z (rad/s) of a drive command: speed, and yaw rate of a car that does not slip.

    Args:
        steering_angle: rad, left positive; travels as the nearest float32, which every policy's output is.
        speed: m/s.
        wheelbase: m.
    """
    angle = float(np.float32(steering_angle))
    if abs(speed) <= STANDSTILL_SPEED:
        speed = STANDSTILL_SPEED if angle else 0.0
    return speed, speed * math.tan(angle) / wheelbase


def twist_to_command(linear: float, angular: float, wheelbase: float) -> tuple[float, float]:
    """Return steering angle (rad) and speed (m/s) of a twist, the inverse of `command_to_twist`.

    Args:
        linear: linear.x, m/s. At exactly 0 no steering angle can be told, and the wheels are straight.
        angular: angular.z, rad/s.
        wheelbase: m.
    """
    angle = math.atan(angular * wheelbase / linear) if linear else 0.0
    return float(np.float32(angle)), linear if abs(linear) > STANDSTILL_SPEED else 0.0


def _moved(value: float, steps: int) -> float:
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.copysign(math.inf, steps))
    return value
