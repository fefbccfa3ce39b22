"""The one function that turns a camera frame into what the network sees, in training, evaluation and on the car."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from deepracer_inference.config import StrictModel
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.sensors import CAMERAS, INPUTS, LIDARS, InputSpec, LidarConfig, Sensors, lidar_size

UInt8Array = npt.NDArray[np.uint8]


class ImageSpec(StrictModel):
    """The size of the images that the network sees, and the part of the camera image they are made from.

    The defaults remove 24 rows of the 160 x 120 image and reduce the rest by exactly 4 in both directions. The
    DeepRacer's camera looks 15 deg down, which puts the horizon in row 26: the removed rows never show the track.
    """

    width: int = Field(default=40, ge=8, le=640)
    """Columns of the observation (px)."""
    height: int = Field(default=24, ge=8, le=480)
    """Rows of the observation (px)."""
    crop_top: float = Field(default=0.2, ge=0.0, le=0.8)
    """Share of the camera image's height that is removed at the top."""


class ObservationSpec(ImageSpec):
    """What the network sees: the images and the sensors."""

    sensors: Sensors = ("FRONT_FACING_CAMERA",)
    """AWS's names; at least one camera and at most one lidar."""
    lidar: LidarConfig = LidarConfig()
    """Of DISCRETIZED_SECTOR_LIDAR."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image of the front camera: (height, width, 1)."""
        return self.height, self.width, 1

    @property
    def front_camera_only(self) -> bool:
        """Whether the front camera is the only sensor, so that an observation is just one image."""
        return self.sensors == ("FRONT_FACING_CAMERA",)

    @property
    def lidar_sensor(self) -> str | None:
        """The form of lidar, if there is any."""
        return next((name for name in self.sensors if name in LIDARS), None)

    @property
    def inputs(self) -> dict[str, InputSpec]:
        """Inputs of the policy graph by name, cameras first."""
        specs: dict[str, InputSpec] = {}
        for name in self.sensors:
            if name in CAMERAS:
                channels = 2 if name == "STEREO_CAMERAS" else 1
                specs[INPUTS[name]] = InputSpec((self.height, self.width, channels), "uint8")
            else:
                specs[INPUTS[name]] = InputSpec((lidar_size(name, self.lidar),), "float32")
        return specs

    @property
    def size_bytes(self) -> int:
        """Memory that one observation takes."""
        return sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in self.inputs.values())

    def cropped_rows(self, frame_height: int) -> int:
        """Return how many rows `observe` removes at the top of a frame of that height (px)."""
        return round(frame_height * self.crop_top)


def observe(frame: npt.NDArray[Any], spec: ObservationSpec) -> UInt8Array:
    """Reduce a camera frame to the network's input: crop, grey, average over areas.

    Args:
        frame: (H, W, 3) RGB, or (H, W) or (H, W, 1) grey; uint8.
        spec: Size of the result.

    Returns:
        (spec.height, spec.width, 1) uint8, a new array.

    Raises:
        DeepRacerError: The frame has another shape or type.
    """
    is_gray = frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1)
    is_rgb = frame.ndim == 3 and frame.shape[2] == 3
    if frame.dtype != np.uint8 or not (is_gray or is_rgb) or frame.size == 0:
        raise DeepRacerError(
            f"The camera frame has shape {frame.shape} and type {frame.dtype}, "
            "but (height, width, 3) RGB or (height, width) grey of type uint8 is expected"
        )
    # Row slices stay contiguous, so this copies only frames that arrive transposed or mirrored.
    kept = np.ascontiguousarray(frame[spec.cropped_rows(frame.shape[0]) :])
    # OpenCV's weights (ITU-R BT.601) are also those of the stock car's own BGR2GRAY.
    gray = cv2.cvtColor(kept, cv2.COLOR_RGB2GRAY) if is_rgb else kept.reshape(kept.shape[:2])
    reduced = cv2.resize(gray, (spec.width, spec.height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.uint8).reshape(spec.shape)
