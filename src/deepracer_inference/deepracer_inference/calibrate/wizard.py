"""The procedure of a calibration, step by step: what to try, what to ask, and what to make of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from deepracer_inference.calibrate.bench import LONGEST_RUN_S, Bench
from deepracer_inference.calibrate.draft import (
    MAX_ANGLE_DEG,
    MIN_DIFFERENCE_M,
    Direction,
    Draft,
    angle_of_circle,
    speed_of_runs,
)
from deepracer_inference.calibrate.throttles import BEYOND, ThrottleSearch
from deepracer_inference.calibration import Calibration, SteeringMethod
from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import LONGEST_PULSE_NS, SHORTEST_PULSE_NS, Vehicle

T = TypeVar("T")

START_STEP_NS = 4_000
"""Step of the search for the pulse that turns the wheels; about what a PCA9685 resolves at 50 Hz (4.9 us)."""
TRIES = 3
"""Times that one step is repeated before its whole part is, and that a part is."""
LONG_RUN_S, SHORTEST_LONG_RUN_S = 2.0, 1.4
SHORT_SHARE, MOST_SHORT_SHARE = 0.25, 0.6
"""Of the longer run that the shorter one lasts: a second, between these. Cars need 0.8 s to get up to speed."""
MOST_THROTTLES = 16


class Dialogue(Protocol):
    """The person at the keyboard. `key` names a question for programs, `text` for people."""

    def say(self, text: str) -> None:
        """Tell something."""
        ...

    def confirm(self, key: str, text: str) -> bool:
        """Ask for yes or no."""
        ...

    def number(self, key: str, text: str, low: float, high: float) -> float:
        """Ask for a number within two ends."""
        ...

    def change(self, key: str, text: str) -> int | None:
        """Ask by how many microseconds to change a pulse; None when it is right."""
        ...


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    method: SteeringMethod = "protractor"
    reverse: bool = True
    """Whether the car is to drive backwards, too."""
    top_speed: float = 2.0
    """Throttles are measured until the car is this fast (m/s)."""
    floor_m: float = 5.0
    """Free floor ahead of the car."""


class _ContradictionError(Exception):
    """Readings of one part that cannot all be right."""


@dataclass
class _Runs:
    long_s: float
    """Duration of the longer run; grows when its length turns out to be too short to measure."""


class Wizard:
    """One calibration of one car."""

    def __init__(self, vehicle: Vehicle, start: Calibration, bench: Bench, dialogue: Dialogue, plan: Plan) -> None:
        """Prepare.

        Args:
            vehicle: The car.
            start: Pulses to begin with: an earlier calibration, or `Calibration.from_vehicle`.
            bench: The car's board.
            dialogue: The person.
            plan: What to measure.
        """
        self._start, self._bench, self._ask, self._plan = start, bench, dialogue, plan
        self._vehicle = vehicle
        self.draft = Draft(vehicle)
        self._centre = start.neutral[0]

    def run(self) -> Calibration:
        """Go through all steps.

        Raises:
            UserError: The person gave up, or something is missing in the end.
        """
        self._steering()
        self._repeated(self._dead_band)
        self._speeds("forward")
        if self._plan.reverse:
            self._speeds("reverse")
        return self.draft.finish(self._plan.method)

    def _steering(self) -> None:
        self._ask.say("STEERING. The car stands on its wheels, on the sheet or on a smooth floor.")
        self._centre = self._adjust("centre", "Are the front wheels straight?", self._start.neutral[0])
        right, left = (
            self._adjust(
                f"{side}_end",
                f"The {side} end: as far as the wheels go without the servo pressing against the stop (it hums then).",
                point.pulse_ns,
            )
            for side, point in (("right", self._start.steering[0]), ("left", self._start.steering[-1]))
        )
        self._bench.steer(right)
        if not self._ask.confirm("points_right", "Do the front wheels point to the right now?"):
            raise UserError(
                f"the steering is reversed: set pwm.steering.polarity to {-self._vehicle.pwm.steering.polarity} "
                "in the vehicle file, and begin again"
            )
        self._repeated(lambda: self._angles(right, left))
        self._bench.steer(self._centre)

    def _angles(self, right: int, left: int) -> None:
        self.draft.angles.clear()
        # Five points tell the linkage's curve to well below a degree.
        for pulse in (right, (right + self._centre) // 2, self._centre, (self._centre + left) // 2, left):
            side = "right" if (pulse - self._centre) * (right - self._centre) > 0 else "left"
            # From the centre, so that the play of the linkage lies on the same side as when driving.
            self._bench.steer(self._centre)
            self._bench.steer(pulse)
            self._tried(partial(self._read_angle, pulse, side))

    def _read_angle(self, pulse: int, side: str) -> None:
        self.draft.add_angle(pulse, self._angle(pulse, side))

    def _angle(self, pulse: int, side: str) -> float:
        """Ask for one steering angle in degrees, left positive."""
        if self._plan.method == "turning circle":
            if pulse == self._centre:
                return 0.0
            diameter = self._ask.number(
                "diameter",
                f"Push the car round a full circle to the {side}, without slipping. "
                "Diameter of the circle that its outer rear wheel draws, m",
                0.2,
                20.0,
            )
            return angle_of_circle(diameter, self._vehicle) * (1.0 if side == "left" else -1.0)
        wheels = [
            self._ask.number(
                f"{wheel}_wheel",
                f"Angle of the {wheel} front wheel, degrees, left +, right -",
                -MAX_ANGLE_DEG,
                MAX_ANGLE_DEG,
            )
            for wheel in ("left", "right")
        ]
        if abs(wheels[0] - wheels[1]) > 15.0:
            raise UserError(f"the wheels differ by {abs(wheels[0] - wheels[1]):.0f} degrees; read both again")
        return sum(wheels) / 2.0

    def _dead_band(self) -> None:
        self._ask.say("THROTTLE. Put the car on a stand: ALL FOUR WHEELS IN THE AIR.")
        if not self._ask.confirm("in_the_air", "Are all wheels free to turn?"):
            raise UserError("the motor is not started before the wheels are in the air; nothing has been saved")
        neutral = self._start.throttle.neutral_ns
        self.draft.set_neutral(neutral)
        for direction in self._directions():
            way = self._way(direction)
            pulse = neutral
            while True:
                pulse += way * START_STEP_NS
                if not SHORTEST_PULSE_NS <= pulse <= LONGEST_PULSE_NS or abs(pulse - neutral) > self._span(direction):
                    raise UserError(
                        f"the wheels do not turn {direction} anywhere up to {pulse / 1000:.0f} us; "
                        "is the speed controller switched on, and its battery full?"
                    )
                self._tried(partial(self._bench.run, self._centre, pulse, 0.6))
                if self._ask.confirm(f"turns_{direction}", f"{pulse / 1000:.0f} us: did the wheels turn?"):
                    break
            name = "forwards" if direction == "forward" else "backwards"
            if not self._ask.confirm(f"direction_{direction}", f"Did they turn {name}?"):
                raise UserError(
                    "the wheels turn the wrong way: exchange two cables of the motor, or set pwm.throttle.polarity "
                    f"to {-self._vehicle.pwm.throttle.polarity} in the vehicle file, and begin again"
                )
            self.draft.set_start(direction, pulse - way * START_STEP_NS)

    def _speeds(self, direction: Direction) -> None:
        name = "FORWARDS" if direction == "forward" else "BACKWARDS"
        self._ask.say(
            f"SPEED {name}. Put the car on the floor with {self._plan.floor_m:g} m free in this direction, and mark "
            "where its nose stands. For every throttle it makes a short and a long run and stops by itself; "
            "measure with a tape how far it went, to the centimetre."
        )
        self._repeated(lambda: self._throttles(direction))

    def _throttles(self, direction: Direction) -> None:
        self.draft.speeds[direction] = {}
        way, start = self._way(direction), self.draft.starts[direction]
        # The end of the throttle as the car was set up, seen from the end of the dead band.
        room = self._span(direction) - abs(start - self._start.throttle.neutral_ns)
        allowed = self._room_m() / (BEYOND * SHORTEST_LONG_RUN_S)
        search = ThrottleSearch(room, min(self._plan.top_speed, allowed))
        for _ in range(MOST_THROTTLES):
            if (step := search.next()) is None:
                break
            offset, expected = step
            runs = _Runs(self._duration(expected))
            pulse = start + way * offset
            measured = self._tried(partial(self._speed, direction, pulse, runs))
            if measured is None:
                self._ask.say(f"{pulse / 1000:.0f} us is too slow to measure; on with another throttle.")
                search.add_too_slow(offset)
                continue
            search.add(offset, measured)
            self._ask.say(f"{pulse / 1000:.0f} us is {measured:.2f} m/s.")
        fastest = max(self.draft.speeds[direction].values(), default=0.0)
        if allowed < self._plan.top_speed and fastest < self._plan.top_speed:
            self._ask.say(f"{fastest:.2f} m/s is as fast as this floor allows to measure.")

    def _room_m(self) -> float:
        """Return the length of a run that surely ends on the floor if its speed is what was expected."""
        return 0.8 * self._plan.floor_m / 1.3

    def _duration(self, expected: float | None) -> float:
        """Return the duration of the longer run at a speed (m/s) that is expected, so that it fits on the floor."""
        if expected is None:
            return LONG_RUN_S
        return min(_enough_s(expected), self._room_m() / expected)

    def _speed(self, direction: Direction, pulse: int, runs: _Runs) -> float | None:
        """Measure one throttle; None if even the longest run is too short."""
        # The shorter run is to get up to speed; that it is much shorter makes the difference longer.
        long_s = runs.long_s
        short_s = min(max(SHORT_SHARE * long_s, 1.0), MOST_SHORT_SHARE * long_s)
        lengths = []
        for seconds in (short_s, long_s):
            while not self._ask.confirm("clear", f"Run of {seconds:.1f} s: car on its mark, way free?"):
                pass
            self._bench.run(self._centre, pulse, seconds)
            lengths.append(self._ask.number("distance", "Length of the run, m", 0.0, 100.0))
        if 0.0 <= lengths[1] - lengths[0] < MIN_DIFFERENCE_M:
            if long_s >= LONGEST_RUN_S:
                return None
            # At least twice as long, because the first look at a speed is a rough one.
            rough = max(lengths[1] - lengths[0], 0.01) / (long_s - short_s)
            runs.long_s = min(max(2.0 * long_s, _enough_s(rough)), LONGEST_RUN_S)
        speed = speed_of_runs(short_s, lengths[0], long_s, lengths[1])
        self.draft.add_speed(direction, pulse, speed)
        return speed

    def _adjust(self, key: str, text: str, pulse: int) -> int:
        while True:
            self._bench.steer(pulse)
            change = self._ask.change(key, f"{text} ({pulse / 1000:.0f} us)")
            if change is None:
                return pulse
            wanted = pulse + 1000 * change
            if SHORTEST_PULSE_NS <= wanted <= LONGEST_PULSE_NS:
                pulse = wanted
            else:
                self._ask.say(f"{wanted / 1000:.0f} us is more than servos stand; it stays at {pulse / 1000:.0f}.")

    def _tried(self, step: Callable[[], T]) -> T:
        """Do a step again if its readings are impossible, but not for ever: an earlier reading may be the wrong one."""
        for _ in range(TRIES):
            try:
                return step()
            except UserError as error:
                self._ask.say(f"Not taken: {error}.")
        raise _ContradictionError

    def _repeated(self, part: Callable[[], None]) -> None:
        """Do a part of the calibration from its beginning until nothing in it contradicts itself."""
        for _ in range(TRIES):
            try:
                return part()
            except _ContradictionError:
                self._ask.say("An earlier reading must have been wrong; this part begins again.")
        raise UserError("the readings go on contradicting each other; nothing has been saved")

    def _directions(self) -> tuple[Direction, ...]:
        return ("forward", "reverse") if self._plan.reverse else ("forward",)

    def _way(self, direction: Direction) -> int:
        """Return the sign of pulse changes that go further in a direction."""
        forward = 1 if self._start.throttle.forward[-1].pulse_ns > self._start.throttle.neutral_ns else -1
        return forward if direction == "forward" else -forward

    def _span(self, direction: Direction) -> int:
        """Return how far the throttle goes from neutral (ns), by the vehicle file."""
        channel = self._vehicle.pwm.throttle
        return (
            channel.maximum_ns - channel.middle_ns
            if self._way(direction) > 0
            else channel.middle_ns - channel.minimum_ns
        )


def _enough_s(speed: float) -> float:
    """Return how long a run at a speed (m/s) has to be to tell it to 5 % with a tape."""
    needed_s = 1.3 * MIN_DIFFERENCE_M / speed
    return min(max(LONG_RUN_S, 1.0 + needed_s, needed_s / (1.0 - SHORT_SHARE)), LONGEST_RUN_S)
