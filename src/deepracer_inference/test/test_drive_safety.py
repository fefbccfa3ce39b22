"""What may reach the wheels: watchdog, range checks, governor, slew limit, emergency stop; times are made up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepracer_inference.drive.safety import NEUTRAL, DriveState, Limits, Motion, SafetyCore
from deepracer_inference.nodes.settings import DriveSettings
from deepracer_inference.vehicle import load_vehicle

LIMITS = Limits(
    steering_limit=0.5,
    vehicle_speed_limit=4.0,
    speed_limit=2.0,
    slew_limit=10.0,
    command_timeout_s=0.085,
    image_timeout_s=0.1,
    frame_s=0.02,
)


def driving(limits: Limits = LIMITS) -> SafetyCore:
    core = SafetyCore(limits)
    core.enable()
    core.activate()
    return core


def test_nothing_moves_before_it_is_active_enabled_and_commanded() -> None:
    core = SafetyCore(LIMITS)
    seen = []
    for now, step in enumerate((lambda: None, core.activate, core.enable)):
        core.command(0.1, 1.0, float(now))
        step()
        seen.append((core.motion(float(now)), core.state))
    assert seen == [(NEUTRAL, each) for each in (DriveState.INACTIVE, DriveState.STOPPED, DriveState.WAITING)]
    core.command(0.1, 1.0, 3.0)
    assert core.motion(3.0) == Motion(0.1, 1.0) and core.state is DriveState.DRIVING


def test_neutral_at_the_deadline_and_not_before() -> None:
    core = driving()
    core.command(0.1, 1.0, 10.0)
    assert core.deadline == pytest.approx(10.085)
    assert core.motion(10.08).speed == 1.0
    assert core.motion(core.deadline) == NEUTRAL and core.state is DriveState.TIMED_OUT
    assert core.deadline == math.inf, "there is nothing more to wait for"
    core.command(0.1, 1.0, 11.0)
    assert core.motion(11.0).speed == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_a_camera_of_15_hz_that_is_9_ms_early_or_late_stops_nothing_and_one_that_stops_does(seed: int) -> None:
    """The times of the car's own defaults."""
    limits = DriveSettings().limits(load_vehicle("deepracer"))
    core, random = driving(limits), np.random.default_rng(seed)
    # Exposures; commands come 20 ms later, as those of a real camera do.
    exposed = np.arange(5000) / 15.0 + random.uniform(-0.009, 0.009, 5000)
    for image, command, after in zip(exposed[:-1], exposed[:-1] + 0.02, exposed[1:] + 0.02, strict=True):
        core.command(0.1, 1.0, command, image)
        assert core.motion(after - 1e-6).speed == 1.0
    # The last command: 15 ms are left for a busy computer to wake up and write.
    assert core.deadline - command <= 0.085
    assert core.motion(command + 0.085) == NEUTRAL


@pytest.mark.parametrize(
    ("angle", "speed", "image_age", "why"),
    [
        (math.nan, 1.0, 0.01, "not finite"),
        (0.1, math.inf, 0.01, "not finite"),
        (0.6, 1.0, 0.01, "steering angle beyond 0.500 rad"),
        (0.1, 4.5, 0.01, "speed beyond 4.00 m/s"),
        (0.1, -4.5, 0.01, "speed beyond 4.00 m/s"),
        (0.1, 1.0, 0.11, "older than 100 ms"),
        (0.1, 1.0, -3600.0, "from the future"),
        (0.1, 1.0, 3600.0, "older than 100 ms"),
    ],
)
def test_a_wrong_command_is_neutral_at_once_until_a_good_one(
    angle: float, speed: float, image_age: float, why: str
) -> None:
    core = driving()
    core.command(0.1, 1.0, 5.0, 4.99)
    assert core.motion(5.0).speed == 1.0
    core.command(angle, speed, 5.02, 5.02 - image_age)
    assert core.motion(5.02) == NEUTRAL
    assert core.state is DriveState.REJECTED and why in core.reason
    core.command(0.1, 1.0, 5.04, 5.03)
    assert core.motion(5.04).speed == 1.0


def test_a_stick_at_its_end_means_the_limit() -> None:
    core = driving(replace(LIMITS, slew_limit=1000.0))
    core.command(1.2, 0.2, 0.0, clip=True)
    assert core.motion(0.0) == Motion(0.5, 0.2)


