"""What lock-step needs of Gazebo, apart from the messages: requests in one direction, events in the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pose = tuple[float, float, float]
"""x, y (m) and yaw (rad) of `base_link`."""


@dataclass(frozen=True)
class ClockEvent:
    """The server's simulated time; it says so at the start of every loop, also while it is paused."""

    time_ns: int


@dataclass(frozen=True)
class PictureEvent:
    """What one car's camera has rendered."""

    car: int
    time_ns: int
    """Simulated time of what is shown."""
    frame: NDArray[np.uint8]
    """(H, W, 3) RGB or (H, W) grey."""


@dataclass(frozen=True)
class MotionEvent:
    """True motion of one car's `base_link`."""

    car: int
    time_ns: int
    pose: Pose
    speed: float
    """Ahead, m/s."""
    lateral_speed: float
    """To the left, m/s."""
    yaw_rate: float
    """rad/s."""


@dataclass(frozen=True)
class SteeringEvent:
    """Angle that one car's front wheels have reached."""

    car: int
    time_ns: int
    angle: float
    """Of the single-track model, rad, left positive."""


@dataclass(frozen=True)
class CommandedEvent:
    """A command has reached the server, where the next step finds it."""

    car: int
    time_ns: int
    """The command's stamp."""


@dataclass(frozen=True)
class PlacedEvent:
    """The Standstill plugin has taken a pose for one car, and everything that moved in it is at rest."""

    car: int
    pose: Pose


Event = ClockEvent | PictureEvent | MotionEvent | SteeringEvent | CommandedEvent | PlacedEvent


class Transport(Protocol):
    """Way to one Gazebo server and back. On one way and for one car, messages keep their order."""

    def now(self) -> float:
        """Return a steady clock, s."""
        ...

    def receive(self, timeout_s: float) -> Sequence[Event]:
        """Return what has come, waiting for it at most so long."""
        ...

    def pause(self) -> None:
        """Stop the simulated time.

        Raises:
            GazeboError: It did not accept.
        """
        ...

    def multi_step(self, steps: int) -> None:
        """Start so many physics steps of a paused world; returns when they are accepted, not when they are done.

        Raises:
            GazeboError: It did not accept.
        """
        ...

    def command(self, car: int, time_ns: int, steering_angle: float, speed: float) -> None:
        """Give a car a command (rad, m/s) that is kept until the next one.

        It is confirmed by an event with the same stamp. Giving it again does no harm.
        """
        ...

    def place(self, car: int, pose: Pose) -> None:
        """Ask for a car at another place; returns when it is accepted, not when it is done.

        Raises:
            GazeboError: It did not accept.
        """
        ...

    def trigger(self) -> None:
        """Let all cameras take one picture; works while paused."""
        ...
