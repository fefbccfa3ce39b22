"""Calibration: pulses from radians and m/s and back, the file on the car, and AWS's file."""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepracer_inference.aws_calibration import aws_json, read_aws_calibration
from deepracer_inference.calibration import (
    Calibration,
    SteeringPoint,
    ThrottleCurve,
    ThrottlePoint,
    load_calibration,
    previous_path,
    restore_calibration,
    save_calibration,
)
from deepracer_inference.config import load_yaml, parse
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.monotone import MonotoneCurve
from deepracer_inference.vehicle import Vehicle, load_vehicle


@pytest.fixture
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


@pytest.fixture(autouse=True)
def car_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path))
    return tmp_path / "car"


def measured(**changes: Any) -> Calibration:
    """A car whose longer pulses mean left and backwards, with a dead band of 1.43 to 1.47 ms."""
    values: dict[str, Any] = {
        "vehicle": "deepracer",
        "date": "2026-11-22",
        "steering_method": "protractor",
        "throttle_method": "timed distance",
        "steering": tuple(
            SteeringPoint(pulse_ns=pulse, angle=math.radians(degrees))
            for pulse, degrees in ((1_200_000, -28), (1_300_000, -18), (1_450_000, 1), (1_600_000, 17), (1_700_000, 25))
        ),
        "throttle": ThrottleCurve(
            neutral_ns=1_450_000,
            forward_from_ns=1_430_000,
            reverse_from_ns=1_470_000,
            forward=(
                ThrottlePoint(pulse_ns=1_415_000, speed=0.6),
                ThrottlePoint(pulse_ns=1_400_000, speed=1.4),
                ThrottlePoint(pulse_ns=1_370_000, speed=2.6),
            ),
            reverse=(ThrottlePoint(pulse_ns=1_500_000, speed=0.9),),
        ),
    }
    return Calibration(**values | changes)


def test_the_measured_points_are_met_and_the_rest_lies_between() -> None:
    car = measured()
    for point in car.steering:
        assert car.pulses(point.angle, 0.0) == (point.pulse_ns, 1_450_000)
    for forward in car.throttle.forward:
        assert car.pulses(0.0, forward.speed)[1] == forward.pulse_ns
    assert car.pulses(0.0, -0.9)[1] == 1_500_000
    assert 1_450_000 > car.pulses(0.0, 0.0)[0] > 1_430_000, "straight lies a little right of the point of 1 degree"
    assert 1_600_000 < car.pulses(math.radians(20), 0.0)[0] < 1_700_000


def test_the_dead_band_is_jumped_over() -> None:
    car = measured()
    assert car.pulses(0.0, 0.0)[1] == 1_450_000
    assert 1_428_000 < car.pulses(0.0, 0.01)[1] <= 1_430_000
    assert 1_470_000 <= car.pulses(0.0, -0.01)[1] < 1_472_000
    for pulse in (1_430_000, 1_445_000, 1_450_000, 1_470_000):
        assert car.motion(1_450_000, pulse)[1] == 0.0
    assert car.motion(1_450_000, 1_429_000)[1] > 0.0 > car.motion(1_450_000, 1_471_000)[1]


def test_commands_beyond_the_ends_are_limited_to_them() -> None:
    car = measured()
    assert car.steering_range == (math.radians(-28), math.radians(25))
    assert car.speed_range == (-0.9, 2.6)
    assert car.pulses(1.0, 9.0) == (1_700_000, 1_370_000)
    assert car.pulses(-1.0, -9.0) == (1_200_000, 1_500_000)
    forward_only = measured(throttle=car.throttle.model_copy(update={"reverse": ()}))
    assert forward_only.pulses(0.0, -1.0)[1] == 1_450_000
    assert forward_only.speed_range[0] == 0.0
    assert forward_only.motion(1_450_000, 1_600_000)[1] == 0.0


