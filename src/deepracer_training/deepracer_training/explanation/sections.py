"""A lap cut into straights and bends, so that places have names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track

STEP_M = 0.05
SMOOTHED_M = 0.3
BEND_CURVATURE = 0.3
"""1/m; a radius of more than 3 m is a straight for so small a car, unless the track has none tighter."""
BEND_SHARE = 0.25
"""Of the tightest bend's curvature: what is a bend on a track that has only wide ones."""
MIN_M = 0.5
MAX_M = 4.0


@dataclass(frozen=True)
class Section:
    """A stretch of the lap."""

    name: str
    """`straight 1`, `left 2`, `right 1`; with a letter where a long one was cut."""
    kind: str
    """`straight`, `left` or `right`."""
    begin_m: float
    length_m: float

    @property
    def end_m(self) -> float:
        """Arc length of its end; beyond the lap's length when it goes on over the start line."""
        return self.begin_m + self.length_m


def sections(track: Track) -> list[Section]:
    """Cut a lap where it begins and ends to bend, in driving order from the first cut on."""
    count = max(round(track.length / STEP_M), 8)
    step = track.length / count
    runs = _runs(_kinds(track, count, step), max(round(MIN_M / step), 1))
    numbers = {"straight": 0, "left": 0, "right": 0}
    found = []
    for kind, begin, pieces in runs:
        numbers[kind] += 1
        length = pieces * step
        parts = int(np.ceil(length / MAX_M))
        for part in range(parts):
            letter = chr(ord("a") + part) if parts > 1 else ""
            start = (begin * step + part * length / parts) % track.length
            found.append(Section(f"{kind} {numbers[kind]}{letter}", kind, start, length / parts))
    return found


def section_at(cut: list[Section], arc_length: FloatArray, length: float) -> NDArray[np.int64]:
    """Return the index of the section of each arc length (M,), m."""
    begins = np.array([section.begin_m for section in cut])
    order = np.argsort(begins)
    place = np.searchsorted(begins[order], np.mod(arc_length, length), side="right") - 1
    return np.asarray(order[place])  # -1, before the first begin, is the section that goes on over the start line


def _kinds(track: Track, count: int, step: float) -> list[str]:
    s = step * (np.arange(count) + 0.5)
    bend = np.interp(s, track.arc_length, track.curvature(), period=track.length)
    half = max(round(0.5 * SMOOTHED_M / step), 1)
    padded = np.concatenate([bend[-half:], bend, bend[:half]])
    smooth = np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), "valid")
    limit = min(BEND_CURVATURE, BEND_SHARE * float(np.abs(smooth).max()))
    return ["straight" if abs(value) < limit else "left" if value > 0 else "right" for value in smooth.tolist()]


def _runs(kinds: list[str], shortest: int) -> list[tuple[str, int, int]]:
    """Return kind, begin and number of pieces of each run, short ones joined to their neighbours."""
    count = len(kinds)
    cuts = [i for i in range(count) if kinds[i] != kinds[i - 1]]
    if not cuts:
        return [(kinds[0], 0, count)]
    # Begin at the cut before the start line, so that the section with the start line is the first one.
    first = cuts[-1]
    turned = kinds[first:] + kinds[:first]
    runs = [(kind, len(list(group))) for kind, group in groupby(turned)]
    while len(runs) > 1:
        index = min(range(len(runs)), key=lambda i: runs[i][1])
        if runs[index][1] >= shortest:
            break
        # Into the longer neighbour.
        neighbour = max(runs[index - 1], runs[(index + 1) % len(runs)], key=lambda run: run[1])
        runs[index] = (neighbour[0], runs[index][1])
        runs = [(kind, sum(pieces for _, pieces in group)) for kind, group in groupby(runs, key=lambda run: run[0])]
        if len(runs) > 1 and runs[0][0] == runs[-1][0]:
            kind, moved = runs.pop()
            runs[0] = (kind, runs[0][1] + moved)
            first -= moved
    return list(_placed(runs, first, count))


def _placed(runs: list[tuple[str, int]], begin: int, count: int) -> Iterator[tuple[str, int, int]]:
    for kind, pieces in runs:
        yield kind, begin % count, pieces
        begin += pieces
