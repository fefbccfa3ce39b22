"""Pictures of tracks, drives and trainings, drawn with matplotlib when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.files import write_atomic
from deepracer_sim.objects import BOX
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.report import maps, style
from deepracer_training.training_log import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepracer_sim.tracks.track import Track
    from deepracer_training.traces import Trace

VIOLATIONS = {
    EpisodeStatus.OFF_TRACK: ("off track", "X", style.RED),
    EpisodeStatus.CRASHED: ("crashed", "s", style.VIOLET),
    EpisodeStatus.IMMOBILIZED: ("immobilized", "D", style.MUTED),
    EpisodeStatus.REVERSED: ("reversed", "P", style.ORANGE),
}


def track_figure(track: Track) -> Figure:
    """Draw a track as it looks: road, borders, centre dashes, start line, driving direction and a scale."""
    with maps.settings():
        figure, axes = maps.figure_of(track, style.FIELD, 1.0)
        maps.draw_road(axes, track, style.ROAD)
        for border in (track.inner, track.outer):
            maps.draw_ring(axes, border, color=style.BORDER, linewidth=2.0)
        maps.draw_ring(
            axes, track.center, color=style.CENTER, linewidth=1.4, dashes=maps.dashes(axes), dash_capstyle="butt"
        )
        maps.draw_start(axes, track, style.BORDER)
        axes.set_title(track.name)
        turn = "counter-clockwise" if track.is_ccw else "clockwise"
        facts = f"{track.length:.2f} m long, {track.width:.2f} m wide, {turn}, tightest bend {track.min_radius:.2f} m"
        axes.set_title(facts, loc="right", color=style.MUTED, fontsize=9.5, fontweight="normal")
        return figure


def path_figure(
    track: Track, trace: Trace, *, title: str | None = None, boxes: NDArray[np.float64] | None = None
) -> Figure:
    """Draw every lap of a trace over the track, coloured by the speed that was really driven.

    Args:
        track: The road.
        trace: The laps.
        title: Over the picture.
        boxes: x, y, yaw of all boxes of all laps (K, 3), m, m, rad.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    with maps.settings():
        figure, axes = maps.figure_of(track, "none", 0.84)
        maps.draw_pale_track(axes, track)
        if boxes is not None:
            maps.draw_rectangles(axes, boxes, BOX.length, BOX.width, facecolor=style.BOX, alpha=0.45, zorder=1.5)
        segments: list[NDArray[np.float64]] = []
        speeds: list[float] = []
        for lap in trace.episodes():
            _append_runs(lap, segments, speeds)
        slow, fast = style.speed_range(np.repeat(speeds, [len(segment) for segment in segments]))
        scale = Normalize(slow, fast)
        lines = LineCollection(
            segments, array=np.array(speeds), cmap=style.speed_colormap(), norm=scale, linewidths=2.2, capstyle="round"
        )
        axes.add_collection(lines)
        for status, (label, marker, color) in VIOLATIONS.items():
            rows = trace.status == status.value
            if rows.any():
                axes.scatter(
                    trace.x[rows],
                    trace.y[rows],
                    s=64,
                    marker=marker,
                    color=color,
                    edgecolor="white",
                    zorder=5,
                    label=label,
                )
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(VIOLATIONS), handletextpad=0.1)
        bar = figure.colorbar(lines, ax=axes, fraction=0.025, pad=0.02, aspect=28, shrink=0.8, extend="min")
        bar.set_label("speed driven, m/s")
        bar.outline.set_visible(False)  # type: ignore[operator]  # matplotlib types the spine as a callable
        if title:
            axes.set_title(title)
        return figure


def training_figure(metrics_jsonl: Path, marks: Sequence[int] = ()) -> Figure:
    """Draw the curves of a training, all panels in one picture.

    Args:
        metrics_jsonl: The file.
        marks: Environment steps at which the training went on, for dashed lines.

    Raises:
        UserError: The file cannot be read.
    """
    from matplotlib.figure import Figure

    rows = read_metrics(metrics_jsonl)
    with maps.settings():
        figure = Figure(figsize=(12.0, 6.4), layout="constrained")
        for axes, (title, draw) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
            draw(axes, rows)
            for mark in marks:
                axes.axvline(mark, color=style.MUTED, linewidth=0.9, linestyle="--", zorder=1)
            axes.set_title(title)
            axes.set_xlabel("environment steps")
        return figure


