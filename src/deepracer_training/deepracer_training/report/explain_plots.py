"""The picture of an explanation: where time goes on the map, and speed, line and steering along the track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.explanation.analysis import Explanation, SectionFacts, Steps
from deepracer_training.explanation.laps import Limits
from deepracer_training.explanation.meetings import Meeting, by_kind, plural
from deepracer_training.report import maps, style
from deepracer_training.report.plots import VIOLATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOST_COLORS = ("#dfe9df", "#f6c63a", "#f0702a", "#d7263d")
"""From no time lost to the most."""
LABEL_STEP_M = 0.05
PANEL_IN = 1.7
PASSED: dict[str, Any] = {"facecolor": style.BOX, "alpha": 0.45, "zorder": 2.5}
HIT: dict[str, Any] = {"facecolor": style.BOX, "edgecolor": style.INK, "linewidth": 1.8, "zorder": 2.6}
"""How objects are drawn."""


def explanation_figure(track: Track, explanation: Explanation, limits: Limits, title: str) -> Figure:
    """Draw the map with the time lost in each section, and four curves along the track below it."""
    from matplotlib.figure import Figure

    with maps.settings():
        map_in = maps.height_in(track, 0.84)
        heights = [map_in, *[PANEL_IN] * 4]
        figure = Figure(figsize=(style.WIDTH_IN, sum(heights) + 0.4), layout="constrained")
        top, *panels = figure.subplots(5, 1, height_ratios=heights)
        _draw_map(figure, top, track, explanation)
        top.set_title(title)
        _draw_lost(panels[0], track, explanation)
        _draw_speed(panels[1], explanation.steps, limits)
        _draw_line(panels[2], track, explanation)
        _draw_steering(panels[3], explanation.steps, limits)
        for axes in panels:
            axes.set_xlim(0.0, track.length)
            for section in explanation.sections:
                axes.axvline(section.begin_m % track.length, color=style.GRID, linewidth=1.2, zorder=0)
            axes.grid(False, axis="x")
        panels[-1].set_xlabel("along the centre line, m; vertical lines: where the sections begin")
        return figure


def _draw_map(figure: Figure, axes: Axes, track: Track, explanation: Explanation) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.patches import Polygon

    maps.prepare(axes, track)
    maps.draw_pale_track(axes, track)
    colors = LinearSegmentedColormap.from_list("lost", LOST_COLORS)
    lost = [max(one.lost_s or 0.0, 0.0) / (one.end_m - one.begin_m) for one in explanation.sections]
    scale = Normalize(0.0, max(*lost, 0.05))
    for section, value in zip(explanation.sections, lost, strict=True):
        s = np.arange(section.begin_m, section.end_m + LABEL_STEP_M, LABEL_STEP_M).clip(max=section.end_m)
        half = np.array(
            [np.interp(s, track.arc_length, track.half_widths[:, side], period=track.length) for side in (0, 1)]
        )
        edges = np.vstack([track.pose_at(s, half[0])[:, :2], track.pose_at(s, -half[1])[::-1, :2]])
        axes.add_patch(Polygon(edges, closed=True, facecolor=colors(scale(value)), edgecolor="none", zorder=1.5))
        _label(axes, track, section)
    _draw_meetings(axes, explanation.meetings)
    steps = explanation.steps
    for lap in np.unique(steps.lap):
        rows = steps.lap == lap
        jumps = np.hypot(np.diff(steps.x[rows]), np.diff(steps.y[rows])) > 0.5 * track.width
        x, y = (np.insert(column[rows], np.flatnonzero(jumps) + 1, np.nan) for column in (steps.x, steps.y))
        axes.plot(x, y, color=style.INK, linewidth=0.7, alpha=0.5, zorder=4)
    for status, (label, marker, color) in VIOLATIONS.items():
        spots = [spot for spot in explanation.hotspots if spot.status == status.value]
        if spots:
            size = [60.0 + 25.0 * min(spot.count, 10) for spot in spots]
            place = ([spot.x for spot in spots], [spot.y for spot in spots])
            axes.scatter(*place, s=size, marker=marker, color=color, edgecolor="white", zorder=5, label=label)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(VIOLATIONS), handletextpad=0.1)
    bar = figure.colorbar(ScalarMappable(scale, colors), ax=axes, fraction=0.025, pad=0.02, aspect=28, shrink=0.8)
    bar.set_label("time lost, s per m")
    bar.outline.set_visible(False)  # type: ignore[operator]  # matplotlib types the spine as a callable


def _draw_meetings(axes: Axes, meetings: Sequence[Meeting]) -> None:
    """Draw what the cars came to; what was hit stands out."""
    for meeting in meetings:
        look = HIT if meeting.hits else PASSED
        pose = np.array([[meeting.x, meeting.y, meeting.yaw]])
        maps.draw_rectangles(axes, pose, meeting.length, meeting.width, **look)


def _label(axes: Axes, track: Track, section: SectionFacts) -> None:
    """Write a section's name into the infield or outside, away from the road."""
    middle = 0.5 * (section.begin_m + section.end_m)
    side = 1.0 if section.kind == "right" else -1.0
    x, y, yaw = track.pose_at(middle, side * 0.5 * track.width)[0]
    away = np.array([-np.sin(yaw), np.cos(yaw)]) * side
    level = abs(float(away[0])) > 0.5
    across = ("left" if away[0] > 0 else "right") if level else "center"
    upright = "center" if level else "bottom" if away[1] > 0 else "top"
    name = section.name.replace("straight ", "S").replace("left ", "L").replace("right ", "R")
    axes.annotate(
        name,
        (x, y),
        (7.0 * float(away[0]), 7.0 * float(away[1])),
        textcoords="offset points",
        color=style.MUTED,
        fontsize=8.5,
        ha=across,
        va=upright,
    )


