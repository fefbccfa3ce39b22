"""Compiled motion of bot cars, contacts of footprints and what the camera's frustum holds; one car after the other.

Everything about a car is computed from that car and its own objects alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE_X, TABLE_Y, TABLE_COS, TABLE_SIN, TABLE_LEFT, TABLE_RIGHT = range(6)
"""Columns of a lane table: centre line (m), its smoothed direction, and how far the lanes' middles are from it (m)."""

BOT = np.dtype(
    [
        ("arc_length", np.float64),
        ("speed", np.float64),  # along the centre line, m/s
        ("lane", np.float64),  # +1 left, -1 right; where it came from while it changes
        ("wait_s", np.float64),  # until the next change begins; inf = never
        ("changed_m", np.float64),  # way since the change began; negative: it keeps its lane
        ("changes", np.int64),
        ("key", np.uint32),  # of its random numbers
    ],
    align=True,
)
"""What a bot car remembers from step to step."""


class LaneChanges(NamedTuple):
    """When and how bot cars change lanes."""

    wait_low_s: float
    wait_high_s: float
    distance_m: float
    """Along the centre line."""


class Lens(NamedTuple):
    """The camera's frustum."""

    x: float
    """Ahead of `base_link`, m."""
    y: float
    """Left of it, m."""
    height: float
    """Over the ground, m."""
    cos: float
    """Of the pitch."""
    sin: float
    reach: float
    """Tangent of half the horizontal field of view."""
    ratio: float
    """Height over width of the image."""
    near: float
    """m."""
    far: float
    """m."""


NEARBY = 0.5
"""A bot car is looked for within this distance along the lap of where it is known to be, m."""


@njit(cache=True, nogil=True)
def uniform(key: int, counter: int) -> float:
    """Return a random number in [0, 1) from a key and a counter (a 32-bit integer hash, "lowbias32")."""
    h = np.uint32(np.uint32(key) ^ np.uint32(np.uint32(counter) * np.uint32(0x9E3779B1)))
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    return h * (1.0 / 4294967296.0)


@njit(cache=True, nogil=True)
def lane_point(table: NDArray[np.float64], length: float, s: float, lane: float) -> tuple[float, float, float]:
    """Return x, y (m) and the direction of the road (rad) in a lane.

    Args:
        table: Lane table (K + 1, 6) at equal distances, the first row repeated as the last.
        length: Of the lap, m.
        s: Arc length on the centre line, m, any value.
        lane: 1 for the middle of the left lane, -1 for that of the right one, linear in between.
    """
    place = (s % length) / length * (table.shape[0] - 1)
    i = min(int(place), table.shape[0] - 2)
    share = place - i
    x = table[i, TABLE_X] + share * (table[i + 1, TABLE_X] - table[i, TABLE_X])
    y = table[i, TABLE_Y] + share * (table[i + 1, TABLE_Y] - table[i, TABLE_Y])
    cos = table[i, TABLE_COS] + share * (table[i + 1, TABLE_COS] - table[i, TABLE_COS])
    sin = table[i, TABLE_SIN] + share * (table[i + 1, TABLE_SIN] - table[i, TABLE_SIN])
    norm = math.sqrt(cos * cos + sin * sin)
    cos /= norm
    sin /= norm
    side = TABLE_LEFT if lane >= 0.0 else TABLE_RIGHT
    lateral = lane * (table[i, side] + share * (table[i + 1, side] - table[i, side]))
    return x - lateral * sin, y + lateral * cos, math.atan2(sin, cos)


@njit(cache=True, nogil=True)
def lane_points(
    table: NDArray[np.float64],
    length: float,
    s: NDArray[np.float64],
    lanes: NDArray[np.float64],
    poses: NDArray[np.float64],
) -> None:
    """Write x, y and the direction of the road (K, M, 3) at arc lengths and in lanes (K, M); see `lane_point`."""
    for k in range(s.shape[0]):
        for m in range(s.shape[1]):
            poses[k, m, 0], poses[k, m, 1], poses[k, m, 2] = lane_point(table, length, s[k, m], lanes[k, m])


