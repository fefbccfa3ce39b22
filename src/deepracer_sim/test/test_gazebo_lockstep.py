"""Lock-step with Gazebo as logic: a server with the habits of the real one, and a way there that is worse than DDS."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.gazebo.lockstep import GazeboError, GazeboLockStep
from deepracer_sim.gazebo.simulator import GazeboSimulator, delay_steps
from deepracer_sim.gazebo.transport import (
    ClockEvent,
    CommandedEvent,
    Event,
    MotionEvent,
    PictureEvent,
    PlacedEvent,
    Pose,
    SteeringEvent,
)
from deepracer_sim.gazebo.world import STEP_NS, STEPS_PER_PERIOD
from deepracer_sim.tracks import load_track

PERIOD_NS = STEP_NS * STEPS_PER_PERIOD
LOOP_S = 0.0014
"""Of a paused server, as measured."""


@dataclass
class Car:
    """Drives with the command's speed at once, turns with its angle; a picture is its position in millimetres."""

    pose: Pose = (0.0, 0.0, 0.0)
    command: tuple[float, float] = (0.0, 0.0)
    wheels: tuple[float, float] = (0.0, 0.0)
    driven: list[tuple[float, float]] = field(default_factory=list)


class FakeGazebo:
    """A server and the way to it in virtual time, with the real one's habits.

    The clock is published at the start of a loop, also while paused. Commands act from the step after the one in which
    they have come, also if that is still one of the period before. Pictures take longer than the step.
    """

    def __init__(self, cars: int, seed: int = 0, *, latency_s: float = 0.0004, jitter_s: float = 0.0) -> None:
        self.cars = [Car() for _ in range(cars)]
        self.luck = random.Random(seed)
        self.latency_s, self.jitter_s = latency_s, jitter_s
        self.time_ns, self.pending = 0, 0
        self.step_ns = STEP_NS
        self.triggered = False
        self.drop: Callable[[str], bool] = lambda kind: False
        self.repeat: Callable[[str], bool] = lambda kind: False
        self.stopped: set[str] = set()
        self._now = 0.0
        self._number = itertools.count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self.inbox: list[Event] = []
        self._last: dict[object, float] = {}
        self._at(0.0, self._loop)

    # The transport.

    def now(self) -> float:
        return self._now

    def receive(self, timeout_s: float) -> Sequence[Event]:
        end = self._now + timeout_s
        while not self.inbox and self._queue and self._queue[0][0] <= end:
            self._now, _, action = heapq.heappop(self._queue)
            action()
        if not self.inbox:
            self._now = end
        taken, self.inbox = self.inbox, []
        return taken

    def pause(self) -> None:
        self._request("control", lambda: setattr(self, "pending", 0))

    def multi_step(self, steps: int) -> None:
        def start() -> None:
            self.pending += steps

        self._request("control", start)

    def command(self, car: int, time_ns: int, steering_angle: float, speed: float) -> None:
        def take() -> None:
            self.cars[car].command = steering_angle, speed
            self._event("commanded", CommandedEvent(car, time_ns), car)

        self._send("command", ("command", car), take)

    def place(self, car: int, pose: Pose) -> None:
        def put_down() -> None:
            self.cars[car].pose, self.cars[car].wheels = pose, (0.0, 0.0)
            if "plugin" not in self.stopped:
                self._event("placed", PlacedEvent(car, pose), car)

        self._request("place", put_down)

    def trigger(self) -> None:
        self._send("trigger", "trigger", lambda: setattr(self, "triggered", True))

    # The server.

    def _loop(self) -> None:
        running = self.pending > 0
        if running:
            self.time_ns += self.step_ns
        self._event("clock", ClockEvent(self.time_ns))
        self._at(0.0003, lambda: self._end_of_loop(running))

    def _end_of_loop(self, running: bool) -> None:
        if running:
            self.pending = max(0, self.pending - 1)
            for car in self.cars:
                angle, speed = car.wheels
                x, y, yaw = car.pose
                travelled = speed * self.step_ns * 1e-9
                car.pose = x + travelled * math.cos(yaw), y + travelled * math.sin(yaw), yaw + travelled * angle
                car.driven.append(car.wheels)
                car.wheels = car.command
            if self.time_ns % PERIOD_NS == 0:
                for index, car in enumerate(self.cars):
                    motion = MotionEvent(index, self.time_ns, car.pose, car.wheels[1], 0.0, 0.0)
                    self._event("motion", motion, index)
                    self._event("steering", SteeringEvent(index, self.time_ns, car.wheels[0]), index)
        if self.triggered:
            self.triggered = False
            for index, car in enumerate(self.cars):
                shown = PictureEvent(index, self.time_ns, picture(car.pose))
                self._at(0.006 + 0.001 * index, lambda shown=shown: self._event("picture", shown, shown.car))  # type: ignore[misc]
        self._at(0.0001 if self.pending else LOOP_S, self._loop)

    # The way.

    def _event(self, kind: str, event: Event, car: int = 0) -> None:
        if kind not in self.stopped:
            self._send(kind, (kind, car), lambda: self.inbox.append(event))

    def _send(self, kind: str, topic: object, action: Callable[[], None]) -> None:
        """Deliver later; messages on one topic keep their order, those on different topics do not."""
        if self.drop(kind):
            return
        for _ in range(2 if self.repeat(kind) else 1):
            arrives = self._now + self.latency_s + self.luck.uniform(0.0, self.jitter_s)
            arrives = self._last[topic] = max(arrives, self._last.get(topic, 0.0))
            self._at(arrives - self._now, action)

    def _request(self, kind: str, action: Callable[[], None]) -> None:
        """Services answer after they have been carried out, but messages go on coming meanwhile."""
        if self.drop(kind):
            raise GazeboError(f"no reply to {kind}")
        end = self._now + self.latency_s
        while self._queue and self._queue[0][0] <= end:
            self._now, _, waiting = heapq.heappop(self._queue)
            waiting()
        self._now = end
        for _ in range(2 if self.repeat(kind) else 1):
            action()

    def later(self, action: Callable[[], None]) -> None:
        """Do something when the next period runs."""
        self._at(0.003, action)

    def _at(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self._now + delay_s, next(self._number), action))


