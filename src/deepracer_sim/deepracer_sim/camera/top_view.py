"""The track from above, for reports and videos."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from deepracer_sim.camera.ground import Area, extent, paint_ground
from deepracer_sim.camera.world import World
from deepracer_sim.tracks.track import Track

OVERSAMPLING = 2
"""Painted texels per pixel in each direction."""


def top_view(world: World | Track, width_px: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Paint a world, or that of a track, as seen from above: x to the right, y upwards.

    Args:
        world: What to paint; a track stands for its world with seed 0.
        width_px: Columns of the picture, px; the rows follow from the track.

    Returns:
        RGB image (H, width_px, 3), uint8, and the affine transform (2, 3) from world to pixels:
        `points @ transform[:, :2].T + transform[:, 2]` turns points (N, 2), m, into columns and rows (N, 2), px;
        pixel centres are whole numbers.
    """
    track, seed = (world.track, world.seed) if isinstance(world, World) else (world, 0)
    x_min, y_min, x_max, y_max = extent(track)
    pixel = (x_max - x_min) / width_px
    height_px = math.ceil((y_max - y_min) / pixel)
    texel = pixel / OVERSAMPLING
    area = Area(x_min + 0.5 * texel, y_min + 0.5 * texel, texel, (height_px * OVERSAMPLING, width_px * OVERSAMPLING))
    fine = paint_ground(track, area, seed=seed)
    image = np.asarray(cv2.resize(fine, (width_px, height_px), interpolation=cv2.INTER_AREA))
    x_first, y_last = x_min + 0.5 * pixel, y_min + (height_px - 0.5) * pixel
    transform = np.array([[1.0, 0.0, -x_first], [0.0, -1.0, y_last]]) / pixel
    return np.ascontiguousarray(image[::-1]), transform