@given(angle=st.floats(-0.48, 0.43), speed=st.floats(-0.9, 2.6))
def test_motion_undoes_pulses(angle: float, speed: float) -> None:
    # One nanosecond is 0.0002 degrees and 0.00006 m/s on this car.
    car = measured()
    assert car.motion(*car.pulses(angle, speed)) == pytest.approx((angle, speed), abs=1e-4)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.001, 1000)), min_size=1, max_size=8), st.floats(0, 1))
def test_the_curve_is_monotone_and_its_inverse_is_exact(steps: list[tuple[float, float]], share: float) -> None:
    x, y = [0.0], [0.0]
    for width, height in steps:
        x.append(x[-1] + width)
        y.append(y[-1] + height)
    curve = MonotoneCurve(x, y)
    places = [x[-1] * number / 200 for number in range(201)]
    values = [curve(place) for place in places]
    assert all(b >= a - 1e-9 * y[-1] for a, b in pairwise(values))
    assert curve(curve.inverse(share * y[-1])) == pytest.approx(share * y[-1], rel=1e-9, abs=1e-9 * y[-1])


def test_the_curve_follows_a_smooth_law_far_closer_than_straight_lines() -> None:
    # Five points of sin between 0 and 75 degrees: chords are off by up to (20 deg)^2 / 8 = 0.013 or so.
    knots = [math.radians(degrees) for degrees in (0, 20, 40, 60, 75)]
    curve = MonotoneCurve(knots, [math.sin(knot) for knot in knots])
    assert max(abs(curve(math.radians(d)) - math.sin(math.radians(d))) for d in range(76)) < 0.004


@pytest.mark.parametrize("command", [(math.nan, 1.0), (0.0, math.nan), (math.inf, 0.0), (0.0, -math.inf)])
def test_no_pulse_is_computed_from_what_is_no_number(command: tuple[float, float]) -> None:
    with pytest.raises(DeepRacerError, match="not a pair of finite numbers"):
        measured().pulses(*command)


def test_an_unmeasured_car_uses_the_promises_of_its_vehicle_file(vehicle: Vehicle) -> None:
    car = Calibration.from_vehicle(vehicle)
    assert not car.is_measured
    assert measured().is_measured
    # AWS's defaults: 30 degrees left is the longest pulse, full speed ahead the shortest.
    assert car.pulses(math.radians(30), 4.0) == (1_700_000, 1_311_000)
    assert car.pulses(math.radians(-30), -4.0) == (1_200_000, 1_603_500)
    assert car.pulses(math.radians(15), 2.0) == (1_575_000, 1_378_500)
    assert car.neutral == (1_450_000, 1_446_000)
    assert load_calibration(vehicle) == car


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data["steering"].reverse(), "the steering points must go from right to left"),
        (lambda data: data["steering"][1].update(pulse_ns=1_100_000), "pulses that only rise or only fall"),
        (lambda data: data.update(steering=data["steering"][3:]), r"must reach to the right"),
        (lambda data: data["steering"].clear(), "a list of at least 2 entries"),
        (lambda data: data["throttle"]["forward"][1].update(speed=0.5), "the forward points must get faster"),
        (lambda data: data["throttle"].update(forward_from_ns=1_410_000), "the forward points must get faster"),
        (lambda data: data["throttle"]["reverse"][0].update(pulse_ns=1_400_000), "the reverse points"),
        (lambda data: data["throttle"].update(forward_from_ns=1_455_000), "lies on the other side of neutral_ns"),
        (lambda data: data["throttle"].update(neutral_ns=14_500), "throttle.neutral_ns is 14500"),
        (lambda data: data["throttle"]["forward"][0].update(speed=-1.0), "a value above 0.0 is expected"),
        (lambda data: data.update(steering_method="by eye"), "steering_method is 'by eye'"),
        (lambda data: data.update(date="yesterday"), "date is 'yesterday'"),
        (lambda data: data.update(wheels=4), "unknown key 'wheels'"),
    ],
)
def test_a_wrong_calibration_is_refused(edit: Any, message: str) -> None:
    data = measured().model_dump(mode="json")
    edit(data)
    with pytest.raises(UserError, match=message):
        parse(data, Calibration, "calibration.yaml")


