"""The track: a closed centre line with two borders, and the geometry that everything else asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepracer_sim.tracks import kernels

FloatArray: TypeAlias = NDArray[np.float64]

CURVATURE_WINDOW = 0.1
"""Standard deviation of the Gaussian window, m, over which `Track.curvature` averages the turning of the centre line.

Way points of real tracks are rounded and unevenly spaced; averaged over about a car's length, their noise is gone and
the tightest corner that AWS allows (0.33 m) is still resolved.
"""


@dataclass(frozen=True)
class Projection:
    """Nearest points of the centre line for N points.

    Attributes:
        arc_length: Distance driven along the centre line from its start (N,), m, in [0, length).
        lateral: Signed distance to the centre line (N,), m, + = left of the driving direction.
        heading: Direction of the centre line there (N,), rad.
        segment: Index of the waypoint before that point (N,); the one after it is `(segment + 1) % M`.
    """

    arc_length: FloatArray
    lateral: FloatArray
    heading: FloatArray
    segment: NDArray[np.int64]


class Track:
    """A closed circuit, immutable.

    The rows of the three lines belong together and are in driving direction. The closing row of AWS's files is dropped;
    the way from the last row to the first is implied. Repeated rows, which AWS's files contain, stay.

    Attributes:
        name: Name for messages and reports.
        center: Centre line (M, 2), m.
        inner: Border nearer to the infield (M, 2), m.
        outer: Border on the outside (M, 2), m.
        cumulative: Arc length at each row and, last, the whole length (M + 1,), m.
    """

    name: str
    center: FloatArray
    inner: FloatArray
    outer: FloatArray
    cumulative: FloatArray

    def __init__(self, name: str, center: ArrayLike, inner: ArrayLike, outer: ArrayLike) -> None:
        """Take copies of three lines of equal shape (M, 2), m, in driving direction, without a closing row."""
        self.name = name
        self.center = _frozen(center)
        self.inner = _frozen(inner)
        self.outer = _frozen(outer)
        if self.center.ndim != 2 or self.center.shape[1] != 2 or len(self.center) < 3:
            raise ValueError(f"a centre line is (M, 2) with M >= 3, not {self.center.shape}")
        if self.inner.shape != self.center.shape or self.outer.shape != self.center.shape:
            raise ValueError(f"borders {self.inner.shape}, {self.outer.shape} differ from the line {self.center.shape}")
        self.cumulative = _frozen(cumulative_length(self.center))

    @property
    def arc_length(self) -> FloatArray:
        """Arc length at each row (M,), m, starting with 0."""
        return self.cumulative[:-1]

    @property
    def length(self) -> float:
        """Length of one lap along the centre line, m."""
        return float(self.cumulative[-1])

    @cached_property
    def width(self) -> float:
        """Median distance from a row of the inner border to the outer border, m."""
        return float(np.median(distance_to_ring(self.inner, self.outer)))

    @cached_property
    def is_ccw(self) -> bool:
        """Whether the lap runs counter-clockwise."""
        return signed_area(self.center) > 0.0

    @property
    def left(self) -> FloatArray:
        """The border on the driver's left (M, 2), m."""
        return self.inner if self.is_ccw else self.outer

    @property
    def right(self) -> FloatArray:
        """The border on the driver's right (M, 2), m."""
        return self.outer if self.is_ccw else self.inner

    @cached_property
    def half_widths(self) -> FloatArray:
        """Distance from each row of the centre line to the left and the right border (M, 2), m."""
        columns = [distance_to_ring(self.center, self.left), distance_to_ring(self.center, self.right)]
        return _frozen(np.stack(columns, axis=1))

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Box around both borders: x_min, y_min, x_max, y_max, m."""
        points = np.concatenate([self.inner, self.outer])
        (x_min, y_min), (x_max, y_max) = points.min(axis=0), points.max(axis=0)
        return float(x_min), float(y_min), float(x_max), float(y_max)

    def project(self, points: ArrayLike) -> Projection:
        """Find the nearest point of the centre line, exactly, for each of `points` (N, 2), m."""
        array = _points(points)
        count = len(array)
        result = Projection(np.empty(count), np.empty(count), np.empty(count), np.empty(count, dtype=np.int64))
        kernels.project_points(
            array,
            self.center,
            self.cumulative,
            result.arc_length,
            result.lateral,
            result.heading,
            result.segment,
            0,
            count,
        )
        return result

    def on_road(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Tell for each of `points` (N, 2), m, whether it is inside the outer border and not inside the inner one."""
        array = _points(points)
        result = np.empty(len(array), dtype=np.bool_)
        kernels.points_on_road(array, self.inner, self.outer, result, 0, len(array))
        return result

    def pose_at(self, arc_length: ArrayLike, lateral: ArrayLike = 0.0) -> FloatArray:
        """Place cars along the centre line, looking in driving direction.

        Args:
            arc_length: Distance from the start (N,) or a scalar, m; any value, laps are taken off.
            lateral: Offset to the left (N,) or a scalar, m.

        Returns:
            x, y (m) and yaw (rad) of each car (N, 3).
        """
        s, offset = np.broadcast_arrays(
            np.atleast_1d(np.asarray(arc_length, dtype=np.float64)), np.asarray(lateral, dtype=np.float64)
        )
        s = np.mod(s, self.length)
        # side="right" steps over zero-length segments; the clip catches mod() rounding up to the whole length.
        i = np.clip(np.searchsorted(self.cumulative, s, side="right") - 1, 0, self._last_segment)
        start = self.center[i]
        direction = self.center[(i + 1) % len(self.center)] - start
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        xy = start + (s - self.cumulative[i])[:, None] * direction + offset[:, None] * normal
        return np.column_stack([xy, np.arctan2(direction[:, 1], direction[:, 0])])

    def curvature(self) -> FloatArray:
        """Estimate the curvature of the centre line at each row (M,), 1/m, + = turning left.

        The line turns only at its rows, by known angles at known arc lengths. Their weighted sum over a Gaussian window
        (`CURVATURE_WINDOW`, or the spacing of the rows if that is wider) is the curvature. Unlike a spline through
        the rows, it does not overshoot where a straight meets an arc, and one lap adds up to 2 pi.
        """
        return self._curvature

    @cached_property
    def _curvature(self) -> FloatArray:
        step = np.diff(self.cumulative)
        rows = np.flatnonzero(step > 0.0)
        start = self.center[rows]
        direction = self.center[(rows + 1) % len(self.center)] - start
        heading = np.arctan2(direction[:, 1], direction[:, 0])
        turning = np.mod(heading - np.roll(heading, 1) + np.pi, 2.0 * np.pi) - np.pi
        sigma = max(CURVATURE_WINDOW, float(np.median(step[rows])))
        gap = self.arc_length[:, None] - self.arc_length[rows][None, :]
        gap = np.mod(gap + 0.5 * self.length, self.length) - 0.5 * self.length
        weight = np.exp(-0.5 * (gap / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
        return _frozen(weight @ turning)

    @property
    def min_radius(self) -> float:
        """Radius of the tightest bend, at the centre line, m."""
        return float(1.0 / np.max(np.abs(self.curvature())))

    def reversed(self) -> Track:
        """Return the same road driven the other way round, from the same start."""
        return Track(self.name, *(np.roll(line[::-1], 1, axis=0) for line in (self.center, self.inner, self.outer)))

    def renamed(self, name: str) -> Track:
        """Return the same track under another name."""
        return Track(name, self.center, self.inner, self.outer)

    @classmethod
    def from_rows(cls, name: str, rows: ArrayLike) -> Track:
        """Build a track from AWS's rows (N, 6): centre x, y, inner x, y, outer x, y, with or without a closing row."""
        array = np.asarray(rows, dtype=np.float64)
        if len(array) > 1 and np.array_equal(array[0], array[-1]):
            array = array[:-1]
        return cls(name, array[:, 0:2], array[:, 2:4], array[:, 4:6])

    def rows(self) -> FloatArray:
        """Return AWS's rows (M + 1, 6), the first one repeated as the last; the reverse of `from_rows`."""
        array = np.hstack([self.center, self.inner, self.outer])
        return np.vstack([array, array[:1]])

    @cached_property
    def _last_segment(self) -> int:
        return int(np.flatnonzero(np.diff(self.cumulative) > 0.0)[-1])

    def __repr__(self) -> str:
        """Name, size and direction, for debugging."""
        turn = "counter-clockwise" if self.is_ccw else "clockwise"
        return f"Track({self.name!r}, {self.length:.2f} m, width {self.width:.2f} m, {turn})"


def cumulative_length(ring: FloatArray) -> FloatArray:
    """Arc length at each point of an open ring (M, 2) and, last, around it (M + 1,), m."""
    steps = np.roll(ring, -1, axis=0) - ring
    return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])


def distance_to_ring(points: FloatArray, ring: FloatArray) -> FloatArray:
    """Distance from each of `points` (N, 2) to the nearest point of an open ring (M, 2), m."""
    count = len(points)
    lateral = np.empty(count)
    unused = np.empty(count)
    kernels.project_points(
        points, ring, cumulative_length(ring), unused, lateral, unused, np.empty(count, np.int64), 0, count
    )
    return np.abs(lateral)


def signed_area(ring: FloatArray) -> float:
    """Area of an open ring (M, 2), m^2, positive when it runs counter-clockwise."""
    x, y = ring[:, 0], ring[:, 1]
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _frozen(values: ArrayLike) -> FloatArray:
    array = np.array(values, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array


def _points(points: ArrayLike) -> FloatArray:
    array = np.ascontiguousarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"points are (N, 2), not {array.shape}")
    return array
