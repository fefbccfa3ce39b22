"""Random polygons to round circuits from: stars for flowing ones, outlines of grown cells for folded ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepracer_sim.tracks.track import FloatArray

_RING = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_FEWEST_CORNERS, _MOST_CORNERS = 4, 12
_MOST_CELLS = 20.0  # to each side; longer laps than this allows are none that anyone builds
_JITTER = 0.3  # of a cell
_DROPPED_CORNERS = 0.2


def draw_star(rng: np.random.Generator, room: FloatArray) -> FloatArray:
    """Draw a polygon whose corners lie around the middle of the room, some near, some far.

    Args:
        rng: Source of chance.
        room: Width and depth of the box to fill (2,), m.

    Returns:
        Corners (K, 2), m, counter-clockwise, around the origin.
    """
    count = int(rng.integers(_FEWEST_CORNERS, _MOST_CORNERS + 1))
    angle = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * (2.0 * np.pi / count) + rng.uniform(0.0, 2.0 * np.pi)
    reach = rng.uniform(rng.uniform(0.25, 0.7), 1.0, count)
    ray = np.column_stack([np.cos(angle), np.sin(angle)])
    # Scaled so that reach 1 ends on the edge of the box: its corners are used, too.
    return ray * (reach / np.max(np.abs(ray), axis=1))[:, None] * (0.5 * room)


def draw_folded(rng: np.random.Generator, room: FloatArray, cell: float, length: float) -> FloatArray:
    """Draw the outline of a shape grown cell by cell, with its corners shaken and some of them cut.

    Args:
        rng: Source of chance.
        room: Width and depth of the box to fill (2,), m.
        cell: Size of a cell, m: how far apart neighbouring stretches of the outline are.
        length: Length of outline at which growing ends, m; it ends earlier if the box is full.

    Returns:
        Corners (K, 2), m, counter-clockwise, around the origin.
    """
    size = np.clip(room // cell, 1.0, _MOST_CELLS)
    pitch = room / size
    cells = _grow(rng, (int(size[0]), int(size[1])), pitch, length)
    corners = _outline(cells) * pitch
    corners += rng.uniform(-_JITTER, _JITTER, corners.shape) * np.minimum(pitch, cell)
    kept = corners[rng.uniform(size=len(corners)) >= _DROPPED_CORNERS]
    return (kept if len(kept) >= _FEWEST_CORNERS else corners) - 0.5 * room


def _grow(rng: np.random.Generator, size: tuple[int, int], pitch: FloatArray, length: float) -> NDArray[np.bool_]:
    """Grow a shape without holes on a grid; returns the grid with an empty margin of one cell."""
    cells = np.zeros((size[0] + 2, size[1] + 2), dtype=np.bool_)
    cells[rng.integers(1, size[0] + 1), rng.integers(1, size[1] + 1)] = True
    # Favouring cells with one neighbour makes branches (long laps), favouring none makes lumps (short ones).
    branching = rng.uniform(1.0, 20.0)
    while _outline_length(cells, pitch) < length:
        candidates, weights = [], []
        for i in range(1, size[0] + 1):
            for j in range(1, size[1] + 1):
                neighbours = [bool(cells[i + di, j + dj]) for di, dj in _RING]
                if not cells[i, j] and _keeps_one_outline(neighbours):
                    candidates.append((i, j))
                    weights.append(branching if sum(neighbours[::2]) == 1 else 1.0)
        if not candidates:
            break
        cells[candidates[rng.choice(len(candidates), p=np.array(weights) / np.sum(weights))]] = True
    return cells


def _keeps_one_outline(neighbours: list[bool]) -> bool:
    """Tell whether a new cell joins the shape without closing a ring or touching it by a corner only.

    Args:
        neighbours: Whether each of the eight cells around it belongs to the shape, going round from the one beside it.
    """
    arcs = sum(here and not before for here, before in zip(neighbours, neighbours[-1:] + neighbours[:-1], strict=True))
    return arcs == 1 and any(neighbours[::2])


def _outline_length(cells: NDArray[np.bool_], pitch: FloatArray) -> float:
    across = np.count_nonzero(cells[1:] != cells[:-1])
    along = np.count_nonzero(cells[:, 1:] != cells[:, :-1])
    return float(across * pitch[1] + along * pitch[0])


def _outline(cells: NDArray[np.bool_]) -> FloatArray:
    """Corners of the outline (K, 2), counter-clockwise, in cells."""
    following: dict[tuple[int, int], tuple[int, int]] = {}
    for i, j in np.argwhere(cells).tolist():
        corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
        for k, (di, dj) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
            if not cells[i + di, j + dj]:
                following[corners[k]] = corners[(k + 1) % 4]
    first = min(following)
    path = [first]
    while (point := following[path[-1]]) != first:
        path.append(point)
    points = np.array(path, dtype=np.float64) - 1.0
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[np.any(before != after, axis=1)]
