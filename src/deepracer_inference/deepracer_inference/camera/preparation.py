"""From what a camera delivers to what the vehicle file promises: size, lens, colour."""

from __future__ import annotations

import cv2
import numpy as np

from deepracer_inference.camera.source import UInt8Array
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.lens import Rectifier
from deepracer_inference.vehicle import Camera

ASPECT_TOLERANCE = 0.02
"""The sensor of the Pi's camera has 1640 x 1232 px, which passes for 4 : 3."""


class Preparation:
    """Makes frames of the vehicle's size, seen through its pinhole."""

    def __init__(self, camera: Camera, rectifier: Rectifier | None, *, gray: bool) -> None:
        """Begin.

        Args:
            camera: Of the vehicle file.
            rectifier: For the lens of this camera; None if its image is the pinhole's already.
            gray: Whether the result is (H, W) grey instead of (H, W, 3) RGB.
        """
        self._camera, self._rectifier, self._gray = camera, rectifier, gray

    def __call__(self, image: UInt8Array) -> UInt8Array:
        """Return the prepared frame, contiguous.

        Raises:
            DeepRacerError: The camera's image has other proportions than the vehicle's.
        """
        if self._gray and image.ndim == 3:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._rectifier is not None:
            return np.ascontiguousarray(self._rectifier(image))
        height, width = image.shape[:2]
        wanted = self._camera.width_px, self._camera.height_px
        if abs(width * wanted[1] / (height * wanted[0]) - 1.0) > ASPECT_TOLERANCE:
            raise DeepRacerError(
                f"The camera's image has {width} x {height} px, which cannot be reduced to the vehicle's "
                f"{wanted[0]} x {wanted[1]} px without distortion; set capture_width and capture_height"
            )
        if (width, height) != wanted:
            # Over areas, as the simulator filters: leaving pixels out would make lines flicker.
            image = np.asarray(cv2.resize(image, wanted, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return np.ascontiguousarray(image)