def _draw_lost(axes: Axes, track: Track, explanation: Explanation) -> None:
    for section in explanation.sections:
        for begin, end in _on_axis(section.begin_m, section.end_m, track.length):
            lost, best = section.lost_s, section.time_best_s
            if lost is None or best is None:
                continue
            width = end - begin
            axes.bar(begin, lost, width, align="edge", color=style.RED if lost > 0.0 else style.GREEN, alpha=0.75)
            axes.hlines(best - section.reference_s, begin, end, color=style.INK, linewidth=1.6)
    axes.axhline(0.0, color=style.MUTED, linewidth=0.8)
    axes.set_title("Time lost (green: won) in each section, s; line: its best pass")


def _draw_speed(axes: Axes, steps: Steps, limits: Limits) -> None:
    _curves(axes, steps, steps.speed, style.BLUE)
    axes.axhline(limits.top_speed, color=style.MUTED, linewidth=1.0, linestyle="--")
    axes.set_ylim(bottom=0.0)
    axes.set_title("Speed driven, m/s (dashed: fastest action)")


def _draw_line(axes: Axes, track: Track, explanation: Explanation) -> None:
    order = np.append(track.arc_length, track.length)
    for side, sign in ((0, 1.0), (1, -1.0)):
        border = sign * np.append(track.half_widths[:, side], track.half_widths[:1, side])
        axes.plot(order, border, color=style.BORDER_PALE, linewidth=1.2)
    _curves(axes, explanation.steps, explanation.steps.lateral, style.VIOLET)
    for meeting in explanation.meetings:
        look = HIT if meeting.hits else PASSED
        place = np.array([[meeting.arc_length_m, meeting.lateral_m, 0.0]])
        maps.draw_rectangles(axes, place, meeting.length, meeting.width, **look)
    there = ", ".join(map(plural, by_kind(explanation.meetings)))
    axes.set_title(
        f"Left of the centre line, m (grey: borders{'; brown: ' + there + ', framed: hit' if there else ''})"
    )


def _draw_steering(axes: Axes, steps: Steps, limits: Limits) -> None:
    for limit in (limits.steering_low, limits.steering_high):
        axes.axhline(limit, color=style.MUTED, linewidth=1.0, linestyle="--")
    _curves(axes, steps, steps.steering_angle, style.ORANGE)
    axes.set_title("Steering commanded, degrees to the left (dashed: limits)")


def _curves(axes: Axes, steps: Steps, values: FloatArray, color: str) -> None:
    """Draw one pale curve per lap, cut at the start line and where a car was put back, and the mean of all."""
    for lap in np.unique(steps.lap):
        rows = steps.lap == lap
        s, value = steps.arc_length[rows], values[rows]
        cuts = np.flatnonzero(np.abs(np.diff(s)) > 1.0) + 1
        axes.plot(np.insert(s, cuts, np.nan), np.insert(value, cuts, np.nan), color=color, linewidth=0.7, alpha=0.35)
    known = steps.settled & np.isfinite(values)
    if not known.any():
        return
    edges = np.linspace(0.0, steps.arc_length.max() + 1e-9, max(round(float(steps.arc_length.max()) / 0.25), 2) + 1)
    total, _ = np.histogram(steps.arc_length[known], edges, weights=values[known])
    count, _ = np.histogram(steps.arc_length[known], edges)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    axes.plot(0.5 * (edges[1:] + edges[:-1]), mean, color=color, linewidth=2.0)


def _on_axis(begin: float, end: float, length: float) -> list[tuple[float, float]]:
    """Return a section's pieces on an axis from 0 to the lap's length."""
    return [(begin, end)] if end <= length else [(begin, length), (0.0, end - length)]
