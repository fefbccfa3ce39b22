"""Lock-step between a simulator and who drives its cars, as pure logic on stamps: no transport, no waiting.

Every image has a stamp of its own, later than all before. A command carries the stamp of the image that it answers.
When every car has one, the server advances: exactly one control period, and new images. A car that is put down
elsewhere gets a new image one nanosecond later, without a period; a command that it has already got is dropped. So no
stamp is ever used twice, and an old image cannot be taken for a new one. Asking again does no harm: a request is known
by its stamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from deepracer_inference.errors import DeepRacerError

Command = tuple[float, float]
"""Steering angle (rad), speed (m/s)."""

REPLACEMENT_NS = 1
"""By so much a re-placement moves the clock on."""


class Answer(str, Enum):
    """What a server thinks of a command; all but the first are ignored. The text completes "the command ..."."""

    ACCEPTED = "was accepted"
    REPEATED = "answers an image that has been answered already"
    LATE = "answers an image that is no longer the newest one"
    FOREIGN = "carries a stamp that no image has had"


class LockStepServer:
    """The simulator's side: who has commanded, and when a period may run.

    Attributes:
        time_ns: Simulated time, the newest of all stamps.
        stamps: Of each car's newest image, ns.
    """

    time_ns: int
    stamps: list[int]

    def __init__(self, cars: int, period_ns: int, time_ns: int = REPLACEMENT_NS) -> None:
        """Start with one image of every car at the same time.

        Args:
            cars: Number of cars.
            period_ns: Control period.
            time_ns: Stamp of the first images; not 0, which in ROS means that there is no stamp.
        """
        self._period_ns = period_ns
        self.time_ns = time_ns
        self.stamps = [time_ns] * cars
        self._commands: dict[int, Command] = {}
        self._requests = [0] * cars

    @property
    def is_complete(self) -> bool:
        """Whether every car has its command, so that the period has to run."""
        return len(self._commands) == len(self.stamps)

    @property
    def waiting_for(self) -> list[int]:
        """Cars that have not got a command yet."""
        return [car for car in range(len(self.stamps)) if car not in self._commands]

    def command(self, car: int, stamp: int, command: Command) -> Answer:
        """Take or refuse a command.

        Args:
            car: For this car.
            stamp: The one that the command carries, ns.
            command: Steering angle (rad) and speed (m/s).
        """
        if stamp == self.stamps[car]:
            if car in self._commands:
                return Answer.REPEATED
            self._commands[car] = command
            return Answer.ACCEPTED
        return Answer.LATE if 0 < stamp < self.stamps[car] else Answer.FOREIGN

    def advance(self) -> list[Command]:
        """Let one period pass; return the commands to drive it with, by car. The new images carry `time_ns`."""
        if not self.is_complete:
            raise ValueError(f"cars {self.waiting_for} have no command yet")
        commands = [self._commands[car] for car in range(len(self.stamps))]
        self._commands.clear()
        self.time_ns += self._period_ns
        self.stamps = [self.time_ns] * len(self.stamps)
        return commands

    def replace(self, car: int, stamp: int = 0) -> bool:
        """Take or refuse a request to put a car down elsewhere; its new image carries `time_ns`.

        Args:
            car: The car.
            stamp: The one that the request carries, ns. The same as in the last request means the same request, sent
                again by somebody who has not seen the answer yet; 0 is none.

        Returns:
            Whether the car is to be moved.
        """
        if stamp and stamp == self._requests[car]:
            return False
        self._requests[car] = stamp
        self._commands.pop(car, None)
        self.time_ns += REPLACEMENT_NS
        self.stamps[car] = self.time_ns
        return True


class UnexpectedStampError(DeepRacerError):
    """A message that lock-step does not allow at this moment: a repeated, late or foreign one."""


class LockStepClient:
    """The driver's side: which stamp every message of every car must carry.

    A car's answer consists of several messages (image, odometry, ...), which may come in any order.

    Attributes:
        stamps: Of each car's newest complete answer, ns; commands carry them.
        missing: (car, part) pairs that are waited for.
        period_ns: Control period; may be set before the first one.
    """

    stamps: list[int]
    missing: set[tuple[int, int]]
    period_ns: int

    def __init__(self, cars: int, parts: int, period_ns: int) -> None:
        """Know nothing yet.

        Args:
            cars: Number of cars.
            parts: Messages in one answer.
            period_ns: Control period.
        """
        self._parts, self.period_ns = parts, period_ns
        self.stamps = [0] * cars
        self.missing = set()
        self._range = (0, 0)
        self._seen: dict[int, int] = {}

    @property
    def time_ns(self) -> int:
        """Simulated time as far as it is known here."""
        return max(self.stamps)

    def expect_period(self) -> None:
        """Wait for all cars' answers after one control period."""
        stamp = self.time_ns + self.period_ns
        self._expect(range(len(self.stamps)), stamp, stamp)

    def expect_replacement(self, cars: Sequence[int]) -> None:
        """Wait for new images of these cars; their order is the server's, so each may have any of as many stamps."""
        first = self.time_ns + REPLACEMENT_NS
        self._expect(cars, first, first + (len(cars) - 1) * REPLACEMENT_NS)

    def join(self, car: int, part: int, stamp: int) -> bool:
        """Take note of what a server that is already running has sent last.

        Args:
            car: Car of the message.
            part: Its part of the answer.
            stamp: Its stamp, ns.

        Returns:
            Whether all parts of this car carry the same stamp now. A newer stamp makes all others missing again.
        """
        if stamp != self.stamps[car]:
            if stamp < self.stamps[car]:
                return False
            self.stamps[car] = stamp
            self.missing |= {(car, each) for each in range(self._parts)}
        self.missing.discard((car, part))
        return not any((car, each) in self.missing for each in range(self._parts))

    def offer(self, car: int, part: int, stamp: int) -> None:
        """Take a message into account.

        Args:
            car: Car of the message.
            part: Its part of the answer.
            stamp: Its stamp, ns.

        Raises:
            UnexpectedStampError: It was not this message that had to come.
        """
        low, high = self._range
        awaited = str(low) if low == high else f"{low} to {high}"
        if (car, part) not in self.missing:
            if stamp == self.stamps[car]:
                raise UnexpectedStampError(f"the message with the stamp {stamp} came a second time")
            raise UnexpectedStampError(f"a message with the stamp {stamp} came, but none is due there")
        if not low <= stamp <= high:
            kind = "a late message" if stamp <= self.time_ns else "a message"
            raise UnexpectedStampError(f"{kind} with the stamp {stamp} came instead of {awaited}")
        if self._seen.setdefault(car, stamp) != stamp:
            raise UnexpectedStampError(f"{stamp} came, but the other messages of this car carry {self._seen[car]}")
        self.missing.discard((car, part))
        if not self.missing:
            for each, new in self._seen.items():
                self.stamps[each] = new

    def awaited(self) -> str:
        """Describe the stamps that are waited for, for messages."""
        low, high = self._range
        return f"{low} ns" if low == high else f"{low} to {high} ns"

    def _expect(self, cars: Sequence[int], low: int, high: int) -> None:
        self.missing = {(int(car), part) for car in cars for part in range(self._parts)}
        self._range = (low, high)
        self._seen = {}
