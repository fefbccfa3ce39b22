"""Where on a track things are put: lanes, AWS's rules for places and gaps, and starts that are clear of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepracer_inference.errors import UserError
from deepracer_sim import object_kernels as kernels

if TYPE_CHECKING:
    from deepracer_sim.simulator import FloatArray
    from deepracer_sim.tracks.track import Track

END_GAP = 1.0
"""AWS places nothing on the last metre of a lap."""
START_BEHIND, START_AHEAD = 0.6, 1.0
"""A car starts with the middle of no object nearer than this behind and ahead of it, m; 1.0 is AWS's
`RESET_BEHIND_DIST`."""
TABLE_SPACING = 0.02
"""Of the points at which the lanes are tabled, m."""
SMOOTHING = 0.15
"""A bot car, as long as this on both sides of its middle, points along the chord of the road under it, m."""


class Lanes:
    """The middles of the left and the right lane of a track, halfway between the centre line and the borders."""

    def __init__(self, track: Track) -> None:
        """Table the lanes."""
        self._track = track
        count = max(16, math.ceil(track.length / TABLE_SPACING))
        s = np.linspace(0.0, track.length, count + 1)
        center = track.pose_at(s)[:, :2]
        chord = track.pose_at(s + SMOOTHING)[:, :2] - track.pose_at(s - SMOOTHING)[:, :2]
        chord /= np.linalg.norm(chord, axis=1, keepdims=True)
        nodes = np.append(track.arc_length, track.length)
        half = [np.interp(s, nodes, np.append(side, side[0])) for side in track.half_widths.T]
        self.table = np.ascontiguousarray(np.column_stack([center, chord, 0.5 * half[0], 0.5 * half[1]]))

    def pose(self, arc_length: float, lane: float) -> tuple[float, float, float]:
        """Return x, y, yaw in a lane (1 left, -1 right, between: between) at an arc length of the centre line, m."""
        x, y, yaw = kernels.lane_point(self.table, self._track.length, arc_length, lane)
        return x, y, yaw

    def signs(self, lanes: str | Sequence[str], count: int, random: np.random.Generator) -> FloatArray:
        """Return the lanes of `count` objects, 1 = left, -1 = right.

        Args:
            lanes: `inner`, `outer`, `left` or `right` for all or for each; `random`, or `alternate` from inner on.
            count: Number of objects.
            random: Used by `random` alone.
        """
        if lanes == "random":
            return np.where(random.random(count) < 0.5, 1.0, -1.0)
        inner = 1.0 if self._track.is_ccw else -1.0
        signs = {"inner": inner, "outer": -inner, "left": 1.0, "right": -1.0}
        if lanes == "alternate":
            names = ["inner" if index % 2 == 0 else "outer" for index in range(count)]
        else:
            names = [lanes] * count if isinstance(lanes, str) else list(lanes)
        return np.array([signs[name] for name in names])


def even_places(track: Track, count: int, min_gap: float) -> FloatArray:
    """Return AWS's equally spaced places: from `min_gap` behind the start to a metre before the end of the lap, m."""
    return np.linspace(min_gap, track.length - END_GAP, count, dtype=np.float64)


def random_places(track: Track, count: int, min_gap: float, random: np.random.Generator) -> FloatArray:
    """Return AWS's random places (count,), m.

    Equally spaced ones, of which one after the other is moved between its neighbours, no nearer to them than `min_gap`.
    """
    last = track.length - END_GAP
    step = (last - min_gap) / max(count - 1, 1)
    # Plain numbers: this is done for every episode of every car.
    places = [min_gap + index * step for index in range(count)]
    for i, share in zip(random.permutation(count).tolist(), random.random(count).tolist(), strict=True):
        low = min_gap if i == 0 else places[i - 1] + min_gap
        high = last if i == count - 1 else places[i + 1] - min_gap
        if low < high:
            places[i] = low + (high - low) * share
    return np.array(places)


def clear_start(start: float, places: FloatArray, length: float) -> float:
    """Move a start (m) back along the lap until no object is right ahead of it or right behind.

    Where they stand too densely for that, it goes to the widest gap.
    """
    for _ in range(2 * len(places)):
        ahead = (places - start + 0.5 * length) % length - 0.5 * length
        near = (ahead > -START_BEHIND) & (ahead < START_AHEAD)
        if not near.any():
            return start % length
        start += float(ahead[near].min()) - START_AHEAD - 1e-6
    behind = np.sort(places % length)
    gaps = np.diff(behind, append=behind[0] + length)
    widest = int(gaps.argmax())
    return float(behind[widest] + gaps[widest] * START_BEHIND / (START_BEHIND + START_AHEAD)) % length


def check_room(track: Track, count: int, min_gap: float, key: str) -> None:
    """Make sure that objects fit on a lap.

    Args:
        track: The road.
        count: Number of objects.
        min_gap: Between them and from the start of the lap to the first, m.
        key: Section of model.yaml, for the message.

    Raises:
        UserError: They do not.
    """
    room = track.length - END_GAP - min_gap
    if room < (count - 1) * min_gap - 1e-9 or room < 0.0:
        most = int(max(0.0, (room + 1e-9) // min_gap + 1)) if room >= 0.0 else 0
        raise UserError(
            f"{key}: track '{track.name}' is {track.length:.1f} m long, with room for {most} objects {min_gap:g} m "
            f"apart, but there are {count}; lower {key}.number or {key}.min_gap_m"
        )
