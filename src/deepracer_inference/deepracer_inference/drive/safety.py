"""Decides what may reach the wheels: a pure function of commands and monotonic time, apart from ROS and hardware."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

CLOCK_TOLERANCE_S = 0.02
"""An image may seem to come from the future by so much: cameras stamp frames with a clock of limited resolution."""
RANGE_TOLERANCE = 1e-3
"""rad, m/s; a command may exceed a limit by rounding."""


class DriveState(Enum):
    """Why the car drives or does not."""

    INACTIVE = "inactive"
    STOPPED = "stopped"
    WAITING = "waiting for the first command"
    DRIVING = "driving"
    REJECTED = "command rejected"
    TIMED_OUT = "commands stopped"


@dataclass(frozen=True)
class Limits:
    """What a command has to keep to."""

    steering_limit: float
    """rad, of the vehicle; beyond it a command is rejected."""
    vehicle_speed_limit: float
    """m/s, of the vehicle; beyond it a command is rejected."""
    speed_limit: float
    """m/s; faster commands are driven at this speed (governor)."""
    slew_limit: float
    """rad/s of the commanded steering angle."""
    command_timeout_s: float
    """Neutral when the newest command is older."""
    image_timeout_s: float
    """Neutral when a command answers an image that was older when the command came."""
    frame_s: float
    """Period of the pulses: how long a steering angle stays at least, and so the grain of `slew_limit`."""
    joystick_timeout_s: float = 0.0
    """Stop when a joystick that has been heard, and with it its stop button, is silent for longer; 0: never."""


@dataclass(frozen=True)
class Motion:
    """What servo and motor are to do."""

    steering_angle: float
    """rad, + = left."""
    speed: float
    """m/s."""


NEUTRAL = Motion(0.0, 0.0)


class SafetyCore:
    """Watchdog, range checks, governor, slew limit and emergency stop.

    All times are seconds of one monotonic clock. The owner calls `command` when one arrives, and `motion` as often as
    it likes but at least at `deadline`.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.state = DriveState.INACTIVE
        self.reason = ""
        """Why, if the state alone does not say it."""
        self._active = False
        self._stopped = "not enabled yet"
        self._target = NEUTRAL
        self._arrived_s = 0.0
        self._steering_angle = 0.0
        self._travel = math.inf
        self._moved_s = 0.0
        self._joystick_s = math.inf
        self._announced: tuple[DriveState, str] = (self.state, "")

    @property
    def deadline(self) -> float:
        """When neutral is due unless a command comes before; infinite if it is neutral already."""
        return self._arrived_s + self.limits.command_timeout_s if self.state is DriveState.DRIVING else math.inf

    @property
    def stopped(self) -> bool:
        """Whether the emergency stop is on."""
        return bool(self._stopped)

    def activate(self) -> None:
        """Accept commands from now on, unless the emergency stop is on."""
        self._active = True
        self._settle()

    def deactivate(self) -> None:
        """Stay neutral whatever comes."""
        self._active = False
        self._settle()

    def stop(self, reason: str) -> None:
        """Switch the emergency stop on: neutral until `enable`."""
        self._stopped = reason
        self._settle()

    def enable(self) -> None:
        """Switch the emergency stop off; the car waits for a new command."""
        self._stopped = ""
        self._settle()

    def command(
        self, steering_angle: float, speed: float, now: float, image_time: float | None = None, *, clip: bool = False
    ) -> None:
        """Take a command; one that is wrong means neutral until a good one comes.

        Args:
            steering_angle: rad.
            speed: m/s.
            now: When it arrived.
            image_time: When the image that it answers was taken; None if it answers none.
            clip: Whether a steering angle beyond the limit means the limit: a person's stick at its end.
        """
        if not self._active or self._stopped:
            return
        if fault := self._fault(steering_angle, speed, now, image_time, clip):
            self._become(DriveState.REJECTED, fault)
            return
        limit, governor = self.limits.steering_limit, self.limits.speed_limit
        self._target = Motion(min(max(steering_angle, -limit), limit), min(max(speed, -governor), governor))
        self._arrived_s = now
        self._become(DriveState.DRIVING, "")

    def hear_joystick(self, now: float) -> None:
        """Take note of a sign of life of the joystick with the stop button."""
        self._joystick_s = now

    def motion(self, now: float) -> Motion:
        """Return what servo and motor are to do now."""
        patience = self.limits.joystick_timeout_s
        if patience and now - self._joystick_s > patience:
            self._joystick_s = math.inf  # whoever enables the car again wants to drive without
            if not self._stopped:
                self.stop(
                    f"the joystick, and with it the stop button, has been silent for {patience:g} s; ~/enable drives "
                    "on without (if it speaks only when moved, set autorepeat_rate of joy_node or joystick_timeout: 0)"
                )
        if self.state is DriveState.DRIVING and now >= self.deadline:
            self._become(DriveState.TIMED_OUT, f"none came for {1e3 * self.limits.command_timeout_s:.0f} ms")
        if self.state is not DriveState.DRIVING:
            # Neutral is not delayed: the limit protects the servo from a policy, not the room from the car.
            self._steering_angle, self._travel, self._moved_s = 0.0, math.inf, now
            return NEUTRAL
        # Travel is saved up for one pulse at most: a command that comes between two pulses need not wait for the next.
        saved = self._travel + self.limits.slew_limit * (now - self._moved_s)
        self._travel = min(saved, self.limits.slew_limit * self.limits.frame_s)
        self._moved_s = now
        wanted = self._target.steering_angle - self._steering_angle
        turn = math.copysign(min(abs(wanted), self._travel), wanted)
        self._travel -= abs(turn)
        self._steering_angle += turn
        return Motion(self._steering_angle, self._target.speed)

    def news(self) -> str | None:
        """Return a line about the state if it has changed since the last call."""
        current = self.state, self.reason
        if current == self._announced:
            return None
        # Numbers in the reason may change from command to command: the kind of fault is what is announced once.
        again = current[0] is self._announced[0] is DriveState.REJECTED and _kind(current[1]) == _kind(
            self._announced[1]
        )
        self._announced = current
        if again:
            return None
        return self.state.value + (f": {self.reason}" if self.reason else "")

    def _fault(self, angle: float, speed: float, now: float, image_time: float | None, clip: bool) -> str:
        limits = self.limits
        if not (math.isfinite(angle) and math.isfinite(speed)):
            return f"it is not finite (steering angle {angle} rad, speed {speed} m/s)"
        if abs(angle) > limits.steering_limit + RANGE_TOLERANCE and not clip:
            return f"a steering angle beyond {limits.steering_limit:.3f} rad ({angle:.3f} rad)"
        if abs(speed) > limits.vehicle_speed_limit + RANGE_TOLERANCE:
            return f"a speed beyond {limits.vehicle_speed_limit:.2f} m/s ({speed:.2f} m/s)"
        if image_time is not None:
            age = now - image_time
            if age > limits.image_timeout_s:
                return f"its image is older than {1e3 * limits.image_timeout_s:.0f} ms ({1e3 * age:.0f} ms)"
            if age < -CLOCK_TOLERANCE_S:
                return f"its image is from the future, so its clock is not the monotonic one ({-1e3 * age:.0f} ms)"
        return ""

    def _settle(self) -> None:
        if not self._active:
            self._become(DriveState.INACTIVE, "")
        elif self._stopped:
            self._become(DriveState.STOPPED, self._stopped)
        elif self.state in (DriveState.INACTIVE, DriveState.STOPPED):
            self._become(DriveState.WAITING, "")

    def _become(self, state: DriveState, reason: str) -> None:
        self.state, self.reason = state, reason


def _kind(reason: str) -> str:
    return reason.partition("(")[0]
