"""Compiled geometry of closed polylines: projection onto a line and point-in-ring tests.

All kernels take plain float64 arrays. A ring or a line is an open list of points (M, 2): the segment from the last
point back to the first is implied. The scalar forms are for other kernels (the referee judges car by car), the plural
forms fill the rows `lo` to `hi` of output arrays that the caller owns, so that threads can share one call's work.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROUNDING_M = 1e-9
"""More than all rounding errors of distances and arc lengths."""


@njit(cache=True, nogil=True)
def project_point(
    x: float, y: float, waypoints: NDArray[np.float64], cumulative: NDArray[np.float64], near: int = 0
) -> tuple[float, float, float, int]:
    """Find the point of a closed polyline that is nearest to (x, y).

    Args:
        x: Position, m.
        y: Position, m.
        waypoints: Polyline (M, 2), m; zero-length segments are skipped.
        cumulative: Arc length at each waypoint and, last, the whole length (M + 1,), m.
        near: Index of a waypoint that is probably near: the better the guess, the faster the search. The result does
            not depend on it.

    Returns:
        Arc length in [0, length), signed distance (m, + = left of the driving direction), heading of the segment (rad)
        and the segment's index, which is the index of the waypoint it starts from.
    """
    count = waypoints.shape[0]
    best = math.inf
    best_segment = -1
    best_share = 0.0
    limit = math.hypot(x - waypoints[near, 0], y - waypoints[near, 1])
    i = -1
    while i + 1 < count:
        i += 1
        length = cumulative[i + 1] - cumulative[i]
        if length <= 0.0:
            continue
        px = x - waypoints[i, 0]
        py = y - waypoints[i, 1]
        # For as long as this, the line cannot come as near as it does elsewhere.
        detour = math.sqrt(px * px + py * py) - limit - ROUNDING_M
        if detour >= length:
            end = cumulative[i] + detour
            while i + 1 < count and cumulative[i + 2] <= end:
                i += 1
            continue
        j = i + 1 if i + 1 < count else 0
        dx = waypoints[j, 0] - waypoints[i, 0]
        dy = waypoints[j, 1] - waypoints[i, 1]
        share = (px * dx + py * dy) / (length * length)
        share = min(max(share, 0.0), 1.0)
        ex = px - share * dx
        ey = py - share * dy
        squared = ex * ex + ey * ey
        if squared < best:
            best = squared
            best_segment = i
            best_share = share
            limit = min(limit, math.sqrt(squared))
    if best_segment < 0:
        return math.nan, math.nan, math.nan, -1

    # The end of a segment is the start of the next one, so that each arc length has one segment.
    if best_share >= 1.0:
        best_segment = _next_segment(best_segment, cumulative)
        best_share = 0.0
    i = best_segment
    j = i + 1 if i + 1 < count else 0
    length = cumulative[i + 1] - cumulative[i]
    dx = (waypoints[j, 0] - waypoints[i, 0]) / length
    dy = (waypoints[j, 1] - waypoints[i, 1]) / length
    ex = x - (waypoints[i, 0] + best_share * length * dx)
    ey = y - (waypoints[i, 1] + best_share * length * dy)
    side_x, side_y = dx, dy
    if best_share <= 0.0:
        # At a corner the side follows from the mean of both directions; one segment alone errs at sharp corners.
        k = _previous_segment(i, cumulative)
        m = k + 1 if k + 1 < count else 0
        before = cumulative[k + 1] - cumulative[k]
        side_x += (waypoints[m, 0] - waypoints[k, 0]) / before
        side_y += (waypoints[m, 1] - waypoints[k, 1]) / before
    distance = math.sqrt(ex * ex + ey * ey)
    if side_x * ey - side_y * ex < 0.0:
        distance = -distance
    arc_length = cumulative[i] + best_share * length
    if arc_length >= cumulative[count]:
        arc_length = 0.0
    return arc_length, distance, math.atan2(dy, dx), i


@njit(cache=True, nogil=True)
def _next_segment(segment: int, cumulative: NDArray[np.float64]) -> int:
    count = cumulative.shape[0] - 1
    following = (segment + 1) % count
    while cumulative[following + 1] <= cumulative[following]:
        following = (following + 1) % count
    return following


@njit(cache=True, nogil=True)
def _previous_segment(segment: int, cumulative: NDArray[np.float64]) -> int:
    count = cumulative.shape[0] - 1
    previous = (segment + count - 1) % count
    while cumulative[previous + 1] <= cumulative[previous]:
        previous = (previous + count - 1) % count
    return previous


@njit(cache=True, nogil=True)
def project_points(
    points: NDArray[np.float64],
    waypoints: NDArray[np.float64],
    cumulative: NDArray[np.float64],
    arc_length: NDArray[np.float64],
    lateral: NDArray[np.float64],
    heading: NDArray[np.float64],
    segment: NDArray[np.int64],
    lo: int,
    hi: int,
) -> None:
    """Project the rows `lo` to `hi` of `points` (N, 2) and write into four arrays (N,); see `project_point`."""
    for n in range(lo, hi):
        arc_length[n], lateral[n], heading[n], segment[n] = project_point(
            points[n, 0], points[n, 1], waypoints, cumulative
        )


@njit(cache=True, nogil=True)
def point_in_ring(x: float, y: float, ring: NDArray[np.float64]) -> bool:
    """Tell whether (x, y) is inside the closed ring (M, 2), by the number of borders a ray to the right crosses."""
    inside = False
    j = ring.shape[0] - 1
    for i in range(ring.shape[0]):
        yi = ring[i, 1]
        yj = ring[j, 1]
        if (yi > y) != (yj > y) and x < (ring[j, 0] - ring[i, 0]) * (y - yi) / (yj - yi) + ring[i, 0]:
            inside = not inside
        j = i
    return inside


@njit(cache=True, nogil=True)
def point_on_road(x: float, y: float, inner: NDArray[np.float64], outer: NDArray[np.float64]) -> bool:
    """Tell whether (x, y) is on the road: inside the outer ring and not inside the inner ring, as AWS judges it."""
    return point_in_ring(x, y, outer) and not point_in_ring(x, y, inner)


@njit(cache=True, nogil=True)
def points_on_road(
    points: NDArray[np.float64],
    inner: NDArray[np.float64],
    outer: NDArray[np.float64],
    on_road: NDArray[np.bool_],
    lo: int,
    hi: int,
) -> None:
    """Test the rows `lo` to `hi` of `points` (N, 2) and write into `on_road` (N,); see `point_on_road`."""
    for n in range(lo, hi):
        on_road[n] = point_on_road(points[n, 0], points[n, 1], inner, outer)
