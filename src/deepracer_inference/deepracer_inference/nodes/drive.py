"""drive_node: drive commands in, pulses out, and neutral whenever something is wrong."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState, Joy
from std_srvs.srv import Trigger

from deepracer_inference.calibration import load_calibration
from deepracer_inference.drive.driver import Driver, motion_tuple
from deepracer_inference.drive.pwm import wait_for_chip
from deepracer_inference.drive.safety import DriveState
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.nodes.diagnostics import Diagnostics, Health
from deepracer_inference.nodes.encoding import twist_to_command
from deepracer_inference.nodes.frames import CAMERA_FRAME, COMMAND_QOS
from deepracer_inference.nodes.joints import JointMessage, joint_command
from deepracer_inference.nodes.lifecycle import ManagedNode
from deepracer_inference.nodes.messages import from_time
from deepracer_inference.nodes.parameters import declare
from deepracer_inference.nodes.receiver import Receiver
from deepracer_inference.nodes.settings import DRIVE_CHANGEABLE, DriveSettings
from deepracer_inference.stages import StageTimes
from deepracer_inference.vehicle import load_vehicle

TICK_S = 0.02
"""The guard hears this often that the node lives, and the joints are published; one period of the pulses."""


class DriveNode(ManagedNode):
    """Moves messages to a driver; one thread drives, another one serves."""

    def __init__(self, name: str) -> None:
        """Read the parameters.

        Raises:
            UserError: A parameter is wrong.
        """
        super().__init__(name)
        self._settings = declare(self, DriveSettings, changeable=DRIVE_CHANGEABLE, on_change=self._change)
        self.autostart, self._enabled = self._settings.autostart, self._settings.enabled
        self._vehicle = load_vehicle(self._settings.vehicle)
        self._wheelbase = self._vehicle.geometry.wheelbase
        self._driver: Driver | None = None
        self._lock = threading.Lock()
        self._stages = StageTimes("command to PWM", "image to PWM")
        self._commands, self._referenced = 0, -math.inf
        self._joints = JointMessage(self._vehicle)
        self._publisher = self.create_publisher(JointState, "joint_states", COMMAND_QOS)
        self.create_service(Trigger, "~/emergency_stop", self._on_stop)
        self.create_service(Trigger, "~/enable", self._on_enable)
        Diagnostics(self, self._vehicle.name, self._health)

    def configure(self) -> None:
        """Open the board; neutral."""
        settings = self._settings
        calibration = load_calibration(self._vehicle, Path(settings.calibration) if settings.calibration else None)
        if not calibration.is_measured:
            self.get_logger().warning("this car is not calibrated: angles and speeds are estimates of the vehicle file")
        wait_for_chip(Path(settings.sysfs), self._vehicle.pwm.bus, settings.board_timeout, self.stop)
        driver = Driver(self._vehicle, calibration, settings.limits(self._vehicle), Path(settings.sysfs))
        if self._enabled:
            driver.enable()
        topics = [(TwistStamped, "cmd_vel")]
        if settings.input == "joint_commands":
            topics.append((JointState, "joint_commands"))
        if settings.stop_button >= 0:
            topics.append((Joy, "joy"))
        self._driver, self._over = driver, threading.Event()
        self._inbox = Receiver(self, topics, COMMAND_QOS)
        self._thread = threading.Thread(target=self._drive, args=(driver,), name="drive", daemon=True)
        self._thread.start()

    def activate(self) -> None:
        """Accept commands."""
        if self._driver:
            with self._lock:
                self._driver.core.activate()

    def deactivate(self) -> None:
        """Neutral, at once."""
        if self._driver:
            with self._lock:
                self._driver.core.deactivate()
                self._driver.step(time.monotonic())

    def cleanup(self) -> None:
        """Neutral; let the board go."""
        self._over.set()
        self._thread.join()
        self._inbox.close()
        if self._driver:
            # Whatever stopped the car, it stays stopped when the node is configured again.
            self._enabled = not self._driver.core.stopped
        self._driver = None

    def _drive(self, driver: Driver) -> None:
        try:
            due = time.monotonic()
            while not self._over.is_set():
                now = time.monotonic()
                wait = max(0.0, min(due, driver.core.deadline) - now)
                messages = self._inbox.wait(wait)
                arrived = time.monotonic()
                with self._lock:
                    image_time = self._take(driver, messages, arrived) if messages else None
                    driver.step(time.monotonic())
                    written = time.monotonic()
                    self._announce(driver)
                if messages:
                    self._stages.add("command to PWM", written - arrived)
                if image_time is not None and driver.core.state is DriveState.DRIVING:
                    self._stages.add("image to PWM", written - image_time)
                if written >= due:
                    angle, speed = motion_tuple(driver.motion)
                    stamp = self.get_clock().now().to_msg()
                    self._publisher.publish(self._joints.fill(stamp, angle, speed, written - due + TICK_S))
                    due = written + TICK_S
        except BaseException as error:
            self.fail(error)
        finally:
            driver.close()

    def _take(self, driver: Driver, messages: list[tuple[int, Any]], now: float) -> float | None:
        """Hand the newest command on; return the time of the image that it answers, if any."""
        image_time = None
        for _, message in messages:
            if isinstance(message, Joy):
                driver.core.hear_joystick(now)
                button = self._settings.stop_button
                if button < len(message.buttons) and message.buttons[button]:
                    driver.core.stop("the stop button was pressed")
                continue
            self._commands += 1
            if isinstance(message, JointState):
                # Controllers go on for ever with what they were told last: as old as that is their command.
                if now - self._referenced < self._settings.command_timeout:
                    driver.core.command(*joint_command(message, self._vehicle), self._referenced)
                continue
            linear, angular = message.twist.linear.x, message.twist.angular.z
            # Of a NaN in one of the two, the inverse would make a command that looks whole.
            finite = math.isfinite(linear) and math.isfinite(angular)
            if self._settings.input == "joint_commands":
                if finite:
                    self._referenced = now
                continue
            angle, speed = twist_to_command(linear, angular, self._wheelbase) if finite else (math.nan, math.nan)
            answers = message.header.frame_id == CAMERA_FRAME
            image_time = from_time(message.header.stamp) * 1e-9 if answers else None
            driver.core.command(angle, speed, now, image_time, clip=not answers)
        return image_time

    def _announce(self, driver: Driver) -> None:
        if line := driver.core.news():
            logger = self.get_logger()
            calm = driver.core.state in (DriveState.DRIVING, DriveState.INACTIVE, DriveState.WAITING)
            logger.info(line) if calm else logger.warning(line)

    def _change(self, settings: DriveSettings) -> None:
        self._settings = settings
        if self._driver:
            with self._lock:
                self._driver.core.limits = settings.limits(self._vehicle)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._enabled = False
        if self._driver:
            with self._lock:
                self._driver.core.stop("emergency stop")
                self._driver.step(time.monotonic())
        response.success, response.message = True, "neutral until ~/enable"
        return response

    def _on_enable(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if self._driver:
                with self._lock:
                    self._driver.enable()
            self._enabled = True
            response.success, response.message = True, "commands are driven"
        except DeepRacerError as error:
            response.success, response.message = False, str(error)
        return response

    def _health(self) -> Health:
        driver = self._driver
        if driver is None:
            return Health("not configured", True)
        state, reason = driver.core.state, driver.core.reason
        values = {"commands": str(self._commands), **self._stages.values()}
        return Health(state.value + (f": {reason}" if reason else ""), state is not DriveState.DRIVING, values)
