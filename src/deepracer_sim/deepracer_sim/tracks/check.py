"""Checks of track data that say in plain words what is wrong, where, and how to mend it.

Errors make a track useless, warnings do not: real tracks break AWS's building rules here and there. Rows are counted
from 0, as NumPy does. The building rules are those of AWS's page "Build your physical track" [D 3].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

from deepracer_sim.tracks.track import FloatArray, Track, cumulative_length, distance_to_ring, signed_area

Severity: TypeAlias = Literal["error", "warning", "info"]

INCH = 0.0254
DRIVABLE_WIDTH = 0.3
"""Road that a 0.2 m wide car can still follow, m."""
BUILDING_WIDTH = 21 * INCH
"""AWS: 24 inches, give or take 3, between the border lines, m."""
TURN_RADIUS = 25 * INCH
"""AWS: least radius of a turn up to 90 degrees, from its centre to the outer border, m."""
SHARP_TURN_RADIUS = 30 * INCH
"""AWS: the same for a turn of more than 90 degrees, m."""

_FEWEST_ROWS = 8
_MOST_ROWS = 3000  # memory and time of some checks grow with the square; real tracks have up to 400
_FARTHEST = 1e5  # m; beyond that, sums of squares would lose the millimetres
_SMALLEST_SIDE = 0.1  # m, of the box around a line; half the width of the car
_WIDEST_GAP = 2.0  # m between way points; real files stay below 0.4 m
_PLAUSIBLE_LENGTH = (3.0, 500.0)
_STRAIGHT_CURVATURE = 0.2  # 1/m; wider than 5 m is no turn for a car of 0.3 m
_SHARP_TURN = math.radians(95.0)  # the angle of a turn is known to some degrees only
_RADIUS_TOLERANCE = 0.99  # way points on an arc estimate its radius to about 0.5 %
_LINES = (("centre line", 0), ("inner border", 2), ("outer border", 4))


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        code: Stable short name, for programs.
        message: What is wrong, what is expected, how to mend it.
        where: Place, such as "row 17, x 1.20, y 3.40"; empty if it concerns the whole track.
        severity: "error" if the track cannot be used, "warning" if it can, "info" for mere facts.
    """

    code: str
    message: str
    where: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        """Message and place in one line."""
        return f"{self.message} ({self.where})" if self.where else self.message