def test_the_governor_limits_speed_both_ways() -> None:
    core = driving()
    core.command(0.0, 3.0, 0.0)
    assert core.motion(0.0).speed == 2.0
    core.command(0.0, -3.0, 0.01)
    assert core.motion(0.01).speed == -2.0


def test_steering_turns_at_the_slew_limit_and_the_first_pulse_is_not_delayed() -> None:
    core = driving()
    core.command(0.5, 1.0, 0.0)
    # 10 rad/s: 0.2 rad in each pulse of 20 ms.
    assert [round(core.motion(t).steering_angle, 6) for t in (0.0, 0.02, 0.04, 0.06)] == [0.2, 0.4, 0.5, 0.5]
    core.command(-0.5, 1.0, 0.07)
    assert core.motion(0.07).steering_angle == pytest.approx(0.3), "what one pulse is worth, and no more"


@given(st.lists(st.tuples(st.floats(0.0, 0.03), st.floats(-0.5, 0.5)), min_size=2, max_size=40))
def test_steering_never_turns_faster_over_any_time(steps: list[tuple[float, float]]) -> None:
    core, now, history = driving(), 0.0, [(0.0, 0.0)]
    for pause, angle in steps:
        now += pause
        core.command(angle, 1.0, now)
        history.append((now, core.motion(now).steering_angle))
    for t0, a0 in history:
        for t1, a1 in history:
            if t1 >= t0:
                assert abs(a1 - a0) <= LIMITS.slew_limit * (t1 - t0 + LIMITS.frame_s) + 1e-9


def test_stop_beats_everything_until_enabled_and_commanded_anew() -> None:
    core = driving()
    core.command(0.1, 1.0, 0.0)
    core.stop("emergency stop")
    core.command(0.1, 1.0, 0.01)
    assert core.motion(0.01) == NEUTRAL and core.stopped and core.reason == "emergency stop"
    core.enable()
    assert core.motion(0.02) == NEUTRAL, "no command from before the stop is driven"
    core.command(0.1, 1.0, 0.03)
    assert core.motion(0.03).speed == 1.0


def test_a_joystick_that_was_there_and_is_silent_stops_until_enabled() -> None:
    core = driving(replace(LIMITS, joystick_timeout_s=1.0, command_timeout_s=9.0))
    core.command(0.1, 1.0, 5.0)
    assert core.motion(5.0) != NEUTRAL  # none has been heard
    core.hear_joystick(5.0)
    assert core.motion(6.0) != NEUTRAL
    assert core.motion(6.01) == NEUTRAL
    assert core.state is DriveState.STOPPED
    assert core.reason.startswith("the joystick, and with it the stop button, has been silent for 1 s; ~/enable")
    core.enable()
    core.command(0.1, 1.0, 7.0)
    assert core.motion(15.0) != NEUTRAL
    core.hear_joystick(15.5)
    assert core.motion(15.9) != NEUTRAL
    core.stop("the stop button was pressed")
    assert core.motion(20.0) == NEUTRAL
    assert core.reason == "the stop button was pressed"


def test_deactivation_is_neutral_and_a_stop_outlasts_it() -> None:
    core = driving()
    core.command(0.1, 1.0, 0.0)
    core.deactivate()
    assert core.motion(0.0) == NEUTRAL
    core.stop("emergency stop")
    core.activate()
    core.command(0.1, 1.0, 0.1)
    assert core.motion(0.1) == NEUTRAL and core.state is DriveState.STOPPED


def test_changes_are_told_once() -> None:
    core = driving()
    assert core.news() == "waiting for the first command"
    assert core.news() is None
    told = []
    for step in range(10):
        core.command(0.0, 5.0 + step, 0.01 * step)
        core.motion(0.01 * step)
        told.append(core.news())
    assert told[0] is not None and "a speed beyond 4.00 m/s (5.00 m/s)" in told[0]
    assert told[1:] == [None] * 9, "the same fault with another number is no news"
    core.command(0.0, math.nan, 1.0)
    assert "not finite" in str(core.news())
    core.command(0.0, 1.0, 1.0)
    assert core.news() == "driving"
    core.motion(2.0)
    assert core.news() == "commands stopped: none came for 85 ms"
