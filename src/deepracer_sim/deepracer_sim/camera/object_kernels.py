"""Compiled drawing of cuboids over a finished image: nearer ones over farther ones, edges by the area they cover.

Objects stand on the ground apart from each other, and the parts of an object lie one above the other. So there is
always an order in which each hides only what was drawn before, and no pixel needs a depth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 0.01
"""m; what is nearer to the lens is cut off."""
MAX_DISTANCE = 60.0
"""m; objects beyond are smaller than a pixel."""
SUN = 2.2
"""Direction that the light comes from, rad from the world's x axis."""
TOP_LIGHT, BOTTOM_LIGHT, SIDE_LIGHT, SIDE_SPREAD = 1.0, 0.35, 0.66, 0.17
"""Share of its colour that a face shows; sides brighten towards the sun by the cosine of the angle."""
MOST_CORNERS = 8
"""Of a face that is cut at the lens."""

AHEAD, LENGTH, WIDTH, LOW, HIGH = range(5)
"""Columns of a part, m."""


class View(NamedTuple):
    """Where the camera is on the car, and which part of its picture the pixels show."""

    mount_x: float
    mount_y: float
    height: float
    """Above the ground, m."""
    cos: float
    """Of the pitch."""
    sin: float
    focal_px: float
    """In pixels of the camera, as the next four."""
    column_px: float
    """Width of a column of the image."""
    row_px: float
    left_px: float
    """From the image's left edge to the optical axis."""
    top_px: float
    """From the image's upper edge to the optical axis."""
    sub_rows: int
    """Lines at which a row's coverage is measured."""
    reach: float
    """Tangent of half the horizontal field of view."""


class Parts(NamedTuple):
    """The cuboids of all objects."""

    shape: NDArray[np.float64]
    """Offset ahead, length, width, lower and upper end (P, 5), m."""
    first: NDArray[np.int64]
    """First part of each object and, last, their number (M + 1,)."""
    footprint: NDArray[np.float64]
    """Length and width of each object (M, 2), m."""


