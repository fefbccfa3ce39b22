"""camera_node: the newest fit frame of a camera, with the time of its exposure."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from deepracer_inference.camera.grabber import Grabber
from deepracer_inference.camera.preparation import Preparation
from deepracer_inference.camera.source import CaptureMode, Frame, FrameSource, open_source
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.lens import Rectifier, load_lens
from deepracer_inference.nodes.diagnostics import Diagnostics, Health
from deepracer_inference.nodes.frames import CAMERA_FRAME, IMAGE_QOS
from deepracer_inference.nodes.messages import camera_info, fill_image, image_to_frame, to_time
from deepracer_inference.nodes.parameters import declare, make_node
from deepracer_inference.nodes.receiver import Receiver
from deepracer_inference.nodes.settings import CameraSettings
from deepracer_inference.stages import StageTimes
from deepracer_inference.vehicle import load_vehicle

WAIT_S = 0.1
SILENCE_S = 2.0
"""A camera that neither delivers nor fails: V4L2 gives one up after 10 s only."""
TOPIC = "topic:"


class TopicSource:
    """The images of a simulator, as if they were a camera's: exposed when they arrive."""

    live = False

    def __init__(self, node: Node, topic: str) -> None:
        self._closed = False
        self._inbox = Receiver(node, [(Image, topic)], IMAGE_QOS)

    def read(self) -> Frame:
        """Wait for the next image."""
        while not self._closed:
            if messages := self._inbox.wait(WAIT_S):
                return Frame(image_to_frame(messages[-1][1]), time.monotonic_ns())
        raise DeepRacerError("the node ends")

    def close(self) -> None:
        """Let `read` return."""
        self._closed = True


class CameraPublisher:
    """Moves frames from a grabber to topics."""

    def __init__(self, name: str) -> None:
        """Open the camera.

        Raises:
            UserError: A parameter is wrong, or there is no such camera.
        """
        self.node = node = make_node(name)
        self._settings = settings = declare(node, CameraSettings)
        vehicle = load_vehicle(settings.vehicle)
        lens = None if settings.lens == "none" else load_lens(Path(settings.lens) if settings.lens else None)
        rectifier = Rectifier(lens, vehicle.camera) if lens else None
        self._prepare = Preparation(vehicle.camera, rectifier, gray=settings.encoding == "mono8")
        self._image = node.create_publisher(Image, "camera/image_raw", IMAGE_QOS)
        self._info = node.create_publisher(CameraInfo, "camera/camera_info", IMAGE_QOS)
        self._image_message, self._info_message = Image(), camera_info(vehicle.camera, None)
        self._image_message.header.frame_id = self._info_message.header.frame_id = CAMERA_FRAME
        self._stages = StageTimes("exposure to read", "prepared", "published", "interval")
        self._published, self._last_ns = 0, 0
        self._seen_s = time.monotonic()
        self._unfit: str | None = None
        self._said: str | None = None
        self._source: TopicSource | None = None
        self._grabber = Grabber(self._open, vehicle.camera.rate_hz)
        Diagnostics(node, settings.source, self._health)

    def run(self, stop: threading.Event) -> None:
        """Publish until told to stop."""
        executor = SingleThreadedExecutor(context=self.node.context)
        executor.add_node(self.node)
        services = threading.Thread(target=_serve, args=(executor, stop), name="services", daemon=True)
        services.start()
        self.node.get_logger().info(f"publishing {self._settings.source}")
        while not stop.is_set():
            if frame := self._grabber.wait(WAIT_S):
                self._seen_s = time.monotonic()
                self._publish(frame)
            self._say(self._fault)
        services.join(timeout=1.0)
        executor.shutdown(timeout_sec=0.2)

    def close(self) -> None:
        """Let go of the camera."""
        if self._source:
            self._source.close()
        self._grabber.close()
        self.node.destroy_node()

    def _open(self) -> FrameSource:
        settings = self._settings
        if settings.source.startswith(TOPIC):
            self._source = TopicSource(self.node, settings.source.removeprefix(TOPIC))
            return self._source
        return open_source(
            settings.source, CaptureMode(settings.capture_width, settings.capture_height, settings.capture_rate)
        )

    def _publish(self, frame: Frame) -> None:
        begin = time.monotonic()
        try:
            image = self._prepare(frame.image)
        except DeepRacerError as error:
            self._unfit = str(error)
            return
        self._unfit = None
        stamp = to_time(frame.time_ns)
        self._image_message.header.stamp = self._info_message.header.stamp = stamp
        fill_image(self._image_message, image)
        prepared = time.monotonic()
        self._image.publish(self._image_message)
        self._info.publish(self._info_message)
        exposed = frame.time_ns * 1e-9
        self._stages.add("exposure to read", begin - exposed)
        self._stages.add("prepared", prepared - begin)
        self._stages.add("published", time.monotonic() - prepared)
        if self._last_ns:
            self._stages.add("interval", (frame.time_ns - self._last_ns) * 1e-9)
        self._published, self._last_ns = self._published + 1, frame.time_ns

    @property
    def _fault(self) -> str | None:
        silent = time.monotonic() - self._seen_s > SILENCE_S
        return self._grabber.fault or self._unfit or (f"none has come for {SILENCE_S:g} s" if silent else None)

    def _say(self, fault: str | None) -> None:
        if fault != self._said:
            self._said = fault
            logger = self.node.get_logger()
            logger.error(f"no image: {fault}") if fault else logger.info("images again")

    def _health(self) -> Health:
        grabber = self._grabber
        interval = self._stages.percentile_ms("interval", 50)
        values = {
            "images": str(self._published),
            "rate": f"{1e3 / interval:.2f} Hz" if interval else "0 Hz",
            "age": f"{(time.monotonic_ns() - self._last_ns) * 1e-6:.1f} ms" if self._last_ns else "none",
            "dropped": str(grabber.dropped),
            "unfit": str(grabber.unfit),
            **self._stages.values(),
        }
        fault = self._fault
        return Health(fault or "publishing", bool(fault), values)


def _serve(executor: SingleThreadedExecutor, stop: threading.Event) -> None:
    while not stop.is_set():
        executor.spin_once(timeout_sec=WAIT_S)
