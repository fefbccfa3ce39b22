"""The ground around a track as a picture of any resolution: road, border lines, centre dashes, textures."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepracer_sim.camera import ground_kernels as kernels
from deepracer_sim.tracks.track import Track

ImageArray = NDArray[np.uint8]

COLORS = np.array([[0.0, 195.0, 137.0], [51.0, 63.0, 72.0], [232.0, 232.0, 227.0], [255.0, 163.0, 0.0]])
"""RGB of the ground (PMS 3395), road (PMS 432), border (CMYK 0-0-2-9) and centre dashes (PMS 137), AWS's track
print specification."""
LAYERS = np.array(
    [
        [[1.3, 0.07], [0.11, 0.05], [0.02, 0.06], [0.005, 0.08]],
        [[0.9, 0.10], [0.08, 0.07], [0.013, 0.10], [0.004, 0.20]],
        [[0.9, 0.03], [0.08, 0.03], [0.013, 0.02], [0.004, 0.02]],
        [[0.9, 0.03], [0.08, 0.05], [0.013, 0.05], [0.004, 0.05]],
    ]
)
"""Noise of these four surfaces: spacing, m, and amplitude as a share of the colour. The coarsest layer is uneven light,
the finest the grain of asphalt and carpet."""
LINE_WIDTH = 0.05
"""Of the white border, inside the road's edge, m."""
DASH_WIDTH = 0.025
"""Of the centre dashes, m."""
DASH_LENGTH = 0.2
"""About that of each dash and gap, m; a lap has a whole number of both."""
MARGIN = 1.2
"""Textured ground beyond the track's bounds, m; cars leave the road by less before the referee stops them."""
FADE = 0.6
"""Width, m, of the margin's outer part over which the texture vanishes: plain ground continues it without a seam."""
BAND_ROWS = 64
"""Rows painted at once; their distances fit into the processor's cache."""
FAR = np.float32(1e3)
"""m, stands for distances that do not matter."""


@dataclass(frozen=True)
class Area:
    """A raster in the world: `shape` square texels, the first one centred at (x0, y0), rows up, columns right."""

    x0: float
    y0: float
    texel: float
    shape: tuple[int, int]


def extent(track: Track) -> tuple[float, float, float, float]:
    """Return the box of a track with its margin: x_min, y_min, x_max, y_max, m."""
    x_min, y_min, x_max, y_max = track.bounds
    return x_min - MARGIN, y_min - MARGIN, x_max + MARGIN, y_max + MARGIN


def area_around(track: Track, texel: float, multiple: int) -> Area:
    """Lay a raster over a track and its margin, with both sides rounded up to a multiple of texels."""
    x_min, y_min, x_max, y_max = extent(track)
    columns, rows = (math.ceil(side / (texel * multiple)) * multiple for side in (x_max - x_min, y_max - y_min))
    x_first = 0.5 * (x_min + x_max - (columns - 1) * texel)
    y_first = 0.5 * (y_min + y_max - (rows - 1) * texel)
    return Area(x_first, y_first, texel, (rows, columns))


def paint_ground(track: Track, area: Area, *, seed: int) -> ImageArray:
    """Paint the ground of an area.

    Edges are anti-aliased by the exact distance to them. The picture depends on the world position only, not on
    the raster, except that noise finer than a texel is left out.

    Args:
        track: The road.
        area: Where and how finely.
        seed: Of the textures.

    Returns:
        RGB (rows, columns, 3), uint8, row 0 at the lowest y.
    """
    rows, columns = area.shape
    image = np.empty((rows, columns, 3), np.uint8)

    def paint(first: int) -> None:
        _paint_band(track, area, first, seed, image[first : first + BAND_ROWS])

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(paint, range(0, rows, BAND_ROWS)):
            pass
    return image


def _paint_band(track: Track, area: Area, first: int, seed: int, band: ImageArray) -> None:
    """Paint the rows of an area from `first` on into `band` (R, columns, 3)."""
    place = (area.x0, area.y0 + first * area.texel, area.texel)
    # Wider than a texel, as edges must not become stairs where the texture is magnified.
    reach = kernels.EDGE_WIDTH * area.texel
    inside = np.zeros(band.shape[:2], np.bool_)
    edge, center, arc_length, unused = (np.full(band.shape[:2], FAR) for _ in range(4))
    no_length = np.zeros(len(track.center) + 1)
    # The inner ring lies within the outer one, so a texel on the road is inside exactly one of them.
    for ring in (track.outer, track.inner):
        kernels.toggle_inside(ring, *place, inside)
        kernels.paint_distance(ring, no_length, LINE_WIDTH + reach, *place, edge, unused)
    kernels.paint_distance(track.center, track.cumulative, DASH_WIDTH + reach, *place, center, arc_length)
    kernels.shade(
        *place,
        inside,
        edge,
        center,
        arc_length,
        COLORS,
        LAYERS,
        LINE_WIDTH,
        DASH_WIDTH,
        0.5 * track.length / max(1, round(0.5 * track.length / DASH_LENGTH)),
        np.array(extent(track)),
        FADE,
        seed,
        band,
    )