@dataclass(frozen=True)
class Turn:
    """One bend of the centre line.

    Attributes:
        row: Row at its tightest point.
        angle: Angle it turns through, rad, + = left.
        radius: Least radius at the centre line, m.
        outer_radius: The same from the centre of the turn to the outer border, which AWS's rules limit, m.
    """

    row: int
    angle: float
    radius: float
    outer_radius: float

    @property
    def outer_radius_limit(self) -> float:
        """Least `outer_radius` that AWS's building rules allow, m."""
        return SHARP_TURN_RADIUS if abs(self.angle) > _SHARP_TURN else TURN_RADIUS


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Leave out warnings and facts."""
    return [problem for problem in problems if problem.severity == "error"]


def check_array(array: NDArray[Any]) -> list[Problem]:
    """Check the array of a track file: first its form, then, if that is sound, the track in it.

    Args:
        array: Should be float64 (N, 6), closed: centre x, y, inner x, y, outer x, y, in m.
    """
    if array.dtype.kind not in "fiu":
        return [Problem("dtype", f"The array holds {array.dtype}, but way points are float64 numbers.")]
    if array.ndim != 2 or array.shape[1] != 6:
        return [
            Problem(
                "shape",
                f"The array's shape is {array.shape}, expected (N, 6): "
                "centre x, y, inner x, y, outer x, y in each row.",
            )
        ]
    if len(array) > _MOST_ROWS:
        return [
            Problem("too_many_rows", f"{len(array)} rows are more than {_MOST_ROWS}; take way points farther apart.")
        ]
    problems = []
    if array.dtype != np.dtype("<f8"):
        problems.append(
            Problem("dtype", f"The array holds {array.dtype}; it is converted to float64.", severity="warning")
        )
    rows = np.asarray(array, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = int(bad[0, 0]), int(bad[0, 1])
        name = f"{_LINES[column // 2][0]} {'xy'[column % 2]}"
        message = f"{len(bad)} of {rows.size} values are NaN or infinite, the first is {name}; all must be numbers."
        return [*problems, Problem("not_finite", message, f"row {row}")]
    if np.max(np.abs(rows), initial=0.0) > _FARTHEST:
        row, column = (int(index) for index in np.argwhere(np.abs(rows) > _FARTHEST)[0])
        message = f"The value {rows[row, column]:.3g} is farther than {_FARTHEST:.0f} m out; way points are in metres."
        return [*problems, Problem("too_far", message, f"row {row}")]
    distinct = len(np.unique(rows[:, :2], axis=0))
    if distinct < _FEWEST_ROWS:
        message = f"Only {distinct} different way points; a closed road needs at least {_FEWEST_ROWS}."
        return [*problems, Problem("too_few_rows", message)]
    problems += _check_closing(rows)
    problems += _check_steps(rows)
    return problems if errors_of(problems) else problems + check_track(Track.from_rows("track", rows))


def check_track(track: Track, *, strict: bool = False) -> list[Problem]:
    """Check the geometry of a track.

    Args:
        track: Track with finite way points.
        strict: Whether breaking AWS's rule for the radius of turns is an error instead of a warning.
    """
    problems = list(_check_lines(track))
    if problems:
        return problems
    problems += _check_width(track)
    problems += _check_turns(track, "error" if strict else "warning")
    x_min, y_min, x_max, y_max = track.bounds
    size = f"{track.length:.2f} m long, {track.width:.2f} m wide, on {x_max - x_min:.2f} x {y_max - y_min:.2f} m"
    if not _PLAUSIBLE_LENGTH[0] <= track.length <= _PLAUSIBLE_LENGTH[1]:
        message = f"The lap is {track.length:.4g} m long, which is odd for a 0.3 m car; way points are in metres."
        problems.append(Problem("length", message, severity="warning"))
    return [*problems, Problem("size", f"The track is {size}.", severity="info")]


def find_turns(track: Track) -> list[Turn]:
    """Split the centre line into its turns, in driving order; stretches wider than 5 m radius count as straight."""
    curvature = track.curvature()
    side = np.where(np.abs(curvature) > _STRAIGHT_CURVATURE, np.sign(curvature), 0.0)
    changes = np.flatnonzero(side != np.roll(side, 1))
    if len(changes) == 0:
        groups: list[NDArray[Any]] = [np.arange(len(side))] if side[0] else []
    else:
        rows = np.roll(np.arange(len(side)), -changes[0])
        groups = [group for group in np.split(rows, changes[1:] - changes[0]) if side[group[0]]]
    step = np.diff(track.cumulative)
    reach = 0.5 * (step + np.roll(step, 1))
    turns = []
    for group in groups:
        radius = 1.0 / np.abs(curvature[group])
        outside = track.half_widths[group, 1 if side[group[0]] > 0 else 0]
        tightest = int(np.argmin(radius + outside))
        turns.append(
            Turn(
                row=int(group[tightest]),
                angle=float(np.sum(curvature[group] * reach[group])),
                radius=float(radius[tightest]),
                outer_radius=float(radius[tightest] + outside[tightest]),
            )
        )
    return turns


def find_clearance(track: Track) -> tuple[float, int]:
    """Measure how near different stretches of the road come to each other.

    Two rows are on different stretches if the way along the road is more than twice the way across.

    Returns:
        Least distance between the borders of two stretches, m (negative where the road overlaps itself, infinite if no
        two stretches face each other), and the row where it is least.
    """
    across = np.linalg.norm(track.center[:, None] - track.center[None, :], axis=2)
    along = np.abs(track.arc_length[:, None] - track.arc_length[None, :])
    along = np.minimum(along, track.length - along)
    half = track.half_widths.max(axis=1)
    gap = np.where(along > 2.0 * across + track.width, across - half[:, None] - half[None, :], np.inf)
    row, column = np.unravel_index(int(np.argmin(gap)), gap.shape)
    return float(gap[row, column]), int(row)


def _check_closing(rows: FloatArray) -> Iterator[Problem]:
    if np.array_equal(rows[0], rows[-1]):
        return
    usual = float(np.median(np.linalg.norm(np.diff(rows[:, :2], axis=0), axis=1)))
    for name, column in _LINES:
        gap = float(np.linalg.norm(rows[0, column : column + 2] - rows[-1, column : column + 2]))
        if gap > 3.0 * usual:
            message = (
                f"The {name} is open: its last point is {gap:.2f} m from its first one, way points are {usual:.2f} m "
                "apart; the loop must be closed, with the first row repeated as the last."
            )
            yield Problem("open_loop", message, _place(len(rows) - 1, rows[-1, column : column + 2]))
            return
    yield Problem(
        "closing_row", "The first row is not repeated as the last one; the loop is closed for you.", severity="warning"
    )


def _check_steps(rows: FloatArray) -> Iterator[Problem]:
    same = np.flatnonzero(np.all(rows[1:, :2] == rows[:-1, :2], axis=1)) + 1
    if len(same):
        times = "once" if len(same) == 1 else f"{len(same)} times"
        message = f"A way point repeats the one before it {times}; repeated points are skipped when driving."
        yield Problem("duplicate_rows", message, _place(int(same[0]), rows[same[0], :2]), "warning")
    for name, column in _LINES:
        step = np.linalg.norm(np.diff(rows[:, column : column + 2], axis=0), axis=1)
        row = int(np.argmax(step))
        if step[row] > max(_WIDEST_GAP, 10.0 * float(np.median(step))):
            message = f"The {name} jumps {step[row]:.1f} m from one row to the next; is a point missing or wrong?"
            yield Problem("jump", message, _place(row, rows[row, column : column + 2]), "warning")


def _check_lines(track: Track) -> Iterator[Problem]:
    """Check that both borders and the centre line are three rings, one inside the other."""
    lines = {"centre line": track.center, "inner border": track.inner, "outer border": track.outer}
    sound = True
    for name, ring in lines.items():
        found = _crossing(ring, ring)
        if np.min(np.ptp(ring, axis=0)) < _SMALLEST_SIDE:
            sound = False
            yield Problem("no_area", f"The {name} encloses next to nothing; it must go round, in metres.")
        elif found:
            sound = False
            yield Problem("self_crossing", f"The {name} crosses or touches itself; the road must not overlap.", found)
    if not sound:
        return
    for first, second in itertools.combinations(lines, 2):
        found = _crossing(lines[first], lines[second])
        if found:
            sound = False
            yield Problem("lines_cross", f"The {first} crosses or touches the {second}.", found)
    if not sound:
        return
    inner, outer = shapely.Polygon(track.inner), shapely.Polygon(track.outer)
    if inner.contains(outer):
        message = "Inner and outer border are swapped; exchange columns 2, 3 with columns 4, 5 (counted from 0)."
        yield Problem("swapped_borders", message)
        return
    if not outer.contains(inner):
        yield Problem("borders_apart", "The inner border lies outside the outer border; it must be enclosed by it.")
        return
    off = np.flatnonzero(~track.on_road(track.center))
    if len(off):
        row = int(off[0])
        yield Problem(
            "center_off_road",
            f"{len(off)} of {len(track.center)} points of the centre line are not between the borders.",
            _place(row, track.center[row]),
        )
    for name in ("inner border", "outer border"):
        if (signed_area(lines[name]) > 0.0) != track.is_ccw:
            message = f"The {name} runs against the centre line; reverse the order of its points."
            yield Problem("border_direction", message)


def _check_width(track: Track) -> Iterator[Problem]:
    width = distance_to_ring(track.inner, track.outer)
    row = int(np.argmin(width))
    least, where = float(width[row]), _place(row, track.inner[row])
    if least < DRIVABLE_WIDTH:
        message = f"The road is only {least:.2f} m wide; a car of 0.2 m needs at least {DRIVABLE_WIDTH:.2f} m."
        yield Problem("too_narrow", message, where)
    elif least < BUILDING_WIDTH:
        message = f"The road is {least:.2f} m wide; AWS asks for {BUILDING_WIDTH:.2f} m or more (24 inches minus 3)."
        yield Problem("narrow", message, where, "warning")


def _check_turns(track: Track, severity: Severity) -> Iterator[Problem]:
    for turn in find_turns(track):
        if turn.outer_radius < _RADIUS_TOLERANCE * turn.outer_radius_limit:
            message = (
                f"A turn of {abs(math.degrees(turn.angle)):.0f} degrees has a radius of {turn.outer_radius:.2f} m to "
                f"the outer border; AWS's building rules ask for {turn.outer_radius_limit:.2f} m or more."
            )
            yield Problem("tight_turn", message, _place(turn.row, track.center[turn.row]), severity)


def _crossing(first: FloatArray, second: FloatArray) -> str:
    """Place where two rings, or one ring and itself, cross or touch; empty if they do not."""
    rows, pieces = _segments(first)
    same = first is second
    other = pieces if same else _segments(second)[1]
    pairs = shapely.STRtree(other).query(pieces, predicate="intersects")
    if same:
        count = len(pieces)
        apart = np.mod(pairs[0] - pairs[1], count)
        pairs = pairs[:, (apart > 1) & (apart < count - 1)]
    if pairs.shape[1] == 0:
        return ""
    k = int(np.argmin(pairs[0]))
    point = shapely.centroid(shapely.intersection(pieces[pairs[0, k]], other[pairs[1, k]]))
    return _place(int(rows[pairs[0, k]]), np.array([point.x, point.y]))


def _segments(ring: FloatArray) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Rows where segments of some length start, and these segments as shapely lines."""
    rows = np.flatnonzero(np.diff(cumulative_length(ring)) > 0.0)
    return rows, shapely.linestrings(np.stack([ring[rows], ring[(rows + 1) % len(ring)]], axis=1))


def _place(row: int, point: FloatArray) -> str:
    return f"row {row}, x {point[0]:.2f}, y {point[1]:.2f}"