def picture(pose: Pose) -> NDArray[np.uint8]:
    """Whole millimetres of x and y, as two columns of pixels of three bytes."""
    numbers = [round(value * 1000.0) & 0xFFFFFF for value in pose[:2]]
    row = [[n >> 16, n >> 8 & 255, n & 255] for n in numbers]
    return np.tile(np.array([row], np.uint8), (8, 4, 1))


def connected(gazebo: FakeGazebo, *, delay_steps: int = 0, timeout_s: float = 10.0) -> GazeboLockStep:
    lockstep = GazeboLockStep(
        gazebo,
        len(gazebo.cars),
        step_ns=STEP_NS,
        steps=STEPS_PER_PERIOD,
        delay_steps=delay_steps,
        timeout_s=timeout_s,
    )
    lockstep.connect(gazebo.now() + 30.0)
    for car in gazebo.cars:
        car.driven.clear()
    return lockstep


def test_a_period_is_twenty_steps_and_everything_carries_its_stamp() -> None:
    gazebo = FakeGazebo(2)
    lockstep = connected(gazebo)
    began = lockstep.time_ns
    for number in range(1, 1001):
        lockstep.advance([(0.1, 0.001 * number), (-0.1, 1.0)])
        assert gazebo.time_ns == lockstep.time_ns == began + number * PERIOD_NS
        assert [motion.time_ns for motion in lockstep.motions] == [lockstep.time_ns] * 2
        assert lockstep.steering == [0.1, -0.1]
        for car, frame in enumerate(lockstep.frames):
            assert np.array_equal(frame, picture(gazebo.cars[car].pose))
    # A command begins to act in the second step of its period, the first one being driven by the one before.
    speeds = [round(speed * 1000.0) for _, speed in gazebo.cars[0].driven[1:]]
    assert speeds == [number for number in range(1, 1001) for _ in range(STEPS_PER_PERIOD)][: len(speeds)]


def test_the_time_stands_still_between_two_periods() -> None:
    gazebo = FakeGazebo(1)
    lockstep = connected(gazebo)
    lockstep.advance([(0.0, 1.0)])
    pose = gazebo.cars[0].pose
    for _ in range(100):
        gazebo.receive(0.1)
    assert gazebo.time_ns == lockstep.time_ns and gazebo.cars[0].pose == pose


