"""Steering and speed as the positions and velocities of the car's joints, and back."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState

from deepracer_inference.vehicle import Vehicle

STEERING_JOINT = "steering_joint"
"""The steering angle of the single-track model; the hinges of the front wheels follow it."""
HINGES = ("left_steering_hinge_joint", "right_steering_hinge_joint")
DRIVEN_WHEELS = ("left_rear_wheel_joint", "right_rear_wheel_joint")
JOINTS = (STEERING_JOINT, *HINGES, "left_front_wheel_joint", "right_front_wheel_joint", *DRIVEN_WHEELS)
"""All but the first are the names of AWS's car."""


class JointMessage:
    """The joints of one car in a message that is filled again and again."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._geometry = vehicle.geometry
        self._ackermann = vehicle.steering.ackermann
        self._rolled = 0.0
        self._message = JointState(name=list(JOINTS), velocity=[0.0] * len(JOINTS))

    def fill(self, time: Time, steering_angle: float, speed: float, period_s: float) -> JointState:
        """Return the joints of one moment, a message that is used again.

        Args:
            time: Of the moment.
            steering_angle: Of the single-track model (rad).
            speed: m/s.
            period_s: Time since the moment before; the wheels turn on by it.
        """
        wheel_rate = speed / self._geometry.wheel_radius
        self._rolled = math.remainder(self._rolled + wheel_rate * period_s, math.tau)
        left, right = self._hinge_angles(steering_angle)
        self._message.header.stamp = time
        self._message.position = [steering_angle, left, right, *[self._rolled] * 4]
        self._message.velocity = [0.0, 0.0, 0.0, *[wheel_rate] * 4]
        return self._message

    def _hinge_angles(self, steering_angle: float) -> tuple[float, float]:
        """Angles of the left and the right front wheel, rad."""
        if not self._ackermann or not steering_angle:
            return steering_angle, steering_angle
        # Both wheels' axles meet the rear axle in the centre of the turn.
        cotangent = 1.0 / math.tan(steering_angle)
        apart = 0.5 * self._geometry.track_front / self._geometry.wheelbase
        return math.atan(1.0 / (cotangent - apart)), math.atan(1.0 / (cotangent + apart))


def joint_command(message: JointState, vehicle: Vehicle) -> tuple[float, float]:
    """Return steering angle (rad) and speed (m/s) of ros2_control's joint commands; NaN for what they leave out.

    A controller for Ackermann steering gives the two hinges angles whose cotangents lie symmetrically about that of the
    single-track model, and the two driven wheels speeds about the car's.
    """
    positions = dict(zip(message.name, message.position, strict=False))
    velocities = dict(zip(message.name, message.velocity, strict=False))
    left, right = (positions.get(name, math.nan) for name in HINGES)
    if not (math.isfinite(left) and math.isfinite(right)):
        angle = math.nan  # The tangent of infinity is an exception.
    elif left and right:
        cotangent = 0.5 * (1.0 / math.tan(left) + 1.0 / math.tan(right))
        angle = math.atan(1.0 / cotangent) if cotangent else math.nan
    else:
        angle = 0.5 * (left + right)
    rates = [velocities.get(name, math.nan) for name in DRIVEN_WHEELS]
    return angle, 0.5 * sum(rates) * vehicle.geometry.wheel_radius
