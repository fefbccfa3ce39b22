"""Rectification: the picture of a real, wide-angle lens becomes that of the pinhole camera a model learned with.

The file is the one that ROS's `camera_calibration` writes, so its tools calibrate the lens and RViz reads the result.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import Field, model_validator

from deepracer_inference.config import load_yaml
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import home
from deepracer_inference.vehicle import Camera

UInt8Array = npt.NDArray[np.uint8]

_COEFFICIENTS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
_MAX_BLIND_SHARE = 0.01
"""Share of the pinhole's picture that the lens need not cover: corners, by an inexact calibration."""


class _Matrix(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    data: tuple[float, ...]


class Lens(pydantic.BaseModel):
    """Intrinsics of a real camera, as in a ROS camera calibration file (`camera_calibration_parsers`)."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    image_width: Annotated[int, Field(ge=8, le=8192)]
    image_height: Annotated[int, Field(ge=8, le=8192)]
    distortion_model: Literal["plumb_bob", "rational_polynomial", "equidistant"]
    """`equidistant` is OpenCV's fisheye model; the others are its pinhole model with 5 and 8 coefficients."""
    camera_matrix: _Matrix
    distortion_coefficients: _Matrix

    @model_validator(mode="after")
    def _check_sizes(self) -> Lens:
        matrix = self.camera_matrix.data
        if len(matrix) != 9 or matrix[0] <= 0.0 or matrix[4] <= 0.0:
            raise ValueError("camera_matrix.data must have 9 numbers, with focal lengths above 0 as 1st and 5th")
        expected = _COEFFICIENTS[self.distortion_model]
        if len(self.distortion_coefficients.data) != expected:
            raise ValueError(
                f"distortion_coefficients.data has {len(self.distortion_coefficients.data)} numbers, "
                f"but {expected} are expected for {self.distortion_model}"
            )
        return self

    @classmethod
    def equidistant(cls, width_px: int, height_px: int, horizontal_fov: float) -> Lens:
        """Return an ideal fisheye lens: equal angles are equal distances from the middle of the picture.

        Args:
            width_px: Of the picture.
            height_px: Of the picture.
            horizontal_fov: From its left to its right edge (rad).
        """
        focal = width_px / horizontal_fov
        matrix = (focal, 0.0, (width_px - 1) / 2, 0.0, focal, (height_px - 1) / 2, 0.0, 0.0, 1.0)
        return cls(
            image_width=width_px,
            image_height=height_px,
            distortion_model="equidistant",
            camera_matrix=_Matrix(data=matrix),
            distortion_coefficients=_Matrix(data=(0.0,) * 4),
        )


class Rectifier:
    """Turns frames of one lens into frames of one pinhole camera; built once, then called for every frame."""

    def __init__(self, lens: Lens, camera: Camera) -> None:
        """Compute where each pixel comes from.

        Raises:
            UserError: The lens does not see everything that the pinhole camera shows.
        """
        self._shape = (lens.image_height, lens.image_width)
        self._size = (camera.width_px, camera.height_px)
        # Several rays for each pixel, averaged afterwards: picking single pixels would show grain that no model knows.
        factor = max(1, round(lens.image_width / camera.width_px))
        size = (factor * camera.width_px, factor * camera.height_px)
        focal = factor * camera.focal_px
        pinhole = np.array([[focal, 0.0, (size[0] - 1) / 2], [0.0, focal, (size[1] - 1) / 2], [0.0, 0.0, 1.0]])
        matrix = np.reshape(lens.camera_matrix.data, (3, 3))
        coefficients = np.array(lens.distortion_coefficients.data)
        initialise: Any = (
            cv2.fisheye.initUndistortRectifyMap
            if lens.distortion_model == "equidistant"
            else cv2.initUndistortRectifyMap
        )
        x, y = initialise(matrix, coefficients, np.eye(3), pinhole, size, cv2.CV_32FC1)
        outside = (x < -0.5) | (y < -0.5) | (x > lens.image_width - 0.5) | (y > lens.image_height - 0.5)
        if (share := float(outside.mean())) > _MAX_BLIND_SHARE:
            raise UserError(
                f"The lens does not show {100 * share:.0f} % of the {math.degrees(camera.horizontal_fov):.0f} degrees "
                "that the model's camera sees; calibrate the lens again, or mount one with a wider angle"
            )
        # Fixed-point maps are twice as fast as floating-point ones.
        self._place, self._fraction = cv2.convertMaps(x, y, cv2.CV_16SC2)

    def __call__(self, frame: npt.NDArray[Any]) -> UInt8Array:
        """Rectify one frame.

        Args:
            frame: (H, W) or (H, W, 3) uint8 of the size that the lens was calibrated with.

        Returns:
            The same scene in the size of the pinhole camera.

        Raises:
            DeepRacerError: The frame has another size.
        """
        if frame.shape[:2] != self._shape:
            raise DeepRacerError(
                f"The camera delivers {frame.shape[1]} x {frame.shape[0]} pixels, "
                f"but its lens was calibrated with {self._shape[1]} x {self._shape[0]}"
            )
        wide = cv2.remap(frame, self._place, self._fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if wide.shape[1::-1] == self._size:
            return np.asarray(wide, np.uint8)
        return np.asarray(cv2.resize(wide, self._size, interpolation=cv2.INTER_AREA), np.uint8)


def lens_path() -> Path:
    """Return the place of this car's camera calibration."""
    return home() / "car" / "camera.yaml"


def load_lens(path: Path | None = None) -> Lens | None:
    """Return the calibration of the lens; None if `path` is omitted and this car has none.

    Raises:
        UserError: The file cannot be read or is not a camera calibration.
    """
    file = path.expanduser() if path else lens_path()
    if path is None and not file.exists():
        return None
    return load_yaml(file, Lens)
