"""How one car moves: compared with formulas by hand and with an independent integration of the same physics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.dynamics import kernels
from deepracer_sim.dynamics.kernels import FloatArray
from deepracer_sim.dynamics.single_track import initial_state, parameters, substep_s

G = 9.80665


def car(**changes: dict[str, Any]) -> Vehicle:
    """Return a car with quick actuators and firm tyres; changes are given as `group={"field": value}`."""
    groups = {
        "tyre": {"friction": 0.8, "cornering_stiffness_front": 6.0, "cornering_stiffness_rear": 8.0},
        "steering": {"rate_limit": 50.0, "time_constant_s": 0.02},
        "drive": {
            "time_constant_s": 0.05,
            "acceleration_limit": 5.0,
            "deceleration_limit": 6.0,
            "differential_lock": 0.0,
        },
    }
    vehicle = load_vehicle("deepracer")
    for name, numbers in changes.items():
        groups.setdefault(name, {}).update(numbers)
    return vehicle.model_copy(
        update={name: getattr(vehicle, name).model_copy(update=numbers) for name, numbers in groups.items()}
    )


def drive(p: FloatArray, state: FloatArray, steering: float, speed: float, duration: float) -> FloatArray:
    """Return the state after a constant command."""
    after = state.copy()
    kernels.advance(after, steering, speed, duration, math.ceil(duration / substep_s(p)), p)
    return after


def standing() -> FloatArray:
    state: FloatArray = initial_state([[0.0, 0.0, 0.0]])[0]
    return state


def reference(vehicle: Vehicle, steering: float, speed: float, duration: float) -> FloatArray:
    """Integrate the car from standstill, wheel by wheel and force by force, with scipy; no shared code."""
    g, tyre, lock = vehicle.geometry, vehicle.tyre, vehicle.drive.__dict__["differential_lock"]
    front, rear, mass = g.wheelbase - g.cg_to_rear_axle, g.cg_to_rear_axle, vehicle.inertia.mass
    wheels = [
        (front, +g.track_front / 2, "front", tyre.cornering_stiffness_front, rear / g.wheelbase),
        (front, -g.track_front / 2, "front", tyre.cornering_stiffness_front, rear / g.wheelbase),
        (-rear, +g.track_rear / 2, "rear", tyre.cornering_stiffness_rear, front / g.wheelbase),
        (-rear, -g.track_rear / 2, "rear", tyre.cornering_stiffness_rear, front / g.wheelbase),
    ]

    def lag(value: float, target: float, time_constant: float, limit: float) -> float:
        return float(np.clip((target - value) / time_constant, -limit, limit))

    def derivative(_: float, state: FloatArray) -> list[float]:
        _, _, yaw, vx, vy, yaw_rate, angle, wheel_speed = state
        force_x = force_y = torque = 0.0
        for ahead, left, axle, stiffness, share in wheels:
            heading = angle if axle == "front" else 0.0
            along = np.array([math.cos(heading), math.sin(heading)])
            across = np.array([-math.sin(heading), math.cos(heading)])
            hub = np.array([vx, vy + ahead * yaw_rate])
            # Differentials add to the driven speed what the road under a wheel is faster; a lock takes that away.
            road = hub @ along - left * yaw_rate
            slip_x = wheel_speed + (1 - lock) * (road - vx) - road
            slip_y = -hub @ across
            slip = np.array([slip_x, slip_y]) / max(abs(wheel_speed), 0.5)
            size, load = np.linalg.norm(slip), mass * G * share / 2
            full = 3 * tyre.friction / stiffness
            grip = tyre.friction * load * (1 - (1 - min(size / full, 1.0)) ** 3)  # brush model, as sliding share
            pull_x, pull_y = grip * slip / size if size > 0 else np.zeros(2)
            force = pull_x * along + pull_y * across
            force_x, force_y = force_x + force[0], force_y + force[1]
            torque += ahead * force[1] - left * pull_x
        turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
        origin = turn @ np.array([vx, vy + (g.origin_to_rear_axle - g.cg_to_rear_axle) * yaw_rate])
        limit = vehicle.drive.acceleration_limit  # never brakes here
        return [
            *origin,
            yaw_rate,
            force_x / mass + vy * yaw_rate,
            force_y / mass - vx * yaw_rate,
            torque / vehicle.inertia.yaw,
            lag(angle, steering, vehicle.steering.time_constant_s, vehicle.steering.rate_limit),
            lag(wheel_speed, speed, vehicle.drive.time_constant_s, limit),
        ]

    solution = solve_ivp(derivative, (0, duration), np.zeros(8), rtol=1e-8, atol=1e-10, max_step=0.005)
    return np.array(solution.y[:, -1])


@pytest.mark.parametrize(
    ("steering", "speed", "changes"),
    [
        (0.1, 1.0, {}),
        (-0.3, 2.0, {}),
        (0.45, 4.0, {}),
        (0.3, -1.0, {}),
        (0.2, 2.0, {"drive": {"differential_lock": 1.0}}),
        (0.3, 3.0, {"drive": {"acceleration_limit": 20.0}, "geometry": {"cg_to_rear_axle": 0.10}}),
        (0.2, 3.0, {"steering": {"rate_limit": 0.8}}),
    ],
)
def test_motion_equals_an_independent_integration(steering: float, speed: float, changes: dict[str, Any]) -> None:
    vehicle = car(**changes)
    expected = reference(vehicle, steering, speed, 0.8)
    driven = drive(parameters(vehicle), standing(), steering, speed, 0.8)
    assert driven[:3] == pytest.approx(expected[:3], abs=2e-4)
    assert driven[3:] == pytest.approx(expected[3:], abs=2e-3)


def test_integration_step_is_short_enough() -> None:
    stiff = {"cornering_stiffness_front": 20.0, "cornering_stiffness_rear": 20.0, "friction": 1.0}
    for p in (parameters(car()), parameters(car(tyre=stiff, drive={"differential_lock": 1.0}))):
        fine, coarse = standing(), standing()
        for steering, speed in ((0.4, 3.0), (-0.4, 1.0), (0.1, 4.0), (0.5, 2.0)):
            coarse = drive(p, coarse, steering, speed, 0.25)
            kernels.advance(fine, steering, speed, 0.25, 5000, p)
        assert coarse[:3] == pytest.approx(fine[:3], abs=2e-4)


def test_straight_ahead_stays_straight() -> None:
    after = drive(parameters(car()), standing(), 0.0, 2.0, 2.0)
    assert after[kernels.VX] == pytest.approx(2.0, rel=1e-6)
    assert after[[kernels.Y, kernels.YAW, kernels.VY, kernels.YAW_RATE]].tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("speed", [0.05, 0.2, -0.05, -0.2])
@pytest.mark.parametrize("steering", [0.1, -0.5])
def test_slow_circle_has_the_kinematic_radius(speed: float, steering: float) -> None:
    vehicle = car()
    after = drive(parameters(vehicle), standing(), steering, speed, 2.0)
    radius = after[kernels.VX] / after[kernels.YAW_RATE]  # of the rear axle
    assert radius == pytest.approx(vehicle.geometry.wheelbase / math.tan(steering), rel=0.01)


def test_fast_circle_understeers_as_the_axle_stiffnesses_say() -> None:
    """Steering angle = wheelbase / R + (1 / C_front - 1 / C_rear) * lateral acceleration / g, for small angles."""
    vehicle = car(tyre={"friction": 30.0})  # linear tyres
    after = drive(parameters(vehicle), standing(), 0.03, 2.5, 2.0)
    curvature = after[kernels.YAW_RATE] / after[kernels.VX]
    lateral = after[kernels.YAW_RATE] * after[kernels.VX]
    angle = vehicle.geometry.wheelbase * curvature + (1 / 6.0 - 1 / 8.0) * lateral / G
    assert angle == pytest.approx(0.03, rel=0.02)
    assert lateral > 0.9


def test_locked_wheels_widen_every_bend() -> None:
    """The scrub couple of four equal wheels, lock * C m g (track / 2)^2 / R, needs slip angles even at low speed."""
    stiff = {"cornering_stiffness_front": 8.0, "cornering_stiffness_rear": 8.0, "friction": 30.0}
    vehicle = car(tyre=stiff, drive={"differential_lock": 0.6})
    g = vehicle.geometry
    front, rear = g.wheelbase - g.cg_to_rear_axle, g.cg_to_rear_axle
    half_track_squared = (rear * (g.track_front / 2) ** 2 + front * (g.track_rear / 2) ** 2) / g.wheelbase
    effective = g.wheelbase + 0.6 * half_track_squared * (1 / front + 1 / rear)
    after = drive(parameters(vehicle), standing(), 0.04, 0.6, 3.0)
    assert after[kernels.VX] / after[kernels.YAW_RATE] == pytest.approx(effective / 0.04, rel=0.02)


def test_grip_limits_lateral_and_total_acceleration() -> None:
    p = parameters(car(tyre={"friction": 0.5}, drive={"acceleration_limit": 50.0, "deceleration_limit": 50.0}))
    state = standing()
    for steering, speed in ((0.5, 4.0), (-0.5, 4.0), (0.5, 0.0), (0.2, 4.0)):
        for _ in range(60):
            before = state.copy()
            state = drive(p, state, steering, speed, 0.005)
            turn_x = before[kernels.VY] * before[kernels.YAW_RATE]
            turn_y = before[kernels.VX] * before[kernels.YAW_RATE]
            gain_x, gain_y = (state - before)[[kernels.VX, kernels.VY]] / 0.005
            assert math.hypot(gain_x - turn_x, gain_y + turn_y) < 0.5 * G * 1.05


def test_speed_follows_with_time_constant_and_acceleration_limit() -> None:
    p = parameters(car(drive={"time_constant_s": 0.2, "acceleration_limit": 100.0}))
    after = drive(p, standing(), 0.0, 0.5, 0.2)
    assert after[kernels.WHEEL_SPEED] == pytest.approx(0.5 * (1 - math.exp(-1)), rel=1e-9)

    p = parameters(car(drive={"acceleration_limit": 2.0, "deceleration_limit": 4.0}))
    rolling = drive(p, standing(), 0.0, 3.0, 1.0)
    assert rolling[kernels.WHEEL_SPEED] == pytest.approx(2.0, rel=1e-9)
    assert rolling[kernels.VX] == pytest.approx(2.0 * (1 - 2 / (7 * G)), abs=0.01)  # 2 m/s^2 need slip
    braked = drive(p, rolling, 0.0, 0.0, 0.25)
    assert braked[kernels.WHEEL_SPEED] == pytest.approx(1.0, rel=1e-9)


def test_steering_turns_at_the_rate_limit_then_settles() -> None:
    p = parameters(car(steering={"rate_limit": 3.0, "time_constant_s": 0.0}))
    assert drive(p, standing(), 0.5, 0.0, 0.1)[kernels.STEERING] == pytest.approx(0.3)
    assert drive(p, standing(), 0.5, 0.0, 0.2)[kernels.STEERING] == 0.5
    # 0.4 rad at 2 rad/s until 2 * 0.05 rad are missing, which takes 0.15 s, then exponentially.
    p = parameters(car(steering={"rate_limit": 2.0, "time_constant_s": 0.05}))
    after = drive(p, standing(), -0.4, 0.0, 0.25)
    assert after[kernels.STEERING] == pytest.approx(-(0.4 - 0.1 * math.exp(-0.1 / 0.05)))


def test_standing_car_stays_exactly_where_it_is() -> None:
    p = parameters(car())
    state = initial_state([[1.25, -0.7, 2.1]])[0]
    for steering in (0.5, -0.5, 0.1):
        after = drive(p, state, steering, 0.0, 10.0)
        assert after[: kernels.STEERING].tolist() == [1.25, -0.7, 2.1, 0.0, 0.0, 0.0]
        state = after


def test_reverse_mirrors_forward_on_a_straight() -> None:
    p = parameters(car())
    forward, backward = drive(p, standing(), 0.0, 1.5, 1.0), drive(p, standing(), 0.0, -1.5, 1.0)
    assert backward[kernels.X] == -forward[kernels.X]
    turned = drive(p, drive(p, standing(), 0.0, 1.5, 1.0), 0.0, -1.5, 2.0)
    assert turned[kernels.VX] == pytest.approx(-1.5, rel=1e-6)


def test_left_and_right_mirror_each_other() -> None:
    p = parameters(car(drive={"differential_lock": 0.7}))
    left, right = drive(p, standing(), 0.3, 2.0, 1.0), drive(p, standing(), -0.3, 2.0, 1.0)
    assert (left * [1, -1, -1, 1, -1, -1, -1, 1]).tolist() == right.tolist()


def test_car_without_command_loses_energy_until_it_stands() -> None:
    vehicle = car()
    p = parameters(vehicle)
    state = drive(p, standing(), 0.4, 3.0, 1.0)
    energies = []
    for _ in range(400):
        state = drive(p, state, 0.0, 0.0, 0.005)
        linear = 0.5 * vehicle.inertia.mass * (state[kernels.VX] ** 2 + state[kernels.VY] ** 2)
        energies.append(linear + 0.5 * vehicle.inertia.yaw * state[kernels.YAW_RATE] ** 2)
    assert energies[0] > 1.0
    # Wheels that still turn may push, so count from when they have stopped.
    assert np.all(np.diff(energies[100:]) <= 0.0)
    assert energies[-1] == 0.0


def test_nothing_jumps_around_standstill() -> None:
    """Creeping through zero under full lock: yaw rate per speed is the same just above, far below and behind zero."""
    p = parameters(car())
    gains = [drive(p, standing(), 0.4, v, 2.0)[kernels.YAW_RATE] / v for v in (0.2, 0.1, 1e-2, 1e-3, 1e-5, -1e-5, -0.1)]
    assert np.ptp(gains) < 0.02 * abs(gains[0])
