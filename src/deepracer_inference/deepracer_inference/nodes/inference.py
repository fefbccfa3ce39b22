"""inference_node: the newest image in, the policy's command out, with the image's stamp."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Image

from deepracer_inference.calibration import load_calibration
from deepracer_inference.driving import STAGES, PolicyDriver
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.fit import check_fit
from deepracer_inference.model_store import ModelStore
from deepracer_inference.nodes.diagnostics import Diagnostics, Health
from deepracer_inference.nodes.encoding import command_to_twist
from deepracer_inference.nodes.frames import BASE_FRAME, CAMERA_FRAME, COMMAND_QOS, IMAGE_QOS
from deepracer_inference.nodes.lifecycle import ManagedNode
from deepracer_inference.nodes.messages import from_time, image_to_frame
from deepracer_inference.nodes.parameters import declare
from deepracer_inference.nodes.receiver import Receiver
from deepracer_inference.nodes.settings import INFERENCE_CHANGEABLE, InferenceSettings
from deepracer_inference.policy_file import load_policy
from deepracer_inference.stages import StageTimes
from deepracer_inference.vehicle import load_vehicle

WAIT_S = 0.1
WATCH_S = 1.0


class InferenceNode(ManagedNode):
    """Moves images to a policy; one thread drives, another one serves."""

    def __init__(self, name: str) -> None:
        """Read the parameters.

        Raises:
            UserError: A parameter is wrong.
        """
        super().__init__(name)
        self._settings = declare(self, InferenceSettings, changeable=INFERENCE_CHANGEABLE, on_change=self._change)
        self.autostart = self._settings.autostart
        self._vehicle = load_vehicle(self._settings.vehicle)
        self._store = ModelStore()
        self._stages = StageTimes(*STAGES, "image to command")
        self._driver: PolicyDriver | None = None
        self._model = self._refused = ""
        self._fault: str | None = None
        self._driven = self._missed = 0
        self._over = threading.Event()
        self._publisher = self.create_publisher(TwistStamped, "cmd_vel", COMMAND_QOS)
        self._message = TwistStamped()
        self._message.header.frame_id = CAMERA_FRAME if self._settings.stamp == "image" else BASE_FRAME
        self.create_timer(WATCH_S, self._watch)
        Diagnostics(self, self._vehicle.name, self._health)

    def configure(self) -> None:
        """Load the model."""
        self._driver, self._model = self._load(self._settings)
        self.get_logger().info(f"model {self._model}")

    def activate(self) -> None:
        """Begin to drive."""
        self._over.clear()
        self._inbox = Receiver(self, [(Image, "camera/image_raw")], IMAGE_QOS)
        self._thread = threading.Thread(target=self._drive, name="inference", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Cease to command; drive_node is neutral a moment later."""
        self._over.set()
        self._thread.join()
        self._inbox.close()

    def cleanup(self) -> None:
        """Drop the model."""
        self._driver = None

    def _load(self, settings: InferenceSettings) -> tuple[PolicyDriver, str]:
        calibration = load_calibration(self._vehicle, Path(settings.calibration) if settings.calibration else None)
        if "/" in settings.model:
            name, trained_with = settings.model, None
            policy = load_policy(Path(name).expanduser())
        else:
            name = settings.model or self._store.current or ""
            policy, trained_with = self._store.policy(name or None), self._store.trained_with(name or None)
        check_fit(policy, self._vehicle, calibration, trained_with)
        return PolicyDriver(policy, self._vehicle.camera, settings.threads, settings.provider, self._stages), name

    def _drive(self) -> None:
        try:
            while not self._over.is_set():
                if messages := self._inbox.wait(WAIT_S):
                    self._missed += len(messages) - 1
                    self._answer(messages[-1][1], time.monotonic())
        except BaseException as error:
            self.fail(error)

    def _answer(self, image: Image, arrived: float) -> None:
        driver = self._driver
        if driver is None:
            return
        try:
            frame, exposed = image_to_frame(image), from_time(image.header.stamp) * 1e-9
            command = driver.drive(frame, exposed, arrived, self._settings.image_timeout)
        except DeepRacerError as error:
            self._say(str(error))
            return
        twist, wheelbase = self._message.twist, self._vehicle.geometry.wheelbase
        twist.linear.x, twist.angular.z = command_to_twist(command.steering_angle, command.speed, wheelbase)
        to_image = self._settings.stamp == "image"
        self._message.header.stamp = image.header.stamp if to_image else self.get_clock().now().to_msg()
        self._publisher.publish(self._message)
        self._stages.add("image to command", time.monotonic() - arrived)
        self._driven += 1
        if self._driven == 1:
            self.get_logger().info("first command")
        self._say(None)

    def _say(self, fault: str | None) -> None:
        # What stands in brackets changes from image to image.
        if (fault or "").partition(" (")[0] != (self._fault or "").partition(" (")[0]:
            logger = self.get_logger()
            logger.error(f"no command: {fault}") if fault else logger.info("commands again")
        self._fault = fault

    def _change(self, settings: InferenceSettings) -> None:
        if self._driver and settings.model != self._settings.model:
            self._driver, self._model = self._load(settings)
            self.get_logger().info(f"model {self._model}")
        self._settings = settings

    def _watch(self) -> None:
        """Follow the selection of the model store."""
        if self._driver is None or self._settings.model:
            return
        selected = None
        try:
            selected = self._store.current
            if selected in (None, self._model, self._refused):
                return
            self._driver, self._model = self._load(self._settings)
            self.get_logger().info(f"model {self._model}")
        except DeepRacerError as error:
            # Of a selection that cannot be read, only the reason is known.
            refused = selected or str(error)
            if refused != self._refused:
                self.get_logger().error(f"still driving with {self._model}: {' '.join(str(error).split())}")
            self._refused = refused

    def _health(self) -> Health:
        if self._driver is None:
            return Health("not configured", True)
        values = {
            "model": self._model,
            "commands": str(self._driven),
            "images missed": str(self._missed),
            **self._stages.values(),
        }
        return Health(self._fault or "driving", bool(self._fault), values)
