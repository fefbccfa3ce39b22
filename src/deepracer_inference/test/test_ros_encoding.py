"""What travels in a standard message must come back as the very same number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepracer_inference.nodes.encoding import (
    command_to_twist,
    quaternion_to_yaw,
    twist_to_command,
    unwrap,
    yaw_to_quaternion,
)

WHEELBASE = 0.163974


@given(st.floats(-2.0 * math.pi, 2.0 * math.pi).filter(lambda yaw: yaw == 0.0 or abs(yaw) > 1e-300))
def test_a_yaw_comes_back_exactly_from_a_unit_quaternion(yaw: float) -> None:
    z, w = yaw_to_quaternion(yaw)
    assert math.hypot(z, w) == pytest.approx(1.0, abs=1e-15)
    assert quaternion_to_yaw(z, w) == yaw


@given(st.floats(-500.0, 500.0).filter(lambda yaw: yaw == 0.0 or abs(yaw) > 1e-300), st.floats(-3.0, 3.0))
def test_a_yaw_of_many_turns_comes_back_exactly_if_about_known(yaw: float, change: float) -> None:
    assert unwrap(quaternion_to_yaw(*yaw_to_quaternion(yaw)), yaw + change) == yaw


def test_quaternions_are_those_of_rotations_about_the_vertical() -> None:
    assert yaw_to_quaternion(0.0) == (0.0, 1.0)
    assert yaw_to_quaternion(math.pi / 2) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert quaternion_to_yaw(-1.0, 0.0) == pytest.approx(-math.pi)


@given(st.floats(-0.625, 0.625, width=32), st.floats(-4.0, 4.0).filter(lambda v: v == 0.0 or abs(v) > 1e-6))
def test_a_command_comes_back_exactly_also_at_standstill(steering_angle: float, speed: float) -> None:
    assert twist_to_command(*command_to_twist(steering_angle, speed, WHEELBASE), WHEELBASE) == (steering_angle, speed)


def test_a_twist_is_that_of_a_bicycle() -> None:
    angle = float(np.float32(0.3))
    speed, yaw_rate = command_to_twist(angle, 2.0, 0.5)
    assert speed == 2.0 and yaw_rate == pytest.approx(2.0 * math.tan(0.3) / 0.5)
    # A yaw rate of 1 rad/s at 2 m/s is a turn of 2 m radius; backwards it needs the other lock.
    assert twist_to_command(2.0, 1.0, 0.5)[0] == pytest.approx(math.atan(0.25))
    assert twist_to_command(-2.0, 1.0, 0.5)[0] == pytest.approx(-math.atan(0.25))
    assert command_to_twist(0.0, 0.0, 0.5) == (0.0, 0.0)
    assert twist_to_command(0.0, 1.0, 0.5) == (0.0, 0.0), "turning on the spot is nothing that this car can do"