def test_the_latency_of_the_vehicle_lets_the_old_command_drive_the_first_steps() -> None:
    gazebo = FakeGazebo(1)
    lockstep = connected(gazebo, delay_steps=6)
    lockstep.place({0: (0.0, 0.0, 0.0)})
    gazebo.cars[0].driven.clear()
    lockstep.advance([(0.2, 2.0)])
    lockstep.advance([(0.3, 3.0)])
    # Six steps, and one in which the command is read.
    assert gazebo.cars[0].driven == [(0.0, 0.0)] * 7 + [(0.2, 2.0)] * 20 + [(0.3, 3.0)] * 13
    assert delay_steps(load_vehicle("deepracer").latency_s) in (6, 7)
    assert delay_steps(0.0) == 0


def test_a_replacement_takes_no_time_and_leaves_nothing_of_the_old_motion_and_the_other_cars_alone() -> None:
    gazebo = FakeGazebo(3)
    lockstep = connected(gazebo)
    lockstep.advance([(0.1, 2.0)] * 3)
    others = [(car.pose, car.wheels, car.command) for car in gazebo.cars]
    frames = [frame.copy() for frame in lockstep.frames]
    lockstep.place({1: (5.0, -2.0, 3.0)})
    assert gazebo.time_ns == lockstep.time_ns
    assert gazebo.cars[1].pose == (5.0, -2.0, 3.0) and gazebo.cars[1].command == (0.0, 0.0)
    assert np.array_equal(lockstep.frames[1], picture((5.0, -2.0, 3.0)))
    assert lockstep.motions[1] == MotionEvent(1, lockstep.time_ns, (5.0, -2.0, 3.0), 0.0, 0.0, 0.0)
    assert lockstep.steering[1] == 0.0
    for car in (0, 2):
        assert (gazebo.cars[car].pose, gazebo.cars[car].wheels, gazebo.cars[car].command) == others[car]
        assert np.array_equal(lockstep.frames[car], frames[car])
    # Straight after each other: every picture is that of its own re-placement.
    for car, x in ((1, 6.0), (0, 7.0), (1, 8.0), (2, 9.0)):
        lockstep.place({car: (x, 0.0, 0.0)})
        assert np.array_equal(lockstep.frames[car], picture((x, 0.0, 0.0)))


@pytest.mark.parametrize("seed", range(12))
def test_no_wrong_picture_and_no_lost_command_over_a_way_that_delays_drops_repeats_and_reorders(seed: int) -> None:
    """Requests are answered or the lock-step ends, so only what can be asked for again is dropped or repeated here."""
    gazebo = FakeGazebo(3, seed, jitter_s=0.004)
    lockstep = connected(gazebo)
    luck = random.Random(seed)
    gazebo.drop = lambda kind: kind in ("trigger", "clock", "command", "commanded") and luck.random() < 0.2
    gazebo.repeat = lambda kind: (
        kind in ("motion", "steering", "placed", "command", "commanded") and luck.random() < 0.2
    )
    for number in range(40):
        if luck.random() < 0.3:
            places = {car: (luck.uniform(-3, 3), luck.uniform(-3, 3), 0.0) for car in luck.sample(range(3), 2)}
            lockstep.place(places)
            for car, pose in places.items():
                assert np.array_equal(lockstep.frames[car], picture(pose))
        lockstep.advance([(0.0, 0.01 * number + car) for car in range(3)])
        for index, driver in enumerate(gazebo.cars):
            assert lockstep.motions[index].pose == driver.pose and lockstep.motions[index].time_ns == gazebo.time_ns
            assert np.array_equal(lockstep.frames[index], picture(driver.pose))
            # From the second step on; the first is driven with the command of the period before.
            assert driver.driven[-STEPS_PER_PERIOD + 1 :] == [(0.0, 0.01 * number + index)] * (STEPS_PER_PERIOD - 1)


def test_a_world_that_starts_in_the_middle_of_a_period_and_runs_is_brought_to_a_whole_one() -> None:
    gazebo = FakeGazebo(1)
    gazebo.time_ns, gazebo.pending = 7 * STEP_NS, 10**6
    gazebo.drop = lambda kind: kind == "trigger" and gazebo.now() < 2.0  # the cameras need time to start
    lockstep = connected(gazebo)
    assert lockstep.time_ns % PERIOD_NS == 0 and gazebo.pending == 0


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("clock", r"the time \d+ ns was not reached"),
        ("picture", r"no picture with the stamp \d+ ns came from car_0, car_1"),
        ("motion", "the odometry of car_0, car_1 did not come"),
        ("steering", "the joints of car_0, car_1 did not come"),
    ],
)
def test_what_does_not_come_is_named(part: str, message: str) -> None:
    gazebo = FakeGazebo(2)
    lockstep = connected(gazebo, timeout_s=3.0)
    gazebo.stopped.add(part)
    with pytest.raises(GazeboError, match=message):
        lockstep.advance([(0.0, 1.0)] * 2)