def test_saving_keeps_the_previous_file_and_restoring_exchanges_them(vehicle: Vehicle, car_home: Path) -> None:
    first, second = measured(), measured(date="2026-11-23")
    path = save_calibration(first)
    assert path == car_home / "calibration.yaml"
    assert load_calibration(vehicle) == first
    with pytest.raises(UserError, match="There is no calibration before"):
        restore_calibration()
    save_calibration(second)
    assert load_calibration(vehicle) == second
    assert load_yaml(previous_path(path), Calibration) == first
    assert restore_calibration() == first == load_calibration(vehicle)
    assert restore_calibration() == second == load_calibration(vehicle)
    assert sorted(os.listdir(car_home)) == ["calibration.previous.yaml", "calibration.yaml"]


def test_a_save_that_is_cut_short_leaves_the_old_calibration(vehicle: Vehicle, monkeypatch: pytest.MonkeyPatch) -> None:
    save_calibration(measured())

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_calibration(measured(date="2026-11-23"))
    assert load_calibration(vehicle) == measured()


def test_the_calibration_of_another_vehicle_is_refused(vehicle: Vehicle) -> None:
    save_calibration(measured(vehicle="raspberry_pi"))
    with pytest.raises(UserError, match="is the calibration of a raspberry_pi, but this car is a deepracer"):
        load_calibration(vehicle)
    with pytest.raises(UserError, match="There is no file"):
        load_calibration(vehicle, Path("missing.yaml"))


AWS_FILE = {
    "Calibration": {
        "Servo": {"max": 1650000, "mid": 1430000, "min": 1180000, "polarity": 1},
        "Motor": {"max": 1603500, "mid": 1446000, "min": 1311000, "polarity": -1},
        "version": 1,
    }
}


def test_aws_ends_are_taken_over_but_never_called_measured(vehicle: Vehicle, tmp_path: Path) -> None:
    (tmp_path / "aws.json").write_text(json.dumps(AWS_FILE))
    car = read_aws_calibration(tmp_path / "aws.json", vehicle)
    assert car.pulses(math.radians(30), 4.0) == (1_650_000, 1_311_000)
    assert car.pulses(math.radians(-30), -4.0) == (1_180_000, 1_603_500)
    assert car.neutral == (1_430_000, 1_446_000)
    assert not car.is_measured
    assert json.loads(aws_json(car)) == AWS_FILE


def test_a_measured_calibration_becomes_aws_file(vehicle: Vehicle) -> None:
    content = json.loads(aws_json(measured()))["Calibration"]
    assert content["Motor"] == {"max": 1_500_000, "mid": 1_450_000, "min": 1_370_000, "polarity": -1}
    assert {**content["Servo"], "mid": 0} == {"max": 1_700_000, "mid": 0, "min": 1_200_000, "polarity": 1}
    assert content["Servo"]["mid"] == measured().pulses(0.0, 0.0)[0]
    forward_only = measured(throttle=measured().throttle.model_copy(update={"reverse": ()}))
    assert json.loads(aws_json(forward_only))["Calibration"]["Motor"]["max"] == 1_451_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ('{"Calibration": {}}', "the key 'Calibration.Servo' is missing"),
        (json.dumps(AWS_FILE).replace("1430000", "1200"), "Calibration.Servo.mid is 1200"),
        (json.dumps(AWS_FILE).replace("1430000", "1180000"), "must lie between min 1180000 and max 1650000"),
        (json.dumps(AWS_FILE).replace("-1", "0"), "polarity is 0"),
    ],
)
def test_a_wrong_aws_file_is_refused(vehicle: Vehicle, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "aws.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_aws_calibration(tmp_path / "aws.json", vehicle)