@njit(cache=True, nogil=True)
def draw_objects(
    view: View,
    cars: NDArray[np.float64],
    objects: NDArray[np.float64],
    solid: NDArray[np.bool_],
    parts: Parts,
    colors: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Draw the objects of each car over its image.

    Args:
        view: The camera.
        cars: x, y, yaw of `base_link` (N, 3), m, m, rad.
        objects: x, y, yaw of the middle of each car's objects (N, M, 3).
        solid: Whether an object is there (N, M).
        parts: Of the objects.
        colors: Of the parts (P, C), 0..255.
        out: Images (N, H, W, C), in and out.
    """
    count = objects.shape[1]
    near = np.empty((count, 5))
    order = np.empty(count, np.int64)
    cover = np.zeros(out.shape[1:3], np.float32)
    light = np.zeros(out.shape[1:3], np.float32)
    for n in range(cars.shape[0]):
        cos, sin = math.cos(cars[n, 2]), math.sin(cars[n, 2])
        camera_x = cars[n, 0] + cos * view.mount_x - sin * view.mount_y
        camera_y = cars[n, 1] + sin * view.mount_x + cos * view.mount_y
        visible = 0
        for m in range(count):
            if not solid[n, m]:
                continue
            dx, dy = objects[n, m, 0] - camera_x, objects[n, m, 1] - camera_y
            near[m, 0] = cos * dx + sin * dy
            near[m, 1] = -sin * dx + cos * dy
            near[m, 2] = objects[n, m, 2] - cars[n, 2]
            radius = 0.5 * math.hypot(parts.footprint[m, 0], parts.footprint[m, 1])
            ahead = near[m, 0] + radius
            if ahead < NEAR or ahead > MAX_DISTANCE or abs(near[m, 1]) - radius > (ahead + view.height) * view.reach:
                continue
            order[visible] = m
            visible += 1
        if visible > 1:
            for i in range(visible):
                spread(near[order[i]], parts.footprint[order[i]])
        for i in range(visible):
            # Few objects are in view; the next is one that hides none of those still to be drawn. Seen from one point,
            # upright things apart from each other always leave one; only ghosts that overlap may not.
            chosen = i
            for j in range(i, visible):
                free = True
                for k in range(i, visible):
                    if k != j and hides(near, parts.footprint, order[j], order[k]):
                        free = False
                        break
                if free:
                    chosen = j
                    break
            m = order[chosen]
            order[chosen] = order[i]
            draw_object(view, near[m], parts, m, colors, SUN - cars[n, 2], cover, light, out[n])


@njit(cache=True, nogil=True)
def spread(near: NDArray[np.float64], footprint: NDArray[np.float64]) -> None:
    """Write into `near` (5,) of an object between which directions, rad to the left of ahead, the lens sees it."""
    middle = math.atan2(near[1], near[0])
    cos, sin = math.cos(near[2]), math.sin(near[2])
    near[3] = near[4] = middle
    for corner in range(4):
        a = (0.5 if corner < 2 else -0.5) * footprint[0]
        b = (0.5 if corner % 2 == 0 else -0.5) * footprint[1]
        x, y = near[0] + cos * a - sin * b, near[1] + sin * a + cos * b
        turn = math.atan2(near[0] * y - near[1] * x, near[0] * x + near[1] * y)
        near[3] = min(near[3], middle + turn)
        near[4] = max(near[4], middle + turn)


@njit(cache=True, nogil=True)
def hides(near: NDArray[np.float64], footprint: NDArray[np.float64], a: int, b: int) -> bool:
    """Tell whether object `a` must be drawn after `b`: whether both lie in one direction, and `b` behind a side of `a`.

    Args:
        near: x ahead, y left, yaw, and the directions of the right and the left edge, of each object; see `spread`.
        footprint: Length and width of each object.
        a: One of them.
        b: Another one.
    """
    around = near[b, 3] - near[a, 3]
    shift = 2.0 * math.pi * math.floor(around / (2.0 * math.pi) + 0.5)
    if near[b, 3] - shift >= near[a, 4] or near[b, 4] - shift <= near[a, 3]:
        return False
    for k in range(2):
        one, other = (a, b) if k == 0 else (b, a)
        cos, sin = math.cos(near[one, 2]), math.sin(near[one, 2])
        dx, dy = near[other, 0] - near[one, 0], near[other, 1] - near[one, 1]
        turn = near[other, 2] - near[one, 2]
        ahead, across = abs(math.cos(turn)), abs(math.sin(turn))
        length, width = footprint[other, 0], footprint[other, 1]
        for axis in range(2):
            # Both in the frame of the one: how far its side is, where the other begins, and where the camera is.
            gap = cos * dx + sin * dy if axis == 0 else -sin * dx + cos * dy
            camera = (
                -(cos * near[one, 0] + sin * near[one, 1]) if axis == 0 else (sin * near[one, 0] - cos * near[one, 1])
            )
            half = 0.5 * (length * ahead + width * across) if axis == 0 else 0.5 * (length * across + width * ahead)
            side = 0.5 * footprint[one, axis]
            if abs(gap) - half >= side:
                beyond = camera > side if gap > 0.0 else camera < -side
                return (one == b) if beyond else (one == a)
    return math.hypot(near[a, 0], near[a, 1]) < math.hypot(near[b, 0], near[b, 1])


@njit(cache=True, nogil=True)
def draw_object(
    view: View,
    near: NDArray[np.float64],
    parts: Parts,
    m: int,
    colors: NDArray[np.float32],
    sun: float,
    cover: NDArray[np.float32],
    light: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Draw one object, at `near` (x ahead, y left, yaw) of the camera, into an image (H, W, C); `sun` is relative."""
    faces = np.empty((6, MOST_CORNERS, 2))
    corners = np.empty(6, np.int64)
    shades = np.empty(6, np.float32)
    first, last = parts.first[m], parts.first[m + 1]
    low, high = first, last - 1
    while low <= high:
        # From both ends of the stack towards the camera's height.
        p = low
        if parts.shape[low, HIGH] <= view.height or low == high:
            low += 1
        else:
            p = high
            high -= 1
        count = place_faces(view, near, parts.shape[p], sun, faces, corners, shades)
        fill(view, faces, corners, shades, count, colors[p], cover, light, out)


@njit(cache=True, nogil=True)
def place_faces(
    view: View,
    near: NDArray[np.float64],
    shape: NDArray[np.float64],
    sun: float,
    faces: NDArray[np.float64],
    corners: NDArray[np.int64],
    shades: NDArray[np.float32],
) -> int:
    """Project the faces of a cuboid that look at the camera; return their number.

    Args:
        view: The camera.
        near: x ahead, y left, yaw of the object.
        shape: Of the part (5,).
        sun: Direction of the light in the camera's frame, rad.
        faces: Out (6, `MOST_CORNERS`, 2): corners in pixels, column and row.
        corners: Out: their number (6,).
        shades: Out: light on them (6,).
    """
    cos, sin = math.cos(near[2]), math.sin(near[2])
    x = near[0] + cos * shape[AHEAD]
    y = near[1] + sin * shape[AHEAD]
    half_length, half_width = 0.5 * shape[LENGTH], 0.5 * shape[WIDTH]
    upper, lower = view.height - shape[HIGH], view.height - shape[LOW]
    ring = np.empty((4, 2))  # front left, front right, rear right, rear left
    for k in range(4):
        a = half_length if k < 2 else -half_length
        b = half_width if k == 0 or k == 3 else -half_width
        ring[k, 0] = x + cos * a - sin * b
        ring[k, 1] = y + sin * a + cos * b
    quad = np.empty((4, 3))
    count = 0
    for k in range(4):  # front, right, rear, left
        nx, ny = (cos, sin) if k % 2 == 0 else (sin, -cos)
        if k >= 2:
            nx, ny = -nx, -ny
        after = (k + 1) % 4
        if ring[k, 0] * nx + ring[k, 1] * ny >= 0.0:
            continue
        for c in range(4):
            r = k if c == 0 or c == 3 else after
            quad[c, 0] = ring[r, 0]
            quad[c, 1] = ring[r, 1]
            quad[c, 2] = upper if c < 2 else lower
        corners[count] = project(view, quad, faces[count])
        shades[count] = SIDE_LIGHT + SIDE_SPREAD * (nx * math.cos(sun) + ny * math.sin(sun))
        count += 1
    if upper > 0.0 or lower < 0.0:
        for c in range(4):
            quad[c, 0] = ring[c, 0]
            quad[c, 1] = ring[c, 1]
            quad[c, 2] = upper if upper > 0.0 else lower
        corners[count] = project(view, quad, faces[count])
        shades[count] = TOP_LIGHT if upper > 0.0 else BOTTOM_LIGHT
        count += 1
    return count


@njit(cache=True, nogil=True)
def project(view: View, quad: NDArray[np.float64], face: NDArray[np.float64]) -> int:
    """Bring a quadrangle (4, 3), m ahead, left and below of the lens, into the image; return its number of corners."""
    count = 0
    for c in range(4):
        d = (c + 1) % 4
        depth = quad[c, 0] * view.cos + quad[c, 2] * view.sin
        following = quad[d, 0] * view.cos + quad[d, 2] * view.sin
        for k in range(2):
            share = 0.0
            if k == 0:
                if depth < NEAR:
                    continue
            else:
                if (depth < NEAR) == (following < NEAR):
                    continue
                share = (NEAR - depth) / (following - depth)
            ahead = quad[c, 0] + share * (quad[d, 0] - quad[c, 0])
            left = quad[c, 1] + share * (quad[d, 1] - quad[c, 1])
            down = quad[c, 2] + share * (quad[d, 2] - quad[c, 2])
            scale = view.focal_px / (ahead * view.cos + down * view.sin)
            face[count, 0] = (view.left_px - left * scale) / view.column_px
            face[count, 1] = (view.top_px + (down * view.cos - ahead * view.sin) * scale) / view.row_px
            count += 1
    return count


@njit(cache=True, nogil=True)
def fill(
    view: View,
    faces: NDArray[np.float64],
    corners: NDArray[np.int64],
    shades: NDArray[np.float32],
    count: int,
    color: NDArray[np.float32],
    cover: NDArray[np.float32],
    light: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Blend the faces of one cuboid into the image.

    Args:
        view: The camera.
        faces: Corners in pixels.
        corners: Number of corners of each face.
        shades: Light on each face.
        count: Number of faces.
        color: Of the cuboid (C,).
        cover: Zeros (H, W), left as zeros: the share of a pixel that is covered.
        light: Likewise: the light it gets, times that share.
        out: Image (H, W, C), in and out.
    """
    height, width = out.shape[0], out.shape[1]
    left, right, top, bottom = width, -1, height, -1
    part = np.float32(1.0 / view.sub_rows)
    for f in range(count):
        if corners[f] < 3:
            continue
        low = high = faces[f, 0, 1]
        for c in range(1, corners[f]):
            low = min(low, faces[f, c, 1])
            high = max(high, faces[f, c, 1])
        begin = max(0, math.floor(max(low, -1.0)))
        end = min(height - 1, math.floor(min(high, height + 1.0)))
        for r in range(begin, end + 1):
            for k in range(view.sub_rows):
                row = r + (k + 0.5) / view.sub_rows
                start, stop = math.inf, -math.inf
                j = corners[f] - 1
                for i in range(corners[f]):
                    above, below = faces[f, i, 1], faces[f, j, 1]
                    if (above <= row) != (below <= row):
                        x = faces[f, i, 0] + (row - above) / (below - above) * (faces[f, j, 0] - faces[f, i, 0])
                        start = min(start, x)
                        stop = max(stop, x)
                    j = i
                start, stop = max(start, 0.0), min(stop, float(width))
                if start >= stop:
                    continue
                first, last = int(start), min(int(stop), width - 1)
                for c in range(first, last + 1):
                    share = np.float32(min(stop, c + 1.0) - max(start, float(c))) * part
                    cover[r, c] += share
                    light[r, c] += share * shades[f]
                left, right = min(left, first), max(right, last)
                top, bottom = min(top, r), max(bottom, r)
    for r in range(top, bottom + 1):
        for c in range(left, right + 1):
            share = min(cover[r, c], np.float32(1.0))
            if share > 0.0:
                for k in range(color.shape[0]):
                    value = out[r, c, k] * (np.float32(1.0) - share) + color[k] * light[r, c]
                    out[r, c, k] = np.uint8(min(value + np.float32(0.5), np.float32(255.0)))
                cover[r, c] = np.float32(0.0)
                light[r, c] = np.float32(0.0)
