"""Where frames come from: V4L2, a GStreamer pipeline, a recorded video or a folder of images, all through OpenCV."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from deepracer_inference.errors import DeepRacerError, UserError

UInt8Array = npt.NDArray[np.uint8]

VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
STAMP_WINDOW_S = 0.5
"""A driver's time stamp is believed if it is not older than this; some drivers give none, or another clock's."""
LIBCAMERA = (
    "libcamerasrc ! video/x-raw,width={width},height={height},framerate={rate}/1 ! videoconvert ! "
    "video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
)
"""For the Raspberry Pi's cameras, which have no plain V4L2 stream."""


@dataclass(frozen=True)
class Frame:
    """One image and the moment of its exposure."""

    image: UInt8Array
    """(H, W, 3) RGB or (H, W) grey."""
    time_ns: int
    """On the monotonic clock, which nobody sets: `time.monotonic_ns()`."""


class FrameSource(Protocol):
    """Something that delivers frames."""

    live: bool
    """Whether its frames carry the noise of a sensor, so that two equal ones mean that it is frozen."""

    def read(self) -> Frame:
        """Wait for the next frame.

        Raises:
            DeepRacerError: There is no further one.
        """
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


@dataclass(frozen=True)
class CaptureMode:
    """What a camera is asked for; it may answer with what it can."""

    width: int
    height: int
    rate_hz: float


def open_source(name: str, mode: CaptureMode) -> FrameSource:
    """Open a source of frames.

    Args:
        name: `0` or `/dev/video0` (V4L2), `libcamera`, a GStreamer pipeline (with `!`), a video file,
            or a folder of images.
        mode: What a camera is asked for, and the rate at which recorded frames are delivered.

    Raises:
        UserError: There is no such source, or it cannot be opened.
    """
    if name.isdecimal() or name.startswith("/dev/"):
        return V4l2Source(name if name.startswith("/dev/") else f"/dev/video{name}", mode)
    if name == "libcamera" or "!" in name:
        pipeline = LIBCAMERA.format(width=mode.width, height=mode.height, rate=round(mode.rate_hz))
        return PipelineSource(pipeline if name == "libcamera" else name)
    path = Path(name).expanduser()
    if path.is_dir():
        return FolderSource(path, mode.rate_hz)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSource(path, mode.rate_hz)
    raise UserError(
        f"'{name}' is no camera: give a number or /dev/video..., libcamera, a GStreamer pipeline, "
        f"a video ({', '.join(VIDEO_SUFFIXES)}) or a folder of images that exists"
    )


class V4l2Source:
    """A camera with a Video4Linux driver, as the DeepRacer's and every USB camera."""

    live = True

    def __init__(self, device: str, mode: CaptureMode) -> None:
        """Open it; MJPEG, because USB 2 cannot carry more than 10 raw frames of 640 x 480 per second and camera."""
        self._device = device
        if not Path(device).exists():
            found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
            raise UserError(f"There is no camera {device}; connected are: {found}")
        self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise UserError(
                f"The camera {device} cannot be opened: another program uses it, or this user is not in the group video"
            )
        for key, value in (
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
            (cv2.CAP_PROP_FRAME_WIDTH, mode.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, mode.height),
            (cv2.CAP_PROP_FPS, mode.rate_hz),
            # Two: one is filled while the other is read. Four, the default, add frames of latency.
            (cv2.CAP_PROP_BUFFERSIZE, 2),
        ):
            self._capture.set(key, value)

    def read(self) -> Frame:
        """Wait for the next frame."""
        if not self._capture.grab():
            raise DeepRacerError(f"The camera {self._device} delivers no more images; check its cable")
        taken = exposure_ns(self._capture.get(cv2.CAP_PROP_POS_MSEC), time.monotonic_ns())
        whole, image = self._capture.retrieve()
        if not whole:
            raise DeepRacerError(f"The camera {self._device} delivered an image that cannot be decoded")
        return Frame(_to_rgb(image), taken)

    def close(self) -> None:
        """Let go of the device."""
        self._capture.release()


class PipelineSource:
    """A GStreamer pipeline that ends in an appsink."""

    live = True

    def __init__(self, pipeline: str) -> None:
        """Start it."""
        if "GStreamer" not in _backends():
            raise UserError(
                "This OpenCV has no GStreamer, so it cannot run a pipeline; "
                "install python3-opencv of the system instead of the one from PyPI (docs/hardware.md)"
            )
        self._pipeline = pipeline
        self._capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        if not self._capture.isOpened():
            raise UserError(f"GStreamer cannot start this pipeline; try it with gst-launch-1.0: {pipeline}")

    def read(self) -> Frame:
        """Wait for the next frame."""
        whole, image = self._capture.read()
        if not whole:
            raise DeepRacerError(f"The pipeline delivers no more images: {self._pipeline}")
        return Frame(_to_rgb(image), time.monotonic_ns())

    def close(self) -> None:
        """End the pipeline."""
        self._capture.release()


class VideoSource:
    """A recorded video in an endless loop, at the rate of the camera it stands in for."""

    live = False

    def __init__(self, path: Path, rate_hz: float) -> None:
        """Open it."""
        if not path.is_file():
            raise UserError(f"There is no video {path}")
        self._path, self._pace = path, _Pace(rate_hz)
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise UserError(f"{path} is not a video that OpenCV can read")

    def read(self) -> Frame:
        """Wait until the next frame is due."""
        whole, image = self._capture.read()
        if not whole:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            whole, image = self._capture.read()
        if not whole:
            raise DeepRacerError(f"{self._path} holds no image that can be decoded")
        self._pace.wait()
        return Frame(_to_rgb(image), time.monotonic_ns())

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class FolderSource:
    """The images of a folder in the order of their names, in an endless loop."""

    live = False

    def __init__(self, folder: Path, rate_hz: float) -> None:
        """List them."""
        self._files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        if not self._files:
            raise UserError(f"The folder {folder} holds no images ({', '.join(IMAGE_SUFFIXES)})")
        self._next, self._pace = 0, _Pace(rate_hz)

    def read(self) -> Frame:
        """Wait until the next image is due."""
        file = self._files[self._next % len(self._files)]
        self._next += 1
        image = cv2.imread(str(file))
        if image is None:
            raise DeepRacerError(f"{file} is not an image that OpenCV can read")
        self._pace.wait()
        return Frame(_to_rgb(image), time.monotonic_ns())

    def close(self) -> None:
        """Nothing is open."""


class _Pace:
    """Waits so that frames come at a rate; time lost is not made up for."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._due = -math.inf

    def wait(self) -> None:
        now = time.monotonic()
        if self._due > now:
            time.sleep(self._due - now)
        self._due = max(self._due, now) + self._period_s


def exposure_ns(position_ms: float, now_ns: int) -> int:
    """Return the time of an exposure: the V4L2 driver's, which OpenCV reports as position (ms), if that is credible."""
    if math.isfinite(position_ms):
        stamp = round(position_ms * 1e6)
        if 0 <= now_ns - stamp <= STAMP_WINDOW_S * 1e9:
            return stamp
    return now_ns


def _to_rgb(image: npt.NDArray[Any]) -> UInt8Array:
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image
    return np.asarray(rgb, dtype=np.uint8)


def _backends() -> list[str]:
    lines = [line.split(":") for line in cv2.getBuildInformation().splitlines() if ":" in line]
    return [parts[0].strip() for parts in lines if "YES" in parts[1]]
