"""Seeded generation of circuits that could be built: within an area, without overlap, by AWS's rules [D 3]."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from deepracer_inference.errors import UserError
from deepracer_sim.tracks.check import (
    DRIVABLE_WIDTH,
    SHARP_TURN_RADIUS,
    check_track,
    errors_of,
    find_clearance,
    find_turns,
)
from deepracer_sim.tracks.layout import Layout, round_corners
from deepracer_sim.tracks.outline import draw_folded, draw_star
from deepracer_sim.tracks.track import FloatArray, Track

ATTEMPTS = 500
"""Circuits drawn before giving up; where the wishes can be met at all, a few dozen are enough."""

LARGEST = 250.0
"""Limit for the length and for both sides of the area, m; the real tracks end at 90 m."""

_STARS = 0.25  # share of circuits drawn as stars; the others are folded
_CORNER_CUTTING = 1.15  # a polygon's length over that of the rounded line
_INNER_RADIUS = 0.1  # m; below that, the inner border of a bend would shrink to a point and fold
_SHARPEST_CORNER = math.radians(80.0)  # half the turn
_FIT_STEPS = 12
_TOO_SHORT, _TOO_LONG, _TOO_CLOSE, _TOO_TIGHT = "too short", "too long", "too close", "too tight"


@dataclass(frozen=True)
class Wishes:
    """What a generated track has to keep to; lengths in m.

    Attributes:
        length: Least and greatest length of a lap.
        width: Width of the road.
        area: Width and depth of the floor, borders included.
        min_radius: Least radius of a bend at the centre line; AWS's building rules hold besides.
        clearance: Least gap between the borders of neighbouring stretches.
    """

    length: tuple[float, float]
    width: float
    area: tuple[float, float]
    min_radius: float
    clearance: float

    @property
    def least_radius(self) -> float:
        """Least radius at the centre line that also keeps to AWS's rule and leaves the inner border a bend, m."""
        return max(self.min_radius, SHARP_TURN_RADIUS - 0.5 * self.width, 0.5 * self.width + _INNER_RADIUS)


class _RejectedError(Exception):
    """A drawn circuit breaks a rule: `rule` names it, `value` says how far it came."""

    def __init__(self, rule: str, value: float) -> None:
        super().__init__(rule)
        self.rule = rule
        self.value = value


def generate_track(
    seed: int,
    *,
    length: float | tuple[float, float] = (18.0, 32.0),
    width: float = 0.76,
    area: tuple[float, float] = (9.0, 6.0),
    min_radius: float = 0.0,
    clearance: float = 0.3,
    name: str | None = None,
) -> Track:
    """Draw a circuit by chance; equal arguments give equal bytes.

    Args:
        seed: Number of the circuit, at least 0.
        length: Range for the length of a lap, m; a single number is met to 5 %.
        width: Width of the road, m.
        area: Width and depth of the floor that borders must not leave, m.
        min_radius: Least radius of a bend at the centre line, m; AWS's building rules hold besides.
        clearance: Least gap between the borders of neighbouring stretches, m.
        name: Name of the track; "generated_<seed>" if not given.

    Raises:
        UserError: If an argument makes no sense, or no circuit keeps to all of it; the message says which rule failed.
    """
    if not isinstance(length, tuple):
        length = (0.95 * length, 1.05 * length)
    wishes = Wishes(length, width, area, min_radius, clearance)
    _check_wishes(seed, wishes)
    rng = np.random.default_rng(seed)
    rejected: list[_RejectedError] = []
    for _ in range(ATTEMPTS):
        try:
            return _draw(rng, wishes, name or f"generated_{seed}")
        except _RejectedError as rejection:
            rejected.append(rejection)
    raise UserError(_explain(rejected, wishes))


def _check_wishes(seed: int, wishes: Wishes) -> None:
    numbers = (*wishes.length, wishes.width, *wishes.area, wishes.min_radius, wishes.clearance)
    if seed < 0 or not all(math.isfinite(number) and number >= 0.0 for number in numbers):
        raise UserError("The seed, lengths and radii of a generated track must be finite and not negative")
    if wishes.width < DRIVABLE_WIDTH:
        raise UserError(
            f"A {wishes.width:.2f} m wide road is too narrow for a 0.2 m car; take {DRIVABLE_WIDTH} m or more"
        )
    if max(*wishes.area, wishes.length[1]) > LARGEST:
        raise UserError(f"A generated track is at most {LARGEST:.0f} m long, and so are the sides of its area")
    if wishes.length[0] > wishes.length[1]:
        raise UserError(f"The length's range is reversed: {wishes.length[0]} m to {wishes.length[1]} m")
    # The smallest circuit is a circle that keeps to the rule for turns of more than 90 degrees.
    need = 2.0 * wishes.least_radius + wishes.width
    if min(wishes.area) < need:
        raise UserError(
            f"An area of {wishes.area[0]:.2f} x {wishes.area[1]:.2f} m has no room for a turn: a half circle of a "
            f"{wishes.width:.2f} m wide road is {need:.2f} m across from border to border"
        )


