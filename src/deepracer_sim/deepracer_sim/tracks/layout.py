"""Layouts: a circuit drawn as a polygon of corners, each rounded with a radius of its own.

The centre line consists of straights and arcs, as one would tape it on a floor, and is known in closed form. Way points
and borders are computed from it, always to the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepracer_sim.tracks.track import FloatArray, Track

WAYPOINT_SPACING = 0.1
"""Distance between way points, m. Fine enough that a 0.4 m bend deviates from its arc by 3 mm."""

DECIMALS = 6
"""Way points are rounded to a micrometre: sin and cos differ in the last bit between machines, tracks shall not."""


class LayoutError(ValueError):
    """The corners cannot be rounded as asked; the message says which one and why."""


@dataclass(frozen=True)
class Layout:
    """A closed centre line of straights and arcs.

    Attributes:
        start: First point of each piece (K, 2), m.
        heading: Direction at the first point of each piece (K,), rad.
        length: Length of each piece (K,), m.
        curvature: Curvature of each piece (K,), 1/m, + = left, 0 = straight.
    """

    start: FloatArray
    heading: FloatArray
    length: FloatArray
    curvature: FloatArray

    @property
    def total_length(self) -> float:
        """Length of one lap, m."""
        return float(np.sum(self.length))

    def poses(self, count: int) -> FloatArray:
        """Return x, y (m) and yaw (rad) of points at equal distances along the lap (count, 3), from its start."""
        arc_length = np.arange(count) * (self.total_length / count)
        begin = np.concatenate([[0.0], np.cumsum(self.length)])
        k = np.clip(np.searchsorted(begin, arc_length, side="right") - 1, 0, len(self.length) - 1)
        along = arc_length - begin[k]
        heading, curvature = self.heading[k], self.curvature[k]
        half_turn = 0.5 * curvature * along
        # The chord of an arc has the mean heading and the length along * sin(a) / a; np.sinc(0) = 1 makes straights.
        chord = along * np.sinc(half_turn / np.pi)
        x = self.start[k, 0] + chord * np.cos(heading + half_turn)
        y = self.start[k, 1] + chord * np.sin(heading + half_turn)
        return np.column_stack([x, y, heading + 2.0 * half_turn])

    def track(self, name: str, width: float) -> Track:
        """Build the track with borders at half of `width` (m) to each side, its lower left corner at the origin."""
        pose = self.poses(max(12, round(self.total_length / WAYPOINT_SPACING)))
        center = pose[:, :2]
        left = 0.5 * width * np.column_stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])])
        borders = (center + left, center - left)
        origin = np.minimum(borders[0].min(axis=0), borders[1].min(axis=0))
        ccw = float(np.sum(self.curvature * self.length)) > 0.0
        inner, outer = borders if ccw else borders[::-1]
        lines = (np.round(line - origin, DECIMALS) + 0.0 for line in (center, inner, outer))
        return Track(name, *lines)


def round_corners(corners: NDArray[np.float64]) -> Layout:
    """Round the corners of a closed polygon.

    The lap starts in the middle of the straight from the first corner to the second one.

    Args:
        corners: x, y and radius of the bend at the centre line (K, 3), m, in driving order.

    Raises:
        LayoutError: If a corner turns back on itself or two bends need more room than the straight between them has.
    """
    count = len(corners)
    if count < 3:
        raise LayoutError(f"a circuit has at least 3 corners, not {count}")
    points, radius = corners[:, :2], corners[:, 2]
    edge = np.roll(points, -1, axis=0) - points
    edge_length = np.hypot(edge[:, 0], edge[:, 1])
    if np.any(edge_length < 1e-6):
        raise LayoutError(f"corner {int(np.argmin(edge_length)) + 1} and the next one are the same point")
    direction = np.arctan2(edge[:, 1], edge[:, 0])
    turn = np.mod(direction - np.roll(direction, 1) + np.pi, 2.0 * np.pi) - np.pi
    if np.any(np.abs(turn) > np.radians(175.0)):
        raise LayoutError(f"corner {int(np.argmax(np.abs(turn))) + 1} turns back on itself; use two corners")
    if np.any(radius <= 0.0):
        raise LayoutError(f"corner {int(np.argmin(radius)) + 1} needs a radius above 0")
    tangent = radius * np.tan(0.5 * np.abs(turn))
    spare = edge_length - tangent - np.roll(tangent, -1)
    if np.any(spare < -1e-9):
        k = int(np.argmin(spare))
        raise LayoutError(
            f"corners {k + 1} and {(k + 1) % count + 1} are {edge_length[k]:.2f} m apart, but their bends need "
            f"{edge_length[k] - spare[k]:.2f} m; take smaller radii or move them apart"
        )
    unit = edge / edge_length[:, None]
    start, heading, length, curvature = [], [], [], []
    for k in [*range(1, count), 0]:
        before = unit[k - 1]
        start += [points[k - 1] + before * tangent[k - 1], points[k] - before * tangent[k]]
        heading += [direction[k - 1], direction[k - 1]]
        length += [max(spare[k - 1], 0.0), radius[k] * abs(turn[k])]
        curvature += [0.0, np.sign(turn[k]) / radius[k]]
    # Half of the first straight moves to the end, so that the start line lies in its middle.
    half = 0.5 * length[0]
    start = [start[0] + half * unit[0], *start[1:], start[0]]
    return Layout(
        start=np.array(start),
        heading=np.array([*heading, heading[0]]),
        length=np.array([half, *length[1:], half]),
        curvature=np.array([*curvature, 0.0]),
    )
