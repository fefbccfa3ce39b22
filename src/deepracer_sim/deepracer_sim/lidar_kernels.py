"""Compiled ray casting of the laser scanner against the rectangles that objects cover on the ground."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deepracer_sim.object_kernels import uniform

FloatArray = NDArray[np.float64]

MICRO = 1e6
"""Poses that differ by less than a micrometre or a microradian get the same noise."""


@njit(cache=True, nogil=True)
def noise_key(seed: int, x: float, y: float, yaw: float) -> np.uint32:
    """Return the key of the random numbers of one scan."""
    key = np.uint32(seed)
    for value in (x, y, yaw):
        key = np.uint32(uniform(key, np.int64(math.floor(value * MICRO)) & 0xFFFFFFFF) * 4294967295.0)
    return key


@njit(cache=True, nogil=True)
def distance_to_rectangle(x: float, y: float, dx: float, dy: float, half_length: float, half_width: float) -> float:
    """Return how far a ray goes until it meets a rectangle around the origin along the axes; infinity if never.

    Args:
        x: Start of the ray, m.
        y: Start of the ray, m.
        dx: Direction, a unit vector.
        dy: Direction.
        half_length: Half the side along x, m.
        half_width: Half the side along y, m.
    """
    near, far = 0.0, np.inf
    for start, step, half in ((x, dx, half_length), (y, dy, half_width)):
        if abs(step) < 1e-12:
            if abs(start) > half:
                return np.inf
            continue
        first, second = (-half - start) / step, (half - start) / step
        near = max(near, min(first, second))
        far = min(far, max(first, second))
    return near if near <= far else np.inf


@njit(cache=True, nogil=True)
def scan(
    poses: FloatArray,
    mount: FloatArray,
    angles: FloatArray,
    limits: FloatArray,
    seed: int,
    objects: FloatArray,
    sizes: FloatArray,
    solid: NDArray[np.bool_],
    out: FloatArray,
) -> None:
    """Measure distances; each scan depends on its own car only.

    Args:
        poses: x, y, yaw of `base_link` (N, 3), m, m, rad.
        mount: x, y of the scanner in the car (2,), m.
        angles: Of the rays in the car's frame (R,), rad.
        limits: Smallest and largest distance and the standard deviation of the noise (3,), m.
        seed: Of the noise.
        objects: x, y, yaw of each car's objects (N, M, 3), m, m, rad.
        sizes: Length and width of each object first (M, 2 or more), m.
        solid: Whether an object is there (N, M).
        out: Distances (N, R), m; infinity where nothing is within range.
    """
    for n in range(poses.shape[0]):
        yaw = poses[n, 2]
        cos, sin = math.cos(yaw), math.sin(yaw)
        x = poses[n, 0] + cos * mount[0] - sin * mount[1]
        y = poses[n, 1] + sin * mount[0] + cos * mount[1]
        key = noise_key(seed, poses[n, 0], poses[n, 1], yaw)
        out[n, :] = np.inf
        for m in range(objects.shape[1]):
            if not solid[n, m]:
                continue
            ox, oy, turn = x - objects[n, m, 0], y - objects[n, m, 1], objects[n, m, 2]
            reach = limits[1] + 0.5 * (sizes[m, 0] + sizes[m, 1])
            if ox * ox + oy * oy > reach * reach:
                continue
            c, s = math.cos(turn), math.sin(turn)
            for r in range(angles.shape[0]):
                heading = yaw + angles[r] - turn
                distance = distance_to_rectangle(
                    c * ox + s * oy,
                    c * oy - s * ox,
                    math.cos(heading),
                    math.sin(heading),
                    0.5 * sizes[m, 0],
                    0.5 * sizes[m, 1],
                )
                out[n, r] = min(out[n, r], distance)
        for r in range(angles.shape[0]):
            if out[n, r] > limits[1]:
                out[n, r] = np.inf
            else:
                # Box and Muller: two even random numbers make a normal one.
                radius = math.sqrt(-2.0 * math.log(1.0 - uniform(key, 2 * r)))
                normal = radius * math.cos(2.0 * math.pi * uniform(key, 2 * r + 1))
                out[n, r] = max(out[n, r] + limits[2] * normal, limits[0])