@njit(cache=True, nogil=True)
def move_bots(
    bots: Any,
    poses: NDArray[np.float64],
    table: NDArray[np.float64],
    length: float,
    changes: LaneChanges,
    period_s: float,
    low: int,
    high: int,
) -> None:
    """Drive the bot cars (N, M) of the worlds `low` to `high` for one period and write their `poses` (N, M, 3)."""
    for n in range(low, high):
        for m in range(bots.shape[1]):
            bot = bots[n, m]
            step = bot.speed * period_s
            bot.arc_length = (bot.arc_length + step) % length
            if bot.changed_m >= 0.0:
                bot.changed_m += step
                if bot.changed_m >= changes.distance_m:
                    bot.lane = -bot.lane
                    bot.changed_m = -1.0
            elif bot.wait_s < math.inf:
                bot.wait_s -= period_s
                if bot.wait_s <= 0.0:
                    bot.changed_m = 0.0
                    bot.changes += 1
                    spread = changes.wait_high_s - changes.wait_low_s
                    bot.wait_s = changes.wait_low_s + spread * uniform(bot.key, bot.changes)
            lane, slope = bot.lane, 0.0
            if bot.changed_m >= 0.0:
                # A smooth S: no kink where the change begins and ends.
                share = bot.changed_m / changes.distance_m
                lane *= 1.0 - 2.0 * share * share * (3.0 - 2.0 * share)
                slope = -bot.lane * 12.0 * share * (1.0 - share) / changes.distance_m
            x, y, yaw = lane_point(table, length, bot.arc_length, lane)
            if slope != 0.0:
                i = int((bot.arc_length % length) / length * (table.shape[0] - 1))
                yaw += math.atan(slope * table[i, TABLE_LEFT if lane >= 0.0 else TABLE_RIGHT])
            poses[n, m, 0] = x
            poses[n, m, 1] = y
            poses[n, m, 2] = yaw


@njit(cache=True, nogil=True)
def overlap(
    ax: float,
    ay: float,
    a_yaw: float,
    a_length: float,
    a_width: float,
    bx: float,
    by: float,
    b_yaw: float,
    b_length: float,
    b_width: float,
) -> bool:
    """Tell whether two rectangles overlap: whether no side of either separates them (separating axis theorem)."""
    dx, dy = bx - ax, by - ay
    reach = a_length + a_width + b_length + b_width
    if 4.0 * (dx * dx + dy * dy) > reach * reach:
        return False
    for axis in range(4):
        turn = (a_yaw if axis < 2 else b_yaw) + (0.5 * math.pi if axis % 2 == 1 else 0.0)
        cos, sin = math.cos(turn), math.sin(turn)
        a_ahead, b_ahead = abs(math.cos(a_yaw - turn)), abs(math.cos(b_yaw - turn))
        a_across, b_across = abs(math.sin(a_yaw - turn)), abs(math.sin(b_yaw - turn))
        reach = 0.5 * (a_length * a_ahead + a_width * a_across + b_length * b_ahead + b_width * b_across)
        if abs(dx * cos + dy * sin) >= reach:
            return False
    return True


@njit(cache=True, nogil=True)
def find_contacts(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    yaw: NDArray[np.float64],
    length: float,
    width: float,
    poses: NDArray[np.float64],
    footprints: NDArray[np.float64],
    preference: NDArray[np.float64],
    contacts: NDArray[np.int64],
) -> None:
    """Write into `contacts` (N,) which object each car's footprint touches, or -1.

    Args:
        x: Of the middle of each car (N,), m.
        y: Likewise.
        yaw: rad.
        length: Of the car, m.
        width: Of the car, m.
        poses: Of the objects (N, M, 3).
        footprints: Length and width of the objects (M, 2), m.
        preference: Of several, the one with the largest counts (N, M); negative: it cannot be touched.
        contacts: Out.
    """
    for n in range(x.shape[0]):
        contacts[n] = -1
        best = 0.0
        for m in range(poses.shape[1]):
            if preference[n, m] >= best and overlap(
                x[n],
                y[n],
                yaw[n],
                length,
                width,
                poses[n, m, 0],
                poses[n, m, 1],
                poses[n, m, 2],
                footprints[m, 0],
                footprints[m, 1],
            ):
                contacts[n] = m
                best = preference[n, m]


