"""Tracks as the ground of a picture: axes to scale, road, borders, start line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepracer_training.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepracer_sim.tracks.track import Track


def settings() -> Any:
    """Return the context manager in which every figure is made and saved."""
    import matplotlib

    return matplotlib.rc_context(style.RC)


def figure_of(track: Track, ground: str, width_share: float) -> tuple[Figure, Axes]:
    """Return a figure with equal scales that fits the track, with a metre rule.

    Args:
        track: What has to fit.
        ground: Colour of the background.
        width_share: Part of the figure's width that is left for the map beside a colour bar.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.WIDTH_IN, height_in(track, width_share)), layout="constrained")
    axes = figure.subplots()
    prepare(axes, track, ground)
    return figure, axes


def height_in(track: Track, width_share: float) -> float:
    """Return the height of a map of `width_share` of a figure's width, in."""
    _, (width, height) = _extent(track)
    return min(max(width_share * style.WIDTH_IN * height / width + 0.4, 3.2), 9.0)


def prepare(axes: Axes, track: Track, ground: str = "none") -> None:
    """Make axes a map: equal scales that fit the track, nothing but a metre rule around it."""
    x_min, y_min, x_max, y_max = track.bounds
    margin, (width, _) = _extent(track)
    axes.set(xlim=(x_min - margin, x_max + margin), ylim=(y_min - margin, y_max + margin), aspect="equal")
    axes.set_facecolor(ground)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.set(xticks=[], yticks=[])
    meters = max(size for size in (0.5, 1, 2, 5, 10) if size <= max(0.2 * width, 0.5))
    left, bottom = x_min - 0.6 * margin, y_min - 0.55 * margin
    axes.plot([left, left + meters], [bottom, bottom], color=style.INK, linewidth=2, marker="|", markersize=8)
    axes.annotate(f"{meters:g} m", (left + meters, bottom), (6, 0), textcoords="offset points", va="center")


def draw_pale_track(axes: Axes, track: Track) -> None:
    """Draw the track as a background that leaves the attention to what is drawn on it."""
    draw_road(axes, track, style.ROAD_PALE)
    for border in (track.inner, track.outer):
        draw_ring(axes, border, color=style.BORDER_PALE, linewidth=1.2)
    draw_start(axes, track, style.BORDER_PALE)


def dashes(axes: Axes, length_m: float = 0.25) -> tuple[float, float]:
    """Return the lengths of dash and gap in points, for a line of 1 point."""
    low, high = axes.get_xlim()
    points = max(length_m * 72.0 * style.WIDTH_IN / (high - low), 2.0) / 1.4
    return points, points


def draw_road(axes: Axes, track: Track, color: str) -> None:
    """Fill the surface between the borders."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    # Two rings of opposite direction in one compound path leave the infield empty.
    rings = [track.outer, track.inner[::-1]]
    outline = Outline.make_compound_path(*(Outline(np.vstack([ring, ring[:1]]), closed=True) for ring in rings))
    axes.add_patch(PathPatch(outline, facecolor=color, edgecolor="none", zorder=1))


def draw_ring(axes: Axes, line: NDArray[np.float64], **options: Any) -> None:
    """Draw a closed line (M, 2)."""
    closed = np.vstack([line, line[:1]])
    axes.plot(closed[:, 0], closed[:, 1], zorder=2, **options)


def draw_rectangles(axes: Axes, poses: NDArray[np.float64], length: float, width: float, **options: Any) -> None:
    """Draw boxes or cars to scale; where those of several laps lie over each other they are darker.

    Args:
        axes: The map.
        poses: x, y, yaw of their middles (K, 3), m, m, rad.
        length: m.
        width: m.
        options: Of a `PolyCollection`.
    """
    from matplotlib.collections import PolyCollection

    forward = 0.5 * length * np.column_stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])])
    left = 0.5 * width * np.column_stack([-np.sin(poses[:, 2]), np.cos(poses[:, 2])])
    corners = [poses[:, :2] + a * forward + b * left for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    axes.add_collection(PolyCollection(list(np.stack(corners, axis=1)), **options))


def draw_start(axes: Axes, track: Track, color: str) -> None:
    """Draw the start line and behind it an arrow in driving direction."""
    # Across the centre line: the first rows of the two borders need not lie opposite each other.
    line = track.pose_at([0.0, 0.0], track.half_widths[0] * (1.0, -1.0))
    axes.plot(line[:, 0], line[:, 1], color=color, linewidth=3.5, zorder=3, solid_capstyle="butt")
    x, y, yaw = track.pose_at(0.0)[0]
    length = 0.5 * track.width
    tip = (x + 1.6 * length * np.cos(yaw), y + 1.6 * length * np.sin(yaw))
    tail = (x + 0.5 * length * np.cos(yaw), y + 0.5 * length * np.sin(yaw))
    axes.annotate(
        "", tip, tail, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2, "mutation_scale": 16}, zorder=4
    )


def _extent(track: Track) -> tuple[float, tuple[float, float]]:
    """Return the margin around a track and the size of the whole map, m."""
    x_min, y_min, x_max, y_max = track.bounds
    margin = 0.4 * track.width + 0.02 * max(x_max - x_min, y_max - y_min)
    return margin, (x_max - x_min + 2 * margin, y_max - y_min + 2 * margin)
