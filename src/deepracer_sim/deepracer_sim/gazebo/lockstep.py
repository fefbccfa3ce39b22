"""Exact control periods of a Gazebo server: what is asked in which order, and what proves that it has been done.

The order of one period, and why (measured on gz-sim 8.14):

1. The server is paused at time t, and everything of t has come.
2. Commands are given, and only now: while the last step of the period before is still running, they would act in it.
   They travel by other ways than requests for steps, so each has to be confirmed by the server before step 3.
3. `multi_step`. Its answer says "accepted"; a clock message with the target time says that the last step has begun;
   the clock message after that one is sent by the next, paused loop, so the step is over.
4. One trigger for all cameras, while paused. A camera with a rate of its own counts whole milliseconds and drifts
   through the period; a trigger during a step shows the step before or after it.
5. Pictures, motions and steering angles with the target time as their stamp end the period.

Targets are counted in whole steps of whole nanoseconds. What does not come in time, and what no longer fits, is an
error: the lock-step is lost, and never silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.errors import DeepRacerError
from deepracer_sim.gazebo.transport import (
    ClockEvent,
    CommandedEvent,
    MotionEvent,
    PictureEvent,
    PlacedEvent,
    Pose,
    SteeringEvent,
    Transport,
)

SLICE_S = 0.1
"""Longest uninterrupted wait: Ctrl-C is noticed within this time."""
AGAIN_S = 0.5
"""A trigger or command that nothing follows is given again after this time. It was too early, before the cameras or
the topics were there; a second picture of the same moment, or the same command twice, does no harm."""
JOINTS_S = 0.1
"""So long the joints of exactly the end of a period are waited for."""
PLACE_TOLERANCE = 1e-6
"""Of a pose that has been taken (m, rad), against the one that was asked for."""
PROBE = (0.0, 0.5)
"""Steering angle (rad) and speed (m/s) that show whether commands arrive."""
MOVING = 0.02
"""m/s; a car that is faster has had its command."""


class GazeboError(DeepRacerError):
    """Gazebo did not do what lock-step needs. The lock-step is lost; start the world and the node anew."""


class GazeboLockStep:
    """Drives one Gazebo server with N cars, one control period or re-placement at a time.

    Attributes:
        time_ns: Simulated time, at which the server is paused.
        motions: Newest of each car.
        steering: Newest angle of each car, rad.
        frames: Newest of each car.
    """

    time_ns: int
    motions: list[MotionEvent]
    steering: list[float]
    frames: list[NDArray[np.uint8]]

    def __init__(
        self,
        transport: Transport,
        cars: int,
        *,
        step_ns: int,
        steps: int,
        delay_steps: int = 0,
        timeout_s: float = 10.0,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        """Know nothing yet; `connect` comes first.

        Args:
            transport: Way to the server.
            cars: Number of cars N.
            step_ns: The world's physics step.
            steps: Of one control period.
            delay_steps: The first steps of a period are driven with the command of the period before.
            timeout_s: An answer that takes longer is an error.
            interrupt: Called every `SLICE_S` while waiting; ends the wait by raising.
        """
        if not 0 <= delay_steps < steps:
            raise ValueError(f"delay_steps is {delay_steps}, but must be at least 0 and below steps ({steps})")
        self._transport, self._cars = transport, cars
        self._step_ns, self._steps, self._delay_steps = step_ns, steps, delay_steps
        self._timeout_s, self._interrupt = timeout_s, interrupt
        self.time_ns = 0
        self.motions = [MotionEvent(car, -1, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0) for car in range(cars)]
        self.steering = [0.0] * cars
        self.frames = [np.zeros((0, 0), np.uint8)] * cars
        self._steering_ns = [-1] * cars
        self._frame_ns = [-1] * cars
        self._fresh = [False] * cars
        self._owed = [0] * cars
        self._placed: dict[int, Pose] = {}
        self._commanded_ns = [-1] * cars
        self._clocks = 0
        self._latest_ns = -1
        self._awake = False

    def connect(self, deadline_s: float) -> None:
        """Pause the server at a whole control period, and let it run until every car answers to a command.

        Runs periods, because controllers start, and messages about joints come, only while the time goes on.

        Args:
            deadline_s: On the transport's clock.

        Raises:
            GazeboError: Something did not answer; the message names it.
        """
        self._await(lambda: self._latest_ns >= 0, lambda: "no clock message came; is the world running?", deadline_s)
        self._transport.pause()
        # Three loops at the same time: the pause has been carried out.
        self._await(lambda: self._clocks >= 3, lambda: "the simulated time goes on although it was paused", deadline_s)
        self.time_ns = self._latest_ns
        self._awake = True
        whole, rest = divmod(self.time_ns, self._step_ns)
        if rest:
            raise GazeboError(
                f"Gazebo's time is {self.time_ns} ns, which is no multiple of the step of {self._step_ns} ns: "
                "the world has another max_step_size; use one that `deepracer world` has written"
            )
        if whole % self._steps:
            # Odometry comes once in a period, at its end only if periods begin at multiples of it.
            self._run(self._steps - whole % self._steps, deadline_s)
        while True:
            for car in range(self._cars):
                self._transport.command(car, self.time_ns, *PROBE)
            # The first picture can hold the server up for seconds, until the renderer has started.
            self._run(self._steps, deadline_s)
            self._transport.trigger()
            wait_until = min(self._transport.now() + AGAIN_S, deadline_s)
            while self._silent() and self._transport.now() < wait_until:
                self._take(wait_until)
            if not (silent := self._silent()):
                break
            if self._transport.now() >= deadline_s:
                raise GazeboError(
                    f"Gazebo runs, but not everything in it answers: {silent}. Has the world as many cars "
                    f"({self._cars}), and does Gazebo find the systems of deepracer_gazebo (colcon build, then source "
                    "install/setup.bash before it is started)?"
                )
        self._owed = [1] * self._cars

    def advance(self, commands: Iterable[tuple[float, float]]) -> None:
        """Let exactly one control period pass.

        Args:
            commands: Steering angle (rad) and speed (m/s) of every car.

        Raises:
            GazeboError: No answer, or a wrong one.
        """
        if self._delay_steps:
            self._run(self._delay_steps)
        self._command(dict(enumerate(commands)))
        self._run(self._steps - self._delay_steps)
        self._owed = [0] * self._cars
        self._look(range(self._cars))
        # Controllers publish joints when they can; if the last message of a period is left out, the one before counts.
        patience = self._transport.now() + JOINTS_S
        self._await(
            lambda: not self._late(self._transport.now() >= patience),
            lambda: f"{self._late(True)} did not come for the time {self.time_ns} ns",
        )

    def place(self, poses: Mapping[int, Pose]) -> None:
        """Put cars down at standstill; takes no simulated time, so the other cars do not notice.

        Args:
            poses: By car.

        Raises:
            GazeboError: No answer, or a wrong one.
        """
        self._drain(poses)
        # First, because the old command would turn the wheels again.
        self._command(dict.fromkeys(poses, (0.0, 0.0)))
        for car, pose in poses.items():
            self._placed.pop(car, None)
            self._transport.place(car, pose)
        self._await(
            lambda: all(self._has_been_placed(car, pose) for car, pose in poses.items()),
            lambda: (
                f"{_names([car for car, pose in poses.items() if not self._has_been_placed(car, pose)])} did not "
                "confirm to have been put down; has the model the plugin deepracer_gazebo::Standstill?"
            ),
        )
        self._look(poses)
        for car, pose in poses.items():
            self.motions[car] = MotionEvent(car, self.time_ns, pose, 0.0, 0.0, 0.0)
            self.steering[car] = 0.0

    def _command(self, commands: Mapping[int, tuple[float, float]]) -> None:
        """Give commands to cars, and wait until all have arrived."""
        for car in commands:
            self._commanded_ns[car] = -1
        deadline = self._transport.now() + self._timeout_s
        while missing := [car for car in commands if self._commanded_ns[car] != self.time_ns]:
            if self._transport.now() >= deadline:
                raise GazeboError(
                    f"Gazebo did not answer in time: {_names(missing)} did not confirm a command; has the model the "
                    "plugin deepracer_gazebo::CommandEcho?"
                )
            for car in missing:
                self._transport.command(car, self.time_ns, *commands[car])
            again = min(self._transport.now() + AGAIN_S, deadline)
            while self._transport.now() < again and any(self._commanded_ns[car] != self.time_ns for car in missing):
                self._take(again)

    def _run(self, steps: int, deadline_s: float | None = None) -> None:
        """Let so many steps pass, and wait until the last one is over."""
        target = self.time_ns + steps * self._step_ns
        began, self.time_ns = self.time_ns, target
        self._clocks = 0
        self._transport.multi_step(steps)
        # The second message with this time is one of the loop after the last step.
        self._await(
            lambda: self._clocks >= 2,
            lambda: f"the time {target} ns was not reached from {began} ns; the newest is {self._latest_ns} ns",
            deadline_s,
        )

    def _look(self, cars: Iterable[int]) -> None:
        """Trigger all cameras, and wait for new pictures of these cars."""
        wanted = list(cars)
        for car in wanted:
            self._fresh[car] = False
        deadline = self._transport.now() + self._timeout_s
        while not all(self._fresh[car] for car in wanted):
            if self._transport.now() >= deadline:
                raise GazeboError(
                    f"Gazebo did not answer within {self._timeout_s:g} s: no picture with the stamp {self.time_ns} ns "
                    f"came from {_names([car for car in wanted if not self._fresh[car]])}"
                )
            self._transport.trigger()
            for car in range(self._cars):
                self._owed[car] += 1
            again = min(self._transport.now() + AGAIN_S, deadline)
            while not all(self._fresh[car] for car in wanted) and self._transport.now() < again:
                self._take(again)

    def _drain(self, cars: Iterable[int]) -> None:
        """Take the pictures of now that are still on the way: those after a re-placement have the same stamp."""
        quiet = self._transport.now() + AGAIN_S
        while any(self._owed[car] > 0 for car in cars) and self._transport.now() < quiet:
            self._take(quiet)
        for car in cars:
            self._owed[car] = 0

    def _await(self, done: Callable[[], bool], problem: Callable[[], str], deadline_s: float | None = None) -> None:
        """Take what comes until something is true."""
        deadline = self._transport.now() + self._timeout_s if deadline_s is None else deadline_s
        while not done():
            if self._transport.now() >= deadline:
                raise GazeboError(f"Gazebo did not answer in time: {problem()}")
            self._take(deadline)

    def _take(self, deadline_s: float) -> None:
        self._interrupt()
        for event in self._transport.receive(min(SLICE_S, max(0.0, deadline_s - self._transport.now()))):
            match event:
                case ClockEvent(time_ns=time_ns):
                    self._take_clock(time_ns)
                case PictureEvent(car=car, time_ns=time_ns, frame=frame):
                    self._check_not_ahead(time_ns, f"a picture of car_{car}")
                    if time_ns == self.time_ns:
                        self._owed[car] = max(0, self._owed[car] - 1)
                        self.frames[car], self._frame_ns[car], self._fresh[car] = frame, time_ns, True
                case MotionEvent(car=car, time_ns=time_ns):
                    self._check_not_ahead(time_ns, f"the odometry of car_{car}")
                    if time_ns > self.motions[car].time_ns:
                        self.motions[car] = event
                case SteeringEvent(car=car, time_ns=time_ns, angle=angle):
                    self._check_not_ahead(time_ns, f"the joints of car_{car}")
                    if time_ns > self._steering_ns[car]:
                        self.steering[car], self._steering_ns[car] = angle, time_ns
                case CommandedEvent(car=car, time_ns=time_ns):
                    self._commanded_ns[car] = time_ns
                case PlacedEvent(car=car, pose=pose):
                    self._placed[car] = pose

    def _take_clock(self, time_ns: int) -> None:
        self._check_not_ahead(time_ns, "the clock")
        if self._awake:
            self._clocks += time_ns == self.time_ns
        else:
            self._clocks = self._clocks + 1 if time_ns == self._latest_ns else 1
        self._latest_ns = time_ns

    def _check_not_ahead(self, time_ns: int, what: str) -> None:
        if self._awake and time_ns > self.time_ns:
            raise GazeboError(
                f"Lock-step with Gazebo is lost: {what} shows {time_ns} ns, but nothing was to run beyond "
                f"{self.time_ns} ns. Does anybody else step or unpause the world, or has it another max_step_size?"
            )

    def _has_been_placed(self, car: int, pose: Pose) -> bool:
        placed = self._placed.get(car)
        return placed is not None and bool(np.allclose(_turn(placed, pose), 0.0, atol=PLACE_TOLERANCE))

    def _late(self, lenient: bool = False) -> str:
        """Name what has not come for the present time.

        Args:
            lenient: Joints of an earlier step of the period are enough.
        """
        oldest = self.time_ns - (self._steps - 1) * self._step_ns if lenient else self.time_ns
        motions = [car for car in range(self._cars) if self.motions[car].time_ns != self.time_ns]
        joints = [car for car in range(self._cars) if self._steering_ns[car] < oldest]
        parts = [f"the odometry of {_names(motions)}"] if motions else []
        parts += [f"the joints of {_names(joints)}"] if joints else []
        return " and ".join(parts)

    def _silent(self) -> str:
        """Name what has not answered to the probe."""
        pictures = [car for car in range(self._cars) if self._frame_ns[car] != self.time_ns]
        still = [car for car in range(self._cars) if abs(self.motions[car].speed) < MOVING]
        parts = [self._late(True)] if self._late(True) else []
        parts += [f"pictures of {_names(pictures)}"] if pictures else []
        parts += [f"movement of {_names(still)} after a command"] if still else []
        return ", ".join(parts)


def _names(cars: Iterable[int]) -> str:
    return ", ".join(f"car_{car}" for car in cars)


def _turn(one: Pose, other: Pose) -> list[float]:
    """Difference of two poses, of headings the shorter way round."""
    return [
        one[0] - other[0],
        one[1] - other[1],
        float(np.sin(one[2] - other[2])),
        1.0 - float(np.cos(one[2] - other[2])),
    ]