@njit(cache=True, nogil=True)
def locate_near(
    bots: Any,
    poses: NDArray[np.float64],
    line: NDArray[np.float64],
    cumulative: NDArray[np.float64],
    arc_length: NDArray[np.float64],
    lateral: NDArray[np.float64],
    low: int,
    high: int,
) -> None:
    """Project bot cars (N, M) of the worlds `low` to `high` onto the centre line around where they are known to be.

    Args:
        bots: What they remember.
        poses: Of their middles (N, M, 3).
        line: Centre line (K, 2), m.
        cumulative: Arc length at each point and, last, the whole length (K + 1,), m.
        arc_length: Out (N, M), m.
        lateral: Out: distance from the centre line, + = left (N, M), m.
        low: First world.
        high: Behind the last world.
    """
    count = line.shape[0]
    for n in range(low, high):
        for m in range(bots.shape[1]):
            known = bots[n, m].arc_length
            here = min(np.searchsorted(cumulative, known, side="right") - 1, count - 1)
            best = math.inf
            for direction in (1, -1):
                i = here
                way = 0.0
                for _ in range(count):
                    j = i + 1 if i + 1 < count else 0
                    dx, dy = line[j, 0] - line[i, 0], line[j, 1] - line[i, 1]
                    squared = dx * dx + dy * dy
                    if squared > 0.0:
                        px, py = poses[n, m, 0] - line[i, 0], poses[n, m, 1] - line[i, 1]
                        share = min(max((px * dx + py * dy) / squared, 0.0), 1.0)
                        ex, ey = px - share * dx, py - share * dy
                        distance = ex * ex + ey * ey
                        if distance < best:
                            best = distance
                            arc_length[n, m] = (cumulative[i] + share * math.sqrt(squared)) % cumulative[count]
                            side = 1.0 if dx * ey - dy * ex >= 0.0 else -1.0
                            lateral[n, m] = side * math.sqrt(distance)
                        way += math.sqrt(squared)
                    if way > NEARBY:
                        break
                    i = (i + direction) % count


@njit(cache=True, nogil=True)
def find_neighbors(arc_length: NDArray[np.float64], objects: NDArray[np.float64], closest: NDArray[np.int64]) -> None:
    """Write into `closest` (N, 2) the objects before and after each car along the lap, as AWS counts them.

    Args:
        arc_length: Of the cars' noses (N,), m.
        objects: Arc lengths of the objects (N, M), m.
        closest: Out. Around the start line the last object is before the first one.
    """
    for n in range(objects.shape[0]):
        before, after, first, last = -1, -1, 0, 0
        for m in range(objects.shape[1]):
            if objects[n, m] <= arc_length[n]:
                if before < 0 or objects[n, m] >= objects[n, before]:
                    before = m
            elif after < 0 or objects[n, m] < objects[n, after]:
                after = m
            if objects[n, m] < objects[n, first]:
                first = m
            if objects[n, m] >= objects[n, last]:
                last = m
        closest[n, 0] = before if before >= 0 else last
        closest[n, 1] = after if after >= 0 else first


@njit(cache=True, nogil=True)
def find_visible(
    cars: NDArray[np.float64],
    poses: NDArray[np.float64],
    footprints: NDArray[np.float64],
    heights: NDArray[np.float64],
    chosen: NDArray[np.int64],
    lens: Lens,
    visible: NDArray[np.bool_],
) -> None:
    """Write into `visible` (N,) whether a corner or the middle of the chosen object is in the camera's frustum.

    Args:
        cars: x, y, yaw of `base_link` (N, 3), m, m, rad.
        poses: Of the objects (N, M, 3).
        footprints: Length and width of the objects (M, 2), m.
        heights: Height over the ground at which AWS takes these points (M,), m.
        chosen: The object of each car (N,).
        lens: The camera.
        visible: Out. An object that fills the view without a corner in it counts as unseen, as at AWS.
    """
    for n in range(cars.shape[0]):
        m = chosen[n]
        cos, sin = math.cos(cars[n, 2]), math.sin(cars[n, 2])
        camera_x = cars[n, 0] + cos * lens.x - sin * lens.y
        camera_y = cars[n, 1] + sin * lens.x + cos * lens.y
        turn_cos, turn_sin = math.cos(poses[n, m, 2]), math.sin(poses[n, m, 2])
        down = lens.height - heights[m]
        visible[n] = False
        for corner in range(5):
            a = 0.0 if corner == 4 else (0.5 if corner < 2 else -0.5) * footprints[m, 0]
            b = 0.0 if corner == 4 else (0.5 if corner % 2 == 0 else -0.5) * footprints[m, 1]
            dx = poses[n, m, 0] + turn_cos * a - turn_sin * b - camera_x
            dy = poses[n, m, 1] + turn_sin * a + turn_cos * b - camera_y
            ahead, left = cos * dx + sin * dy, -sin * dx + cos * dy
            depth = ahead * lens.cos + down * lens.sin
            below = down * lens.cos - ahead * lens.sin
            inside = abs(left) < depth * lens.reach and abs(below) < depth * lens.reach * lens.ratio
            if inside and lens.near < depth < lens.far:
                visible[n] = True
                break
