"""Surroundings of the track: a seeded hall with barrier, walls, boards and ceiling, far away all around."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from deepracer_sim.camera.ground import COLORS

FloatArray = NDArray[np.float64]

PANORAMA_SHAPE = (512, 2048)
"""Texels: rows upwards, columns along the azimuth, counter-clockwise from the x axis."""
PANORAMA_LEVELS = 6
PANORAMA_TEXEL = 2.0 * math.pi / PANORAMA_SHAPE[1]
"""rad, and the same as tangent of the elevation."""
Z_MIN = -16 * PANORAMA_TEXEL
"""Tangent of the elevation at the lower edge of row 0; the horizon is at 0."""
BARRIER = 0.062
"""Height of the barrier, tangent of the elevation: 0.75 m at 10 m from a camera 0.13 m above the ground."""
CEILING = 0.45


def paint_panorama(seed: int) -> NDArray[np.uint8]:
    """Paint the surroundings as a cylinder, RGB `(*PANORAMA_SHAPE, 3)`, row 0 lowest."""
    random = np.random.default_rng([seed, 1])
    rows, columns = PANORAMA_SHAPE
    z: FloatArray = Z_MIN + (np.arange(rows, dtype=np.float64) + 0.5) * PANORAMA_TEXEL
    image = np.empty((rows, columns, 3))
    _wall(image, z, random)
    _boards(image, z, random)
    _barrier(image, z, random)
    image[z < 0.0] = COLORS[0]
    # Softened over about a texel, wrapped around, so that edges do not crawl when the car turns.
    padded = np.concatenate([image[:, -8:], image, image[:, :8]], axis=1)
    soft = np.asarray(cv2.GaussianBlur(padded, (5, 5), 0.8))[:, 8:-8]
    return np.clip(soft + 0.5, 0.0, 255.0).astype(np.uint8)


def _span(low: float, high: float, z: FloatArray) -> slice:
    """Return the rows between two heights."""
    return slice(int(np.searchsorted(z, low)), int(np.searchsorted(z, high)))


def _around(center: float, width: float) -> NDArray[np.int64]:
    """Return the columns of an azimuth range, rad, wrapped around."""
    first = round((center - 0.5 * width) / PANORAMA_TEXEL)
    return np.arange(first, first + max(1, round(width / PANORAMA_TEXEL))) % PANORAMA_SHAPE[1]


def _wall(image: FloatArray, z: FloatArray, random: np.random.Generator) -> None:
    """Fill with a lit wall, pillars and a dark ceiling with lamps."""
    azimuth = (np.arange(image.shape[1]) + 0.5) * PANORAMA_TEXEL
    light = 1.0 + sum(0.07 / k * np.sin(k * azimuth + random.uniform(0.0, 2.0 * math.pi)) for k in (1, 2, 3, 5))
    height = np.clip(z / CEILING, 0.0, 1.0)
    color = np.outer(1.0 - height, [186.0, 184.0, 176.0]) + np.outer(height, [140.0, 142.0, 146.0])
    image[:] = color[:, None, :] * np.asarray(light)[None, :, None]
    for k in range(24):
        image[_span(0.0, CEILING, z), _around(k * math.pi / 12.0, 0.007)] *= 0.86
    for k in range(8):
        image[_span(0.0, CEILING, z), _around((k + random.uniform(0.2, 0.8)) * math.pi / 4.0, 0.045)] *= 0.72
    ceiling = _span(CEILING, math.inf, z)
    image[ceiling] = [72.0, 74.0, 80.0]
    for k in range(16):
        image[_span(0.55 + 0.1 * (k % 3), 0.6 + 0.1 * (k % 3), z), _around(k * math.pi / 8.0, 0.22)] = 235.0


def _boards(image: FloatArray, z: FloatArray, random: np.random.Generator) -> None:
    """Hang boards and banners on the wall."""
    blue, red, dark, white = [38.0, 62.0, 112.0], [150.0, 44.0, 40.0], [44.0, 48.0, 54.0], [206.0, 208.0, 204.0]
    ochre, green, violet = [188.0, 142.0, 54.0], [58.0, 104.0, 92.0], [118.0, 96.0, 142.0]
    palette = np.array([blue, red, dark, white, ochre, green, violet])
    for k in range(22):
        center = (k + random.uniform(0.1, 0.9)) * 2.0 * math.pi / 22
        width = random.uniform(0.06, 0.22)
        low = random.uniform(0.085, 0.14)
        high = low + random.uniform(0.04, 0.17)
        color = palette[random.integers(len(palette))] * random.uniform(0.85, 1.1)
        columns = _around(center, width)
        image[_span(low, high, z), columns] = color
        middle = 0.5 * (low + high)
        if random.random() < 0.6:
            stripe = _span(middle - 0.006, middle + 0.006, z)
            image[stripe, _around(center, 0.7 * width)] = 0.4 * color + 0.6 * np.array([225.0, 225.0, 220.0])


def _barrier(image: FloatArray, z: FloatArray, random: np.random.Generator) -> None:
    """Stand a low barrier of panels before the wall, darker at the floor, with a rail on top."""
    panels = 56
    width = 2.0 * math.pi / panels
    height = _span(0.0, BARRIER, z)
    for k in range(panels):
        columns = _around((k + 0.5) * width, width)
        shade = random.uniform(0.85, 1.1)
        color = np.array([84.0, 90.0, 98.0]) if k % 2 else np.array([62.0, 68.0, 78.0])
        if random.random() < 0.2:
            color = np.array([[164.0, 58.0, 44.0], [52.0, 82.0, 140.0], [190.0, 150.0, 60.0]])[random.integers(3)]
        image[height, columns] = color * shade
        image[height, _around(k * width, 0.006)] = [34.0, 36.0, 40.0]
    image[_span(BARRIER - 0.008, BARRIER, z)] = [150.0, 152.0, 154.0]
    foot = np.clip(z / 0.03, 0.0, 1.0)[height, None, None]
    image[height] *= 0.6 + 0.4 * foot
