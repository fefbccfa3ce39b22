"""The boxes and cars that a car came to in a lap, and which of them it hit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepracer_sim.objects import Objects
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.explanation.laps import Lap
from deepracer_training.object_trace import worlds

BESIDE_M = 0.5
"""Along the lap, between the nose and the middle of what it comes to."""


@dataclass(frozen=True)
class Meeting:
    """One object that the car came to, where it was when it was hit or else nearest."""

    lap: int
    """From 1."""
    kind: str
    """`box` or `bot car`."""
    x: float
    y: float
    yaw: float
    """rad."""
    length: float
    """m."""
    width: float
    arc_length_m: float
    lateral_m: float
    """Of its middle, + = left of the centre line."""
    hits: tuple[int, ...]
    """Rows of the lap in which the car crashed into it."""


def meetings(lap: Lap, objects: Mapping[int, Objects]) -> Iterator[Meeting]:
    """List what the car came to in a lap.

    Args:
        lap: The lap.
        objects: For each episode, with a world for each of its steps.
    """
    episode = int(lap.trace.episode[0])
    if episode not in objects:
        return
    there = worlds(objects[episode], lap.trace.steps - 1)
    length = there.track.length
    gap = np.abs((there.arc_length - lap.way[:, None] + 0.5 * length) % length - 0.5 * length)
    apart = np.hypot(there.poses[..., 0] - lap.trace.x[:, None], there.poses[..., 1] - lap.trace.y[:, None])
    crashes = np.flatnonzero(lap.trace.status == EpisodeStatus.CRASHED.value)
    hit = apart[crashes].argmin(axis=1)
    for index, kind in enumerate(there.kinds):
        rows = crashes[hit == index]
        near = np.where(lap.driving & (gap[:, index] <= BESIDE_M), apart[:, index], np.inf)
        if not len(rows) and not np.isfinite(near).any():
            continue
        row = int(rows[0]) if len(rows) else int(near.argmin())
        x, y, yaw = there.poses[row, index].tolist()
        yield Meeting(
            lap=lap.number,
            kind=kind.name,
            x=x,
            y=y,
            yaw=yaw,
            length=kind.length,
            width=kind.width,
            arc_length_m=round(float(there.arc_length[row, index]), 3),
            lateral_m=round(float(there.lateral[row, index]), 3),
            hits=tuple(rows.tolist()),
        )


def by_kind(met: Sequence[Meeting]) -> dict[str, list[Meeting]]:
    """Return the meetings with each kind of object, in the order in which the kinds were met."""
    return {kind: [each for each in met if each.kind == kind] for kind in dict.fromkeys(each.kind for each in met)}


def hit_of(met: Sequence[Meeting]) -> str:
    """Return how many of them were hit, as "2 of 7"."""
    return f"{sum(bool(meeting.hits) for meeting in met)} of {len(met)}"


def plural(kind: str) -> str:
    """Return the plural of a kind of object."""
    return "boxes" if kind == "box" else f"{kind}s"