def test_joints_of_an_earlier_step_of_the_period_are_enough_if_the_last_message_is_left_out() -> None:
    gazebo = FakeGazebo(1)
    lockstep = connected(gazebo, timeout_s=3.0)
    gazebo.stopped.add("steering")
    stamp = lockstep.time_ns + PERIOD_NS - 2 * STEP_NS
    gazebo.later(lambda: gazebo.inbox.append(SteeringEvent(0, stamp, 0.1)))
    lockstep.advance([(0.1, 1.0)])
    assert lockstep.steering == [0.1]


def test_a_car_without_the_plugin_and_a_car_that_ignores_commands_are_named() -> None:
    gazebo = FakeGazebo(2)
    lockstep = connected(gazebo, timeout_s=2.0)
    gazebo.stopped.add("plugin")
    with pytest.raises(GazeboError, match=r"car_1 did not confirm to have been put down.*Standstill"):
        lockstep.place({1: (0.0, 0.0, 0.0)})
    mute = FakeGazebo(2)
    lockstep = connected(mute, timeout_s=2.0)
    mute.stopped.add("commanded")
    with pytest.raises(GazeboError, match=r"car_0, car_1 did not confirm a command.*CommandEcho"):
        lockstep.advance([(0.0, 1.0)] * 2)
    deaf = FakeGazebo(1)
    deaf.drop = lambda kind: kind == "command"
    with pytest.raises(GazeboError, match="movement of car_0 after a command"):
        connected(deaf)


def test_a_world_that_somebody_else_steps_and_one_with_another_step_size_end_the_lock_step() -> None:
    gazebo = FakeGazebo(1)
    lockstep = connected(gazebo)
    gazebo.pending = 1
    gazebo.receive(0.1)
    with pytest.raises(GazeboError, match="Does anybody else step"):
        lockstep.advance([(0.0, 1.0)])
    repeated = FakeGazebo(1)
    lockstep = connected(repeated)
    repeated.repeat = lambda kind: kind == "control"
    with pytest.raises(GazeboError, match="Lock-step with Gazebo is lost"):
        for _ in range(3):
            lockstep.advance([(0.0, 1.0)])
    coarse = FakeGazebo(1)
    coarse.step_ns = 4_000_000
    with pytest.raises(GazeboError, match="max_step_size"):
        connected(coarse)


def test_the_simulator_tells_poses_speeds_and_angles_and_limits_commands() -> None:
    gazebo = FakeGazebo(2)
    track, vehicle = load_track("oval"), load_vehicle("deepracer")
    simulator = GazeboSimulator(track, vehicle, 2, gazebo)
    start = track.pose_at(0.0).reshape(3)
    assert simulator.period_ns == 66_666_660 and simulator.frame_shape == (8, 8)
    states = simulator.state()
    assert [states.x[1], states.y[1], states.yaw[1]] == start.tolist()
    assert not states.speed.any() and not states.steering_angle.any() and states.time_ns == 0
    simulator.step(np.array([0.2, -9.0]), np.array([1.0, 9.0]))
    simulator.step(np.array([0.2, -9.0]), np.array([1.0, 9.0]))
    states = simulator.state()
    assert states.time_ns == 2 * 66_666_660
    assert states.speed.tolist() == [1.0, vehicle.drive.speed_limit]
    assert states.steering_angle.tolist() == [0.2, -vehicle.steering.limit]
    ahead = (states.x[0] - start[0]) * math.cos(start[2]) + (states.y[0] - start[1]) * math.sin(start[2])
    # 40 steps less those of the latency, at 1 m/s.
    assert 0.1 < ahead < 40 * STEP_NS * 1e-9
    gray = float(simulator.frame_rgb(0)[0, 0] @ [0.299, 0.587, 0.114])
    assert abs(int(simulator.images()[0, 0, 0]) - gray) <= 1.0
    simulator.reset(np.array([1]), np.array([[1.0, 2.0, 0.5]]))
    states = simulator.state()
    assert (states.x[1], states.y[1], states.yaw[1], states.speed[1]) == (1.0, 2.0, 0.5, 0.0)
    assert states.speed[0] == 1.0
