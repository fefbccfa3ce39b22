"""Compiled painting of the ground: distances to the track's lines, the road's inside, seeded noise, colours.

All work on a band of texel rows. Texel (r, c) of a band is the square around x = x0 + c * texel, y = y0 + r * texel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BandArray = NDArray[np.float32]

EDGE_WIDTH = 1.4
"""Texels over which an edge goes from one colour to the other; with 1 it looks like stairs when magnified."""


@njit(cache=True, nogil=True)
def paint_distance(
    line: FloatArray,
    cumulative: FloatArray,
    reach: float,
    x0: float,
    y0: float,
    texel: float,
    distance: BandArray,
    arc_length: BandArray,
) -> None:
    """Lower `distance` (R, C) to the distance from a closed line wherever that is at most `reach`.

    Args:
        line: Corners (M, 2), m; the last one connects to the first.
        cumulative: Arc length at each corner and, last, the whole length (M + 1,), m.
        reach: m.
        x0: x of the first column's centre, m.
        y0: y of the first row's centre, m.
        texel: Spacing, m.
        distance: In and out, m.
        arc_length: Out, (R, C): where along the line its nearest point is, m.
    """
    rows, columns = distance.shape
    count = line.shape[0]
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        ax, ay = line[i, 0], line[i, 1]
        dx, dy = line[j, 0] - ax, line[j, 1] - ay
        length = math.sqrt(dx * dx + dy * dy)
        inverse = 1.0 / (length * length) if length > 0.0 else 0.0
        first = max(0, math.ceil((min(ay, ay + dy) - reach - y0) / texel))
        last = min(rows - 1, math.floor((max(ay, ay + dy) + reach - y0) / texel))
        left = max(0, math.ceil((min(ax, ax + dx) - reach - x0) / texel))
        right = min(columns - 1, math.floor((max(ax, ax + dx) + reach - x0) / texel))
        for r in range(first, last + 1):
            py = y0 + r * texel - ay
            for c in range(left, right + 1):
                px = x0 + c * texel - ax
                share = min(max((px * dx + py * dy) * inverse, 0.0), 1.0)
                ex = px - share * dx
                ey = py - share * dy
                d = math.sqrt(ex * ex + ey * ey)
                if d <= reach and d < distance[r, c]:
                    distance[r, c] = d
                    arc_length[r, c] = cumulative[i] + share * length


@njit(cache=True, nogil=True)
def toggle_inside(ring: FloatArray, x0: float, y0: float, texel: float, inside: NDArray[np.bool_]) -> None:
    """Invert `inside` (R, C) at all texel centres within a closed ring (M, 2), by the crossings of each texel row."""
    rows, columns = inside.shape
    count = ring.shape[0]
    crossings = np.empty(count)
    for r in range(rows):
        y = y0 + r * texel
        found = 0
        j = count - 1
        for i in range(count):
            if (ring[i, 1] > y) != (ring[j, 1] > y):
                slope = (ring[j, 0] - ring[i, 0]) / (ring[j, 1] - ring[i, 1])
                crossings[found] = slope * (y - ring[i, 1]) + ring[i, 0]
                found += 1
            j = i
        ordered = np.sort(crossings[:found])
        for k in range(0, found - 1, 2):
            begin = max(0, math.ceil((ordered[k] - x0) / texel))
            end = min(columns, math.ceil((ordered[k + 1] - x0) / texel))
            for c in range(begin, end):
                inside[r, c] = not inside[r, c]


@njit(cache=True, nogil=True)
def lattice_value(i: int, j: int, seed: int) -> float:
    """Return the random value of one lattice point, uniform in [-1, 1) (a 32-bit integer hash, "lowbias32")."""
    h = np.uint32(np.uint32(i) * np.uint32(0x9E3779B1)) ^ np.uint32(np.uint32(j) * np.uint32(0x85EBCA77))
    h = np.uint32(h ^ np.uint32(seed))
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    return np.int32(h) * (1.0 / 2147483648.0)


@njit(cache=True, nogil=True)
def noise(x: float, y: float, spacing: float, seed: int) -> float:
    """Return smooth noise in [-1, 1) that interpolates a random lattice of the given spacing, m."""
    fx, fy = x / spacing, y / spacing
    i, j = math.floor(fx), math.floor(fy)
    fx -= i
    fy -= j
    fx = fx * fx * (3.0 - 2.0 * fx)
    fy = fy * fy * (3.0 - 2.0 * fy)
    lower = lattice_value(i, j, seed) * (1.0 - fx) + lattice_value(i + 1, j, seed) * fx
    upper = lattice_value(i, j + 1, seed) * (1.0 - fx) + lattice_value(i + 1, j + 1, seed) * fx
    return lower * (1.0 - fy) + upper * fy


@njit(cache=True, nogil=True)
def texture(x: float, y: float, layers: FloatArray, texel: float, seed: int) -> float:
    """Sum layers of noise (K, 2), each a spacing, m, and an amplitude; their mean is zero.

    Layers finer than a texel are left out: a texel shows their mean.
    """
    total = 0.0
    for k in range(layers.shape[0]):
        if layers[k, 0] >= 0.75 * texel:
            total += layers[k, 1] * noise(x, y, layers[k, 0], seed + 7919 * k)
    return total


@njit(cache=True, nogil=True)
def coverage(depth: float, texel: float) -> float:
    """Return how far a texel belongs to the inner side of an edge `depth` m away, + = its centre is inside."""
    return min(max(depth / (EDGE_WIDTH * texel) + 0.5, 0.0), 1.0)


@njit(cache=True, nogil=True)
def shade(
    x0: float,
    y0: float,
    texel: float,
    inside: NDArray[np.bool_],
    edge: BandArray,
    center: BandArray,
    arc_length: BandArray,
    colors: FloatArray,
    layers: FloatArray,
    line_width: float,
    dash_width: float,
    dash_length: float,
    extent: FloatArray,
    fade: float,
    seed: int,
    out: NDArray[np.uint8],
) -> None:
    """Colour a band of texels `out` (R, C, 3).

    Args:
        x0: x of the first column's centre, m.
        y0: y of the first row's centre, m.
        texel: Spacing, m.
        inside: Whether the texel's centre is on the road (R, C).
        edge: Distance to the nearest edge of the road (R, C), m; large where it does not matter.
        center: Distance to the centre line (R, C), m, likewise.
        arc_length: Where along the centre line that is (R, C), m.
        colors: Of ground, road, border line and centre dashes (4, 3), RGB 0..255.
        layers: Noise of the same four surfaces (4, K, 2): spacing, m, and amplitude as a share of the colour.
        line_width: Of the border line inside the road's edge, m.
        dash_width: m.
        dash_length: Of each dash and each gap, m.
        extent: x_min, y_min, x_max, y_max of the area with texture, m.
        fade: Width, m, over which the ground's texture vanishes towards the extent's edge.
        seed: Of the noise.
        out: Result.
    """
    rows, columns = inside.shape
    for r in range(rows):
        y = y0 + r * texel
        for c in range(columns):
            x = x0 + c * texel
            depth = edge[r, c] if inside[r, c] else -edge[r, c]
            road = coverage(depth, texel)
            asphalt = coverage(depth - line_width, texel)
            along = arc_length[r, c] % (2.0 * dash_length)
            dash = coverage(0.5 * dash_width - center[r, c], texel)
            dash *= coverage(min(along, dash_length - along), texel) * asphalt
            ground, line, surface = 0.0, 0.0, 0.0
            if road < 1.0:
                border = min(min(x - extent[0], extent[2] - x), min(y - extent[1], extent[3] - y))
                strength = min(max(border / fade, 0.0), 1.0)
                ground = (1.0 - road) * (1.0 + strength * texture(x, y, layers[0], texel, seed))
            if asphalt > dash:
                surface = (asphalt - dash) * (1.0 + texture(x, y, layers[1], texel, seed + 1))
            if road > asphalt:
                line = (road - asphalt) * (1.0 + texture(x, y, layers[2], texel, seed + 2))
            if dash > 0.0:
                dash *= 1.0 + texture(x, y, layers[3], texel, seed + 3)
            for k in range(3):
                color = ground * colors[0, k] + surface * colors[1, k] + line * colors[2, k] + dash * colors[3, k]
                out[r, c, k] = np.uint8(min(max(color + 0.5, 0.0), 255.0))
