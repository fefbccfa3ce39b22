"""Small pictures for the terminal, drawn with braille characters of 2 x 4 dots each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deepracer_sim.tracks.track import Track

_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bit of each dot in a braille character, rows from top to bottom."""


class Canvas:
    """A grid of dots; x to the right, y up, both counted in dots from the lower left corner."""

    def __init__(self, columns: int, rows: int) -> None:
        """Make an empty canvas of `columns` x `rows` characters."""
        self.width, self.height = 2 * columns, 4 * rows
        self._dots = np.zeros((self.height, self.width), dtype=np.bool_)

    def line(self, points: NDArray[np.float64]) -> None:
        """Draw a polyline through `points` (M, 2); what lies outside is left out."""
        for begin, end in pairwise(points):
            count = int(np.ceil(np.abs(end - begin).max())) + 1
            x, y = np.rint(np.linspace(begin, end, count + 1)).astype(int).T
            inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
            self._dots[self.height - 1 - y[inside], x[inside]] = True

    def lines(self) -> list[str]:
        """Return the picture as text, one string per row of characters."""
        cells = self._dots.reshape(self.height // 4, 4, self.width // 2, 2)
        codes = np.einsum("rycx,yx->rc", cells.astype(int), _BITS)
        return ["".join(chr(0x2800 + code) for code in row).replace("\u2800", " ").rstrip() for row in codes]


def track_drawing(track: Track, columns: int = 72, rows: int = 22) -> list[str]:
    """Draw a track's borders and start line to scale in at most `columns` x `rows` characters."""
    x_min, y_min, x_max, y_max = track.bounds
    size = np.array([x_max - x_min, y_max - y_min])
    # Dots are as wide as high, since a character is about twice as high as wide.
    scale = float(np.min((np.array([2 * columns, 4 * rows]) - 1) / size))
    used = np.ceil((np.rint(size * scale) + 1) / (2, 4)).astype(int)
    canvas = Canvas(int(used[0]), int(used[1]))
    start = track.pose_at(np.zeros(2), np.array([0.5, -0.5]) * track.width)[:, :2]
    for ring in (track.inner, track.outer):
        canvas.line((np.vstack([ring, ring[:1]]) - (x_min, y_min)) * scale)
    canvas.line((start - (x_min, y_min)) * scale)
    return canvas.lines()


def curve_drawing(
    x: Sequence[float],
    y: Sequence[float],
    top: float,
    label: str,
    columns: int = 64,
    rows: int = 8,
    *,
    bottom: float = 0.0,
    unit: str = "steps",
) -> list[str]:
    """Draw a curve over 0..max(x), `bottom`..`top`, with a frame that names both ends.

    Args:
        x: Positions, ascending.
        y: Values; what lies outside `bottom`..`top` is left out.
        top: Upper end of the y axis.
        label: What the curve shows.
        columns: Width of the curve in characters.
        rows: Height in characters.
        bottom: Lower end of the y axis.
        unit: Of the positions.
    """
    canvas = Canvas(columns, rows)
    scale = ((canvas.width - 1) / max(x[-1], 1e-9), (canvas.height - 1) / (top - bottom))
    canvas.line((np.column_stack([x, y]) - (0.0, bottom)) * scale)
    picture = canvas.lines()
    margin = [f"{top:>6.4g}", *[" " * 6] * (rows - 2), f"{bottom:>6.4g}"]
    body = [f"{left} │{line}" for left, line in zip(margin, picture, strict=True)]
    return [f"{' ' * 8}{label}", *body, f"{' ' * 7}└{'─' * columns}", f"{' ' * 8}{f'{x[-1]:,.0f} {unit}':>{columns}}"]
