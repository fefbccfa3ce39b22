"""Pictures of races between models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.report import style
from deepracer_training.report.maps import draw_pale_track, figure_of, settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepracer_sim.tracks.track import Track
    from deepracer_training.racing import Racer

COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.VIOLET, style.RED, style.INK, style.CENTER, style.MUTED)


def race_figure(track: Track, racers: Sequence[Racer]) -> Figure:
    """Draw the lines that the cars of a race took, the winner's last and on top, and where they crashed.

    Args:
        track: The road.
        racers: By place.
    """
    with settings():
        figure, axes = figure_of(track, "none", 1.0)
        draw_pale_track(axes, track)
        for place, (racer, color) in enumerate(zip(racers, COLORS, strict=False), 1):
            gap = (np.nan, np.nan, np.nan)
            path = np.array([pose for lap in racer.laps for pose in (*_cut(lap.poses), gap)])
            label = f"{place}. {racer.folder.name}"
            axes.plot(path[:, 0], path[:, 1], color=color, linewidth=1.6, zorder=10 - place, label=label)
            crashes = np.array(
                [(row.x, row.y) for lap in racer.laps for row in lap.rows if row.status == EpisodeStatus.CRASHED.value]
            ).reshape(-1, 2)
            axes.scatter(crashes[:, 0], crashes[:, 1], s=64, marker="s", color=color, edgecolor="white", zorder=11)
        axes.set_title(f"race on {track.name}")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4)
        return figure


def _cut(poses: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Put a gap where the referee has carried the car."""
    result: list[tuple[float, float, float]] = []
    for pose in poses:
        if result and np.hypot(pose[0] - result[-1][0], pose[1] - result[-1][1]) > CARRIED_M:
            result.append((np.nan, np.nan, np.nan))
        result.append(pose)
    return result


CARRIED_M = 0.35
"""No car drives so far in one step: 4 m/s for 1/15 s is 0.27 m."""