def _draw(rng: np.random.Generator, wishes: Wishes, name: str) -> Track:
    """Draw one circuit, or raise `_RejectedError`."""
    room = np.array(wishes.area) - wishes.width - 2e-3
    goal = float(rng.uniform(*wishes.length))
    if rng.uniform() < _STARS:
        corners = draw_star(rng, room)
    else:
        cell = max(2.0 * wishes.least_radius, wishes.width + wishes.clearance) * float(rng.uniform(1.0, 1.6))
        corners = draw_folded(rng, room, cell, _CORNER_CUTTING * goal)
    looseness = rng.uniform(0.1, 1.0, len(corners))
    corners, layout = _fill(corners, looseness, room, wishes)
    longest = layout.total_length
    if longest < wishes.length[0]:
        raise _RejectedError(_TOO_SHORT, longest)
    if longest > wishes.length[1]:
        layout = _shorten(corners, looseness, goal, wishes)
    track = layout.track(name, wishes.width)
    clearance, _ = find_clearance(track)
    if clearance < wishes.clearance:
        raise _RejectedError(_TOO_CLOSE, clearance)
    if errors_of(check_track(track, strict=True)):
        raise _RejectedError(_TOO_TIGHT, min(turn.radius for turn in find_turns(track)))
    return track


def _fill(corners: FloatArray, looseness: FloatArray, room: FloatArray, wishes: Wishes) -> tuple[FloatArray, Layout]:
    """Stretch a polygon until its rounded centre line just fills the room; rounding pulls it away from the corners."""
    for _ in range(_FIT_STEPS):
        layout = _round(corners, looseness, wishes)
        line = layout.poses(200)[:, :2]
        stretch = room / (line.max(axis=0) - line.min(axis=0))
        if np.all(stretch >= 1.0) and np.all(stretch < 1.02):
            return corners, layout
        corners = corners * (stretch * 0.995)
    raise _RejectedError(_TOO_TIGHT, 0.0)


def _shorten(corners: FloatArray, looseness: FloatArray, goal: float, wishes: Wishes) -> Layout:
    """Shrink a polygon until its rounded centre line has about the length `goal`."""
    share, length = 1.0, math.inf
    for _ in range(_FIT_STEPS):
        try:
            layout = _round(corners * share, looseness, wishes)
        except _RejectedError as rejection:
            raise _RejectedError(_TOO_LONG, length) from rejection
        length = layout.total_length
        if wishes.length[0] <= length <= wishes.length[1] and abs(length - goal) < 0.05 * goal:
            return layout
        share *= max(goal / length, 0.7)  # in steps, so that the length that was still possible is known
    raise _RejectedError(_TOO_LONG, length)


def _round(corners: FloatArray, looseness: FloatArray, wishes: Wishes) -> Layout:
    """Round a polygon, each bend by its share of the room it has; corners without room for the least radius are cut."""
    keep = np.arange(len(corners))
    while len(keep) >= 3:
        points = corners[keep]
        edge = np.roll(points, -1, axis=0) - points
        length = np.hypot(edge[:, 0], edge[:, 1])
        direction = np.arctan2(edge[:, 1], edge[:, 0])
        half_turn = np.abs(0.5 * (np.mod(direction - np.roll(direction, 1) + np.pi, 2.0 * np.pi) - np.pi))
        half_turn = np.clip(half_turn, 1e-3, None)
        # Neighbouring bends to the same side can make a sharp turn of two blunt ones, so the sharp rule holds for all.
        tangent = wishes.least_radius * np.tan(half_turn)
        spare = length - tangent - np.roll(tangent, -1)
        tightest = int(np.argmin(spare))
        if spare[tightest] >= 0.0 and np.max(half_turn) < _SHARPEST_CORNER:
            tangent += looseness[keep] * 0.5 * np.minimum(spare, np.roll(spare, 1))
            first = int(np.argmax(length - tangent - np.roll(tangent, -1)))
            return round_corners(np.roll(np.column_stack([points, tangent / np.tan(half_turn)]), -first, axis=0))
        following = (tightest + 1) % len(keep)
        cut = tightest if tangent[tightest] > tangent[following] else following
        keep = np.delete(keep, int(np.argmax(half_turn)) if spare[tightest] >= 0.0 else cut)
    raise _RejectedError(_TOO_TIGHT, 0.0)


def _explain(rejected: list[_RejectedError], wishes: Wishes) -> str:
    """Say which rules failed how often, and how near the circuits came."""
    reasons = []
    for rule, count in Counter(rejection.rule for rejection in rejected).most_common():
        values = [rejection.value for rejection in rejected if rejection.rule == rule]
        if rule == _TOO_SHORT:
            reason = f"were shorter than {wishes.length[0]:.1f} m (the longest: {max(values):.1f} m)"
        elif rule == _TOO_LONG:
            reason = f"could not be shortened to {wishes.length[1]:.1f} m (the shortest: {min(values):.1f} m)"
        elif rule == _TOO_CLOSE:
            reason = f"had less than {wishes.clearance:.2f} m between two stretches (the best: {max(values):.2f} m)"
        else:
            reason = f"had no room for bends of {wishes.least_radius:.2f} m at the centre line"
        reasons.append(f"{count} {reason}")
    area = f"{wishes.area[0]:.2f} x {wishes.area[1]:.2f} m"
    return (
        f"None of {len(rejected)} circuits drawn in {area} meets the wishes: {', '.join(reasons)}; change one of them"
    )
