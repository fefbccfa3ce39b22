"""Lock-step as pure logic: no ROS here, but a transport that is worse than DDS."""

from __future__ import annotations

import random
from collections import deque

import pytest

from deepracer_sim.lockstep import Answer, LockStepClient, LockStepServer, UnexpectedStampError

PERIOD = 66_666_667
PARTS = 3


def connected(cars: int) -> tuple[LockStepServer, LockStepClient]:
    server, client = LockStepServer(cars, PERIOD), LockStepClient(cars, PARTS, PERIOD)
    for car in range(cars):
        for part in range(PARTS):
            client.join(car, part, server.stamps[car])
    assert not client.missing
    return server, client


def test_a_period_runs_when_every_car_has_its_command() -> None:
    server, _ = connected(2)
    assert server.command(1, 1, (0.1, 1.0)) is Answer.ACCEPTED
    assert not server.is_complete and server.waiting_for == [0]
    with pytest.raises(ValueError, match=r"cars \[0\] have no command yet"):
        server.advance()
    assert server.command(0, 1, (0.2, 2.0)) is Answer.ACCEPTED
    assert server.advance() == [(0.2, 2.0), (0.1, 1.0)]
    assert server.stamps == [PERIOD + 1] * 2
    assert not server.is_complete


def test_repeated_late_and_foreign_commands_are_refused() -> None:
    server, _ = connected(1)
    assert server.command(0, 1, (0.1, 1.0)) is Answer.ACCEPTED
    assert server.command(0, 1, (0.3, 3.0)) is Answer.REPEATED
    assert server.advance() == [(0.1, 1.0)]
    assert server.command(0, 1, (0.3, 3.0)) is Answer.LATE
    assert server.command(0, 0, (0.3, 3.0)) is Answer.FOREIGN  # no stamp at all
    assert server.command(0, PERIOD + 2, (0.3, 3.0)) is Answer.FOREIGN
    assert not server.is_complete


def test_a_replaced_car_gets_a_stamp_of_its_own_and_loses_its_command() -> None:
    server, _ = connected(2)
    server.command(0, 1, (0.1, 1.0))
    server.command(1, 1, (0.1, 1.0))
    assert server.replace(0, stamp=1)
    assert server.stamps == [2, 1] and server.waiting_for == [0]
    assert not server.replace(0, stamp=1), "the same request once more"
    assert server.command(0, 1, (0.1, 1.0)) is Answer.LATE
    assert server.replace(0) and server.replace(0), "requests without a stamp are all new"
    assert server.stamps == [4, 1]
    server.command(0, 4, (0.5, 0.5))
    assert server.advance() == [(0.5, 0.5), (0.1, 1.0)]
    assert server.stamps == [4 + PERIOD] * 2


def test_a_client_joins_a_server_that_moves_meanwhile() -> None:
    client = LockStepClient(1, PARTS, PERIOD)
    assert not client.join(0, 0, 5)
    assert not client.join(0, 1, 5)
    assert not client.join(0, 0, 9), "newer than the others"
    assert not client.join(0, 2, 5), "older than what is known"
    assert not client.join(0, 1, 9)
    assert client.join(0, 2, 9)
    assert client.stamps == [9] and not client.missing


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        (1, "late message with the stamp 1 came instead of 66666668"),
        (66666669, "a message with the stamp 66666669 came instead of 66666668"),
    ],
)
def test_the_client_takes_no_other_stamp_than_the_next(stamp: int, message: str) -> None:
    _, client = connected(1)
    client.expect_period()
    with pytest.raises(UnexpectedStampError, match=message):
        client.offer(0, 0, stamp)


def test_the_client_takes_no_message_twice_and_none_unasked() -> None:
    _, client = connected(2)
    client.expect_period()
    client.offer(0, 0, 1 + PERIOD)
    with pytest.raises(UnexpectedStampError, match="none is due there"):
        client.offer(0, 0, 2 + PERIOD)
    client.expect_replacement([1])
    with pytest.raises(UnexpectedStampError, match="none is due there"):
        client.offer(0, 0, 2)
    for part in range(PARTS):
        client.offer(1, part, 2)
    with pytest.raises(UnexpectedStampError, match="came a second time"):
        client.offer(1, 0, 2)


def test_the_client_takes_no_mixture_of_two_moments() -> None:
    _, client = connected(2)
    client.expect_replacement([0, 1])
    client.offer(0, 0, 3)
    client.offer(1, 0, 2)
    with pytest.raises(UnexpectedStampError, match="2 came, but the other messages of this car carry 3"):
        client.offer(0, 1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_every_command_is_driven_once_over_a_transport_that_drops_delays_repeats_and_reorders(seed: int) -> None:
    """Commands are sent again until they are answered; answers come on their topics in order, as DDS guarantees."""
    luck = random.Random(seed)
    cars = 3
    server, client = connected(cars)
    on_the_way: list[tuple[str, int, int, tuple[float, float]]] = []
    answers: list[deque[tuple[int, int, int]]] = [deque() for _ in range(cars * PARTS)]
    driven: list[tuple[float, float]] = []

    def answer(car: int) -> None:
        for part in range(PARTS):
            answers[car * PARTS + part].append((car, part, server.stamps[car]))

    def serve(kind: str, car: int, stamp: int, command: tuple[float, float]) -> None:
        if kind == "pose":
            if server.replace(car, stamp):
                answer(car)
            return
        server.command(car, stamp, command)
        if server.is_complete:
            driven.extend(server.advance())
            for each in range(cars):
                answer(each)

    def send(kind: str, car: int, number: float) -> None:
        message = (kind, car, client.stamps[car], (number, float(car)))
        # Poses may be lost or come twice in a row; commands may be anything.
        on_the_way.extend([message] * luck.choice([0, 1, 1, 2]))

    sent: list[tuple[float, float]] = []
    for number in range(60):
        replaced = luck.sample(range(cars), luck.randint(1, cars)) if luck.random() < 0.2 else []
        for kind, targets in (("pose", replaced), ("command", list(range(cars)))):
            if not targets:
                continue
            if kind == "pose":
                client.expect_replacement(targets)
            else:
                client.expect_period()
                sent += [(float(number), float(car)) for car in targets]
            while client.missing:
                if not on_the_way and not any(answers):
                    for car in sorted({car for car, _ in client.missing}):
                        send(kind, car, float(number))
                queues = [queue for queue in answers if queue]
                if queues and luck.random() < 0.5:
                    client.offer(*luck.choice(queues).popleft())
                elif on_the_way:
                    old_commands = [m for m in on_the_way if m[0] == "command"]
                    chosen = luck.choice(old_commands) if old_commands and luck.random() < 0.7 else on_the_way[0]
                    on_the_way.remove(chosen)
                    serve(*chosen)
            assert client.stamps == server.stamps
    assert driven == sent
