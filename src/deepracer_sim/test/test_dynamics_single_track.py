"""N cars over control periods: limits, latency, exact periods, chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.dynamics import SingleTrack, kernels
from deepracer_sim.dynamics.kernels import FloatArray

PERIOD_NS = 66_666_667


def car(latency_s: float = 0.0, **drive: Any) -> Vehicle:
    vehicle = load_vehicle("deepracer")
    return vehicle.model_copy(update={"latency_s": latency_s, "drive": vehicle.drive.model_copy(update=drive)})


def random_commands(steps: int, cars: int) -> FloatArray:
    generator = np.random.default_rng(7)
    return generator.uniform((-0.5, 0.3), (0.5, 4.0), (steps, cars, 2))


def run(motion: SingleTrack, commands: FloatArray) -> FloatArray:
    """Return the states after each step, `(steps, N, STATE_SIZE)`."""
    history = []
    for command in commands:
        motion.command(command[:, 0], command[:, 1])
        motion.step(0, len(command))
        history.append(motion.state.copy())
    return np.array(history)


def test_cars_start_where_they_are_put() -> None:
    motion = SingleTrack(car(), 3, PERIOD_NS)
    run(motion, random_commands(5, 3))
    untouched = motion.state[1].copy()
    motion.reset(np.array([2, 0]), np.array([[1.0, 2.0, 0.5], [3.0, 4.0, -0.5]]))
    states = motion.states(123)
    assert states.time_ns == 123
    assert states.x[[0, 2]].tolist() == [3.0, 1.0]
    assert states.y[[0, 2]].tolist() == [4.0, 2.0]
    assert states.yaw[[0, 2]].tolist() == [-0.5, 0.5]
    assert not motion.state[[0, 2], kernels.VX :].any()
    assert (motion.state[1] == untouched).all()
    assert (motion.poses()[0] == [3.0, 4.0, -0.5]).all()


def test_states_share_no_memory_with_the_motion() -> None:
    motion = SingleTrack(car(), 1, PERIOD_NS)
    before = motion.states(0)
    run(motion, random_commands(3, 1))
    assert before.x[0] == 0.0
    assert motion.states(0).x[0] > 0.0


def test_reset_forgets_commands_on_their_way() -> None:
    motion = SingleTrack(car(latency_s=0.05), 1, PERIOD_NS)
    run(motion, np.array([[[0.3, 2.0]]]))
    motion.reset(np.array([0]), np.zeros((1, 3)))
    assert not run(motion, np.zeros((5, 1, 2))).any()


def test_no_command_no_motion() -> None:
    motion = SingleTrack(car(latency_s=0.03), 2, PERIOD_NS)
    motion.reset(np.arange(2), np.array([[0.1, 0.2, 0.3], [1.0, 1.0, 3.0]]))
    start = motion.state.copy()
    assert (run(motion, np.zeros((1000, 2, 2))) == start).all()


def test_commands_are_cut_off_at_the_limits_of_the_vehicle() -> None:
    vehicle = car()
    limit, top = vehicle.steering.limit, vehicle.drive.speed_limit
    beyond, at = SingleTrack(vehicle, 2, PERIOD_NS), SingleTrack(vehicle, 2, PERIOD_NS)
    a = run(beyond, np.full((20, 2, 2), [[9.0, 99.0], [-9.0, -99.0]]))
    b = run(at, np.full((20, 2, 2), [[limit, top], [-limit, -top]]))
    assert (a == b).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_command_that_is_no_number_names_the_car(bad: float) -> None:
    motion = SingleTrack(car(), 4, PERIOD_NS)
    with pytest.raises(ValueError, match="steering_angle of car 2 is"):
        motion.command([0.0, 0.0, bad, bad], [1.0] * 4)
    with pytest.raises(ValueError, match="speed of car 3 is"):
        motion.command([0.0] * 4, [1.0, 1.0, 1.0, bad])


def test_command_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), but \(4,\) is expected"):
        SingleTrack(car(), 4, PERIOD_NS).command([0.0] * 3, [1.0] * 4)


def test_motion_is_bit_identical_however_cars_are_cut_into_chunks() -> None:
    cars, commands = 13, random_commands(20, 13)
    whole = SingleTrack(car(latency_s=0.03), cars, PERIOD_NS)
    expected = run(whole, commands)

    chunked = SingleTrack(car(latency_s=0.03), cars, PERIOD_NS)
    for command in commands:
        chunked.command(command[:, 0], command[:, 1])
        for low, high in ((9, 13), (0, 1), (1, 9)):
            chunked.step(low, high)
    assert (chunked.state == expected[-1]).all()

    for index in (0, 12):
        alone = SingleTrack(car(latency_s=0.03), 1, PERIOD_NS)
        assert (run(alone, commands[:, index : index + 1])[:, 0] == expected[:, index]).all()


@pytest.mark.parametrize("periods", [1, 2, 3])
def test_latency_of_whole_periods_shifts_the_motion(periods: int) -> None:
    commands = random_commands(12, 2)
    prompt = run(SingleTrack(car(), 2, 20_000_000), commands)
    late = run(SingleTrack(car(latency_s=0.02 * periods), 2, 20_000_000), commands)
    assert not late[:periods].any()
    assert (late[periods:] == prompt[:-periods]).all()


def test_latency_of_half_a_period_equals_half_periods_without() -> None:
    commands = random_commands(10, 2)
    late = run(SingleTrack(car(latency_s=0.02), 2, 40_000_000), commands)
    halves = np.repeat(commands, 2, axis=0)
    prompt = run(SingleTrack(car(), 2, 20_000_000), np.concatenate((np.zeros((1, 2, 2)), halves)))
    assert (late == prompt[1:-1:2]).all()


def test_latency_beyond_one_period_keeps_its_fraction() -> None:
    commands = random_commands(10, 2)
    late = run(SingleTrack(car(latency_s=0.06), 2, 40_000_000), commands)
    halves = np.repeat(commands, 2, axis=0)
    prompt = run(SingleTrack(car(), 2, 20_000_000), np.concatenate((np.zeros((3, 2, 2)), halves)))
    assert (late == prompt[1:-3:2]).all()


def test_latency_acts_for_exactly_its_time() -> None:
    """Wheels at 100 m/s^2 that start after the latency have the speed of the rest of the period."""
    vehicle = car(latency_s=0.05, time_constant_s=0.0, acceleration_limit=100.0)
    motion = SingleTrack(vehicle, 1, PERIOD_NS)
    (after,) = run(motion, np.array([[[0.0, 4.0]]]))
    assert after[0, kernels.WHEEL_SPEED] == pytest.approx(100.0 * (PERIOD_NS * 1e-9 - 0.05), rel=1e-12)


def test_periods_add_up_without_drift() -> None:
    motion = SingleTrack(car(latency_s=0.03), 1, PERIOD_NS)
    command = np.array([[0.0, 1.7]])
    history = run(motion, np.broadcast_to(command, (10_100, 1, 2)))
    way = history[-1, 0, kernels.X] - history[99, 0, kernels.X]
    assert way == pytest.approx(10_000 * 1.7 * PERIOD_NS * 1e-9, rel=1e-11)
    assert history[-1, 0, kernels.Y] == 0.0
