"""The track from above for videos: a picture of the road with the driven line and the car on it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Geometry
from deepracer_sim.objects import ObjectKind
from deepracer_sim.tracks.track import Track
from deepracer_training.report import style

Image = NDArray[np.uint8]

GROUND = "#10151b"
ROAD = "#313a45"
BORDER = "#aeb9c5"
CENTER = "#6c6242"
SUB_PIXEL = 4
"""OpenCV's fixed-point bits: lines are drawn to 1/16 of a pixel."""
FINER = 3
"""The road is drawn so many times larger than it is shown."""
MIN_CAR_PX = 18.0
"""On a long track the car in scale would be a dot."""
MIN_OBJECT_PX = 14.0
"""Likewise."""


class TopView:
    """Draws the road once, then the driven line step by step."""

    def __init__(self, track: Track, geometry: Geometry, width: int, height: int) -> None:
        """Draw the road.

        Args:
            track: The road.
            geometry: Of the car.
            width: Of the picture, px.
            height: Of the picture, px.
        """
        x_min, y_min, x_max, y_max = track.bounds
        margin = 0.05 * max(x_max - x_min, y_max - y_min)
        self._scale = min(width / (x_max - x_min + 2 * margin), height / (y_max - y_min + 2 * margin))
        self._middle = np.array([0.5 * (x_min + x_max), 0.5 * (y_min + y_max)])
        self._size = np.array([width, height])
        self._geometry = geometry
        self._road = self._draw_road(track)
        self._image = self._road.copy()

    def clear(self) -> None:
        """Wipe the driven line."""
        self._image = self._road.copy()

    def drive(self, start: tuple[float, float], end: tuple[float, float], speed_share: float) -> None:
        """Add a piece of the driven line.

        Args:
            start: x, y, m.
            end: x, y, m.
            speed_share: Place of the speed on the colour scale, 0 to 1.
        """
        points = self._pixels(np.array([start, end]))
        color = style.speed_color(speed_share)
        cv2.polylines(self._image, [points], False, color, 3, cv2.LINE_AA, SUB_PIXEL)

    def with_car(
        self,
        pose: tuple[float, float, float],
        objects: NDArray[np.float64] | None = None,
        kinds: Sequence[ObjectKind] = (),
    ) -> Image:
        """Return the picture with the car at x, y, yaw of `base_link`, m, m, rad.

        Args:
            pose: Of the car.
            objects: x, y, yaw of what else is on the road (M, 3).
            kinds: What that is (M).
        """
        image = self._image.copy()
        for kind, (x, y, yaw) in zip(kinds, () if objects is None else objects.tolist(), strict=objects is not None):
            self._object(image, kind, x, y, yaw)
        x, y, yaw = pose
        length = max(self._geometry.length, MIN_CAR_PX / self._scale)
        width = length * self._geometry.width / self._geometry.length
        forward, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
        at = np.array([x, y])
        body = [at + 0.5 * (a * length * forward + b * width * left) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
        nose = [at + 0.5 * length * forward, at + 0.32 * width * left, at - 0.32 * width * left]
        outline = self._pixels(np.array(body))
        cv2.fillPoly(image, [outline], (255, 255, 255), cv2.LINE_AA, SUB_PIXEL)
        cv2.polylines(image, [outline], True, style.rgb(GROUND), 1, cv2.LINE_AA, SUB_PIXEL)
        cv2.fillPoly(image, [self._pixels(np.array(nose))], style.rgb(style.RED), cv2.LINE_AA, SUB_PIXEL)
        return image

    def _object(self, image: Image, kind: ObjectKind, x: float, y: float, yaw: float) -> None:
        """Draw a box or a car of somebody else, in its own colours."""
        grow = max(1.0, MIN_OBJECT_PX / (self._scale * kind.length))
        forward, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
        for part in kind.parts:
            ahead, length, width = (grow * value for value in part[:3])
            corners = [
                np.array([x, y]) + (ahead + 0.5 * a * length) * forward + 0.5 * b * width * left
                for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
            ]
            color = tuple(round(value) for value in part[5:])
            cv2.fillPoly(image, [self._pixels(np.array(corners))], color, cv2.LINE_AA, SUB_PIXEL)

    def _draw_road(self, track: Track) -> Image:
        # Drawn larger and reduced: where many short anti-aliased lines meet, OpenCV leaves beads.
        large = np.empty((*(FINER * self._size[::-1]), 3), np.uint8)
        large[:] = style.rgb(GROUND)
        outer, inner = FINER * self._pixels(track.outer), FINER * self._pixels(track.inner)
        cv2.fillPoly(large, [outer], style.rgb(ROAD), cv2.LINE_8, SUB_PIXEL)
        cv2.fillPoly(large, [inner], style.rgb(GROUND), cv2.LINE_8, SUB_PIXEL)
        starts = np.arange(0.0, track.length, 0.5)
        dashes = np.stack([track.pose_at(starts), track.pose_at(starts + 0.25)], axis=1)[:, :, :2]
        start_line = track.pose_at([0.0, 0.0], track.half_widths[0] * (1.0, -1.0))[None, :, :2]
        for lines, closed, color, width in (
            ([outer, inner], True, style.rgb(BORDER), 2),
            ([FINER * self._pixels(dash) for dash in dashes], False, style.rgb(CENTER), 1),
            ([FINER * self._pixels(line) for line in start_line], False, (255, 255, 255), 3),
        ):
            cv2.polylines(large, lines, closed, color, FINER * width, cv2.LINE_8, SUB_PIXEL)
        return np.asarray(cv2.resize(large, self._size.tolist(), interpolation=cv2.INTER_AREA), np.uint8)

    def _pixels(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Convert points (K, 2), m, to OpenCV's fixed-point pixels."""
        offset = (points - self._middle) * (self._scale, -self._scale) + 0.5 * self._size
        return np.round(offset * (1 << SUB_PIXEL)).astype(np.int32)