def training_panels(metrics_jsonl: Path) -> dict[str, Figure]:
    """Draw the curves of a training, each in a picture of its own under its title.

    Raises:
        UserError: The file cannot be read.
    """
    from matplotlib.figure import Figure

    rows = read_metrics(metrics_jsonl)
    panels = {}
    with maps.settings():
        for title, draw in PANELS.items():
            figure = Figure(figsize=(4.6, 2.7), layout="constrained")
            axes = figure.subplots()
            draw(axes, rows)
            axes.set_xlabel("environment steps")
            panels[title] = figure
    return panels


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    with maps.settings():
        figure.savefig(buffer, format="png", dpi=style.PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure to a PNG file.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    write_atomic(path, png(figure))


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element for an HTML page, with CSS variables for the colours of the theme."""
    buffer = io.StringIO()
    with maps.settings():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for color, variable in style.THEME_VARIABLES.items():
        text = text.replace(color, variable)
    return text


def _append_runs(lap: Trace, segments: list[NDArray[np.float64]], speeds: list[float], levels: int = 24) -> None:
    """Cut a lap where the car was put back and where its speed, rounded to a few levels, changes."""
    xy = np.column_stack([lap.x, lap.y])
    speed, driven = driven_speed(lap)
    if not driven.any():
        return
    # Over five steps, a third of a second: AWS's time stamps jitter by 15 %.
    total, count = (np.convolve(values, np.ones(5))[2:-2] for values in (speed, driven))
    speed = total / np.maximum(count, 1.0)
    step = max(speed[driven].max() / levels, 1e-9)
    rounded = np.round(speed / step) * step
    start: int | None = None
    for row in range(1, len(lap)):
        if not driven[row]:
            start = None
            continue
        if start is None or rounded[row] != rounded[row - 1]:
            segments.append(xy[row - 1 : row])
            speeds.append(float(rounded[row]))
            start = row - 1
        segments[-1] = xy[start : row + 1]


def driven_speed(lap: Trace) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the speed with which each row of one lap was reached from the row before it, m/s, and where that holds.

    It does not where the car was put back on the track or waited out a penalty.
    """
    time = np.diff(lap.time_s, prepend=np.nan)
    distance = np.hypot(np.diff(lap.x, prepend=np.nan), np.diff(lap.y, prepend=np.nan))
    waiting = lap.status == EpisodeStatus.PAUSE.value
    with np.errstate(invalid="ignore"):
        # AWS's cars do at most 4 m/s; whatever is much faster was carried.
        driven = (time > 0.0) & (distance < 6.0 * np.maximum(time, 1e-9)) & ~waiting & ~np.roll(waiting, 1)
    return np.where(driven, distance / np.where(driven, time, 1.0), 0.0), driven


Rows = list[dict[str, Any]]


def _curve(axes: Axes, rows: Rows, key: str, color: str, label: str | None = None) -> None:
    points = [(row["steps"], row[key]) for row in rows if row.get(key) is not None]
    if points:
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=color, label=label, marker="o" if len(points) == 1 else None)
        axes.margins(x=0.01)
        axes.xaxis.set_major_formatter(_thousands)


def _thousands(value: float, _: float | None) -> str:
    return f"{value / 1000:g}k" if value else "0"


def _reward(axes: Axes, rows: Rows) -> None:
    _curve(axes, rows, "reward_mean", style.BLUE)


def _progress(axes: Axes, rows: Rows) -> None:
    _curve(axes, rows, "progress_mean", style.GREEN, "training")
    _curve(axes, rows, "trial_progress_mean", style.ORANGE, "without exploration")
    axes.set_ylim(0, 105)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    _legend(axes)


def _laps(axes: Axes, rows: Rows) -> None:
    _curve(axes, rows, "laps", style.VIOLET)


def _lap_time(axes: Axes, rows: Rows) -> None:
    _curve(axes, rows, "lap_time_mean_s", style.VIOLET, "training")
    _curve(axes, rows, "trial_lap_time_mean_s", style.ORANGE, "without exploration")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    _legend(axes)


def _losses(axes: Axes, rows: Rows) -> None:
    _curve(axes, rows, "policy_loss", style.BLUE, "policy")
    _curve(axes, rows, "value_loss", style.ORANGE, "value")
    _legend(axes)


def _entropy(axes: Axes, rows: Rows) -> None:
    _curve(axes, rows, "entropy", style.GREEN, "entropy")
    _curve(axes, rows, "explained_variance", style.MUTED, "explained variance")
    _legend(axes)


def _legend(axes: Axes) -> None:
    if len(axes.get_lines()) > 1:
        axes.legend(fontsize=8)


PANELS: dict[str, Callable[[Axes, Rows], None]] = {
    "Reward per episode": _reward,
    "Progress per episode": _progress,
    "Complete laps so far": _laps,
    "Lap time": _lap_time,
    "Losses": _losses,
    "Entropy and explained variance": _entropy,
}
