"""The calibration procedure with a car of known, crooked behaviour and a person with a tape measure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deepracer_inference.calibrate.draft import Draft, angle_of_circle, speed_of_runs
from deepracer_inference.calibrate.wizard import Plan, Wizard
from deepracer_inference.calibration import Calibration
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle, load_vehicle

NEUTRAL, CENTRE = 1_446_000, 1_462_000


class CrookedCar:
    """A bench whose servo is off-centre and bent, and whose speed controller has a dead band and saturates."""

    def __init__(self, vehicle: Vehicle, exponent: float = 1.3, bend: float = 0.7) -> None:
        self.vehicle, self.exponent, self.bend = vehicle, exponent, bend
        self.steering_ns, self.length_m, self.turned = CENTRE, 0.0, False
        self.fastest = self.furthest = 0.0

    def angle(self, steering_ns: int) -> float:
        """Degrees, + = left."""
        u = (steering_ns - CENTRE) / 250_000
        return 29.0 * u + 5.0 * u**2 - 2.5 * u**3

    def speed(self, throttle_ns: int) -> float:
        """m/s, forward positive: the shorter pulse. Dead band of 21 us ahead and 26 us back."""
        ahead = NEUTRAL - throttle_ns
        x = (ahead - 21_000) / 114_000 if ahead > 0 else (-ahead - 26_000) / 131_000
        if x <= 0.0:
            return 0.0
        share = x**self.exponent / (x**self.exponent + self.bend)
        return math.copysign((6.0 if ahead > 0 else 3.5) * share, ahead)

    def steer(self, steering_ns: int) -> None:
        self.steering_ns = steering_ns

    def run(self, steering_ns: int, throttle_ns: int, seconds: float) -> None:
        """Approach the speed with a time constant of 0.25 s; brake with 4 m/s^2 after 0.1 s of rolling."""
        steady = abs(self.speed(throttle_ns))
        end = steady * (1.0 - math.exp(-seconds / 0.25))
        driven = steady * seconds - 0.25 * end
        self.turned = steady > 0.0
        self.length_m = driven + 0.1 * end + end**2 / 8.0
        self.fastest, self.furthest = max(self.fastest, steady), max(self.furthest, self.length_m)


class Person:
    """Answers truthfully, as well as a protractor (half a degree) and a tape (a centimetre) can be read."""

    def __init__(self, car: CrookedCar, seed: int = 0, **wrong: list[Any]) -> None:
        """`wrong`: answers that come first, by the key of the question."""
        self.car, self.wrong = car, wrong
        self.random = np.random.default_rng(seed)
        self.said: list[str] = []
        self.asked: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def _answer(self, key: str, truth: Callable[[], Any]) -> Any:
        self.asked.append(key)
        waiting = self.wrong.get(key)
        return waiting.pop(0) if waiting else truth()

    def confirm(self, key: str, text: str) -> bool:
        truths = {
            "turns_forward": lambda: self.car.turned,
            "turns_reverse": lambda: self.car.turned,
            "points_right": lambda: self.car.angle(self.car.steering_ns) < 0,
        }
        return bool(self._answer(key, truths.get(key, lambda: True)))

    def change(self, key: str, text: str) -> int | None:
        # To the nearest 2 us; the ends stay where the vehicle file has them.
        off = (CENTRE - self.car.steering_ns) // 1000 if key == "centre" else 0
        answer = self._answer(key, lambda: off if abs(off) > 2 else None)
        assert answer is None or isinstance(answer, int)
        return answer

    def number(self, key: str, text: str, low: float, high: float) -> float:
        angle = self.car.angle(self.car.steering_ns)

        def truth() -> float:
            if key == "distance":
                return round(self.car.length_m + self.random.uniform(-0.01, 0.01), 2)
            if key == "diameter":
                radius = self.car.vehicle.geometry.wheelbase / math.tan(math.radians(abs(angle)))
                return round(2 * radius + self.car.vehicle.geometry.track_rear + self.random.uniform(-0.01, 0.01), 2)
            # The inner wheel turns further: by 6 % of the angle.
            inner = 1.06 if (key == "left_wheel") == (angle > 0) else 0.94
            return round(2 * (angle * inner + self.random.uniform(-0.2, 0.2))) / 2

        answer = float(self._answer(key, truth))
        assert low <= answer <= high, "what is out of range is asked again by the dialogue"
        return answer


@pytest.fixture
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


@pytest.fixture
def car(vehicle: Vehicle) -> CrookedCar:
    return CrookedCar(vehicle)


def calibrate(car: CrookedCar, person: Person, **plan: Any) -> Calibration:
    return Wizard(car.vehicle, Calibration.from_vehicle(car.vehicle), car, person, Plan(**plan)).run()


@pytest.mark.parametrize("method", ["protractor", "turning circle"])
@pytest.mark.parametrize("seed", range(5))
def test_a_crooked_car_is_recovered_to_a_degree_and_five_percent(car: CrookedCar, method: Any, seed: int) -> None:
    calibration = calibrate(car, Person(car, seed), method=method, top_speed=2.5, floor_m=8.0)
    assert calibration.is_measured
    assert calibration.steering_method == method
    right, left = (math.degrees(angle) for angle in calibration.steering_range)
    assert right < -20 and left > 20
    for degrees in np.arange(-20.0, 20.5, 0.5):
        steering_ns, _ = calibration.pulses(math.radians(degrees), 0.0)
        assert car.angle(steering_ns) == pytest.approx(degrees, abs=1.0)
    backwards, forwards = calibration.speed_range
    assert forwards >= 2.5
    for speed in [*np.arange(0.2, 2.5, 0.05), *-np.arange(0.25, -backwards, 0.05)]:
        _, throttle_ns = calibration.pulses(0.0, speed)
        assert car.speed(throttle_ns) == pytest.approx(speed, rel=0.05)
    assert car.speed(calibration.neutral[1]) == 0.0


@pytest.mark.parametrize(("exponent", "bend"), [(1.0, 0.7), (1.6, 0.7), (1.0, 3.0), (0.8, 0.7)])
def test_the_throttles_are_chosen_by_what_the_car_does(vehicle: Vehicle, exponent: float, bend: float) -> None:
    """Speed controllers from gentle to fierce: five percent from the slowest measured speed, with as many readings."""
    car = CrookedCar(vehicle, exponent, bend)
    person = Person(car)
    calibration = calibrate(car, person, top_speed=2.5, floor_m=6.0)
    backwards, forwards = calibration.speed_range
    forward, reverse = calibration.throttle.forward, calibration.throttle.reverse
    # Slow, or one step of a PWM board beyond the dead band.
    assert forward[0].speed < max(0.27, 1.3 * car.speed(NEUTRAL - 21_000 - 5_000))
    for speed in [*np.arange(forward[0].speed, forwards, 0.02), *-np.arange(reverse[0].speed, -backwards, 0.02)]:
        assert car.speed(calibration.pulses(0.0, speed)[1]) == pytest.approx(speed, rel=0.05)
    assert person.asked.count("distance") <= 42
    assert car.furthest < 6.0


def test_without_calibration_the_same_car_is_far_off(car: CrookedCar) -> None:
    nominal = Calibration.from_vehicle(car.vehicle)
    assert abs(car.angle(nominal.pulses(math.radians(-20), 0.0)[0]) + 20) > 2
    assert car.speed(nominal.pulses(0.0, 1.0)[1]) / 1.0 < 0.8


def test_a_short_floor_ends_the_measurement_before_the_wall(car: CrookedCar) -> None:
    person = Person(car)
    calibration = calibrate(car, person, top_speed=5.0, floor_m=3.0, reverse=False)
    assert any("as fast as this floor allows" in text for text in person.said)
    assert car.fastest < 3.0
    assert calibration.speed_range[0] == 0.0
    assert "turns_reverse" not in person.asked


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"left_wheel": [-2.0], "right_wheel": [-2.0]}, "An earlier reading must have been wrong"),
        ({"left_wheel": [-20.0, 30.0], "right_wheel": [-20.0, 30.0]}, "must all grow or all shrink"),
        ({"left_wheel": [-25.0, -24.5, -0.5], "right_wheel": [-25.0, -24.5, -0.5]}, "times as far in one place"),
        ({"left_wheel": [-30.0], "right_wheel": [10.0]}, "the wheels differ by 40 degrees"),
        ({"distance": [2.0, 1.0]}, "the longer one must go further"),
        ({"distance": [0.5, 0.6]}, "the two runs differ by 10 cm only"),
        ({"distance": [0.1, 3.0]}, "do not belong together"),
        ({"clear": [False, False]}, None),
        ({"centre": [2000]}, "is more than servos stand"),
    ],
)
def test_wrong_readings_are_told_and_asked_again(car: CrookedCar, wrong: dict[str, Any], message: str | None) -> None:
    person = Person(car, **wrong)
    calibration = calibrate(car, person)
    assert message is None or any("Not taken" in text or "it stays" in text for text in person.said)
    assert message is None or any(message in text for text in person.said)
    for degrees in (-20, 20):
        assert car.angle(calibration.pulses(math.radians(degrees), 0.0)[0]) == pytest.approx(degrees, abs=1.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"in_the_air": [False]}, "not started before the wheels are in the air"),
        ({"points_right": [False]}, r"set pwm.steering.polarity to -1"),
        ({"direction_forward": [False]}, r"set pwm.throttle.polarity to 1"),
        ({"turns_forward": [False] * 50}, "the wheels do not turn forward anywhere up to"),
    ],
)
def test_a_car_that_is_wired_wrongly_is_not_calibrated(car: CrookedCar, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        calibrate(car, Person(car, **wrong))
    assert car.fastest < 4.0


def test_missing_steps_are_named(vehicle: Vehicle) -> None:
    draft = Draft(vehicle)
    with pytest.raises(UserError, match=r"still to measure: the wheels' angle at three pulses.*two forward throttles"):
        draft.finish("protractor")
    for pulse, degrees in ((1_200_000, -25), (1_450_000, 0), (1_700_000, 8)):
        draft.add_angle(pulse, degrees)
    with pytest.raises(UserError, match=r"begin to turn \(forward\) comes first"):
        draft.add_speed("forward", 1_400_000, 1.0)
    with pytest.raises(UserError, match="the neutral pulse comes first"):
        draft.set_start("forward", 1_430_000)
    draft.set_neutral(1_450_000)
    draft.set_start("forward", 1_430_000)
    draft.set_start("reverse", 1_470_000)
    draft.add_speed("forward", 1_400_000, 1.0)
    assert draft.missing() == [
        "an angle of 10 degrees or more to the left",
        "the speed at two forward throttles or more",
        "the speed of a reverse throttle",
    ]
    draft.angles.pop(1_700_000)
    draft.add_angle(1_700_000, 22)
    draft.add_speed("forward", 1_350_000, 2.0)
    draft.add_speed("reverse", 1_500_000, 0.5)
    calibration = draft.finish("protractor")
    assert calibration.pulses(math.radians(22), 2.0) == (1_700_000, 1_350_000)
    assert calibration.date


def test_impossible_readings_leave_the_draft_as_it_was(vehicle: Vehicle) -> None:
    draft = Draft(vehicle)
    draft.add_angle(1_200_000, -25)
    draft.set_neutral(1_450_000)
    draft.set_start("forward", 1_430_000)
    draft.add_speed("forward", 1_400_000, 1.0)
    for step, message in (
        (lambda: draft.add_angle(1_300_000, 250), "250 degrees cannot be right"),
        (lambda: draft.add_angle(1_300_000, math.nan), "nan degrees cannot be right"),
        (lambda: draft.set_start("reverse", 1_440_000), "on the same side of neutral"),
        (lambda: draft.add_speed("forward", 1_440_000, 0.5), "lies within the dead band, which ends at 1430 us"),
        (lambda: draft.add_speed("forward", 1_380_000, 0.9), "more throttle must be faster"),
        (lambda: draft.add_speed("forward", 1_380_000, 0.0), "cannot be right"),
    ):
        with pytest.raises(UserError, match=message):
            step()
    assert draft.angles.keys() == {1_200_000}
    assert draft.speeds == {"forward": {1_400_000: 1.0}, "reverse": {}}
    assert draft.starts == {"forward": 1_430_000}


def test_the_circle_of_the_outer_rear_wheel(vehicle: Vehicle) -> None:
    # 45 degrees: the middle of the rear axle is one wheelbase from the centre, the outer wheel half a track further.
    diameter = 2 * vehicle.geometry.wheelbase + vehicle.geometry.track_rear
    assert angle_of_circle(diameter, vehicle) == pytest.approx(45.0)
    with pytest.raises(UserError, match="too long for it"):
        angle_of_circle(0.3, vehicle)


def test_acceleration_and_coasting_cancel(car: CrookedCar) -> None:
    # 1.5 m/s steady; both runs lose 0.3 m while accelerating and gain 0.4 m while coasting.
    assert speed_of_runs(1.0, 1.5 - 0.3 + 0.4, 2.0, 3.0 - 0.3 + 0.4) == pytest.approx(1.5)
