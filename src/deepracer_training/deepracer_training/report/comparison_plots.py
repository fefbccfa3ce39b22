"""Pictures of a comparison: lap times side by side, all training curves in one figure, driven lines over one track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepracer_training.report import maps, style
from deepracer_training.report.plots import driven_speed
from deepracer_training.training_log import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepracer_sim.tracks.track import Track
    from deepracer_training.comparison.compare import Compared
    from deepracer_training.traces import Trace

COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.VIOLET, style.RED, "#18b3a7", "#b0892f", "#d25fa8")
"""Of the entries, in their order; more entries begin again with dashed lines."""
CURVES = {
    "progress_mean": ("Progress per training episode", "%"),
    "trial_progress_mean": ("Progress without exploration", "%"),
    "trial_lap_time_mean_s": ("Lap time without exploration", "s"),
    "reward_mean": ("Reward per training episode", ""),
}


def color_of(index: int) -> str:
    """Return the colour of an entry."""
    return COLORS[index % len(COLORS)]


def lap_time_figure(compared: Sequence[Compared]) -> Figure:
    """Draw every complete lap as a dot, the mean with its confidence interval as a bar; the first entry on top."""
    from matplotlib.figure import Figure

    with maps.settings():
        figure = Figure(figsize=(style.WIDTH_IN, 1.1 + 0.55 * len(compared)), layout="constrained")
        axes = figure.subplots()
        for row, one in enumerate(compared):
            times = [lap.lap_time_s for lap in one.entry.laps if lap.lap_time_s is not None]
            # Spread over the row in the order of the laps, so that equal times stay visible.
            heights = row + 0.26 * (np.arange(len(times)) % 5 - 2.0) / 2.0
            axes.scatter(times, heights, s=20, color=color_of(row), alpha=0.55, linewidths=0)
            mean = one.figures.lap_time_s
            if mean.value is None:
                axes.annotate("no complete lap", (0.01, row), xycoords=("axes fraction", "data"), va="center")
                continue
            if mean.low is not None and mean.high is not None:
                axes.plot([mean.low, mean.high], [row, row], color=color_of(row), linewidth=5, alpha=0.45)
            axes.plot([mean.value], [row], marker="|", markersize=18, markeredgewidth=2.5, color=color_of(row))
        axes.set_yticks(range(len(compared)), [one.entry.label for one in compared])
        axes.set_ylim(len(compared) - 0.5, -0.5)
        axes.set_xlabel("lap time, s")
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", labelcolor=style.INK)
        return figure


def curves_figure(compared: Sequence[Compared]) -> Figure | None:
    """Draw the training curves of all models in one figure; None if none has been trained here."""
    from matplotlib.figure import Figure

    # A model with several evaluations has the colour of the first one.
    folders = {one.entry.folder: index for index, one in reversed(list(enumerate(compared)))}
    trainings = [
        (index, folder.name, read_metrics(folder.metrics_jsonl))
        for folder, index in sorted(folders.items(), key=lambda pair: pair[1])
        if folder.metrics_jsonl.is_file()
    ]
    if not any(rows for _, _, rows in trainings):
        return None
    with maps.settings():
        figure = Figure(figsize=(style.WIDTH_IN, 5.8), layout="constrained")
        for axes, (key, (title, unit)) in zip(figure.subplots(2, 2).flat, CURVES.items(), strict=True):
            for index, name, rows in trainings:
                points = [(row["steps"], row[key]) for row in rows if row.get(key) is not None]
                if points:
                    dashed = "--" if index >= len(COLORS) else "-"
                    marker = "o" if len(points) < 3 else None
                    axes.plot(*zip(*points, strict=True), dashed, color=color_of(index), label=name, marker=marker)
            _finish_curve(axes, title, unit)
        handles, labels = max((axes.get_legend_handles_labels() for axes in figure.axes), key=lambda pair: len(pair[1]))
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        return figure


def paths_figure(track: Track, traces: Sequence[tuple[int, str, Trace]]) -> Figure:
    """Draw the lines that several entries drove over one track.

    Args:
        track: The road.
        traces: Index for the colour, label and trace of each entry.
    """
    from matplotlib.collections import LineCollection

    with maps.settings():
        figure, axes = maps.figure_of(track, "none", 0.95)
        maps.draw_pale_track(axes, track)
        for index, label, trace in traces:
            lines = []
            for lap in trace.episodes():
                _, driven = driven_speed(lap)
                points = np.column_stack([lap.x, lap.y])
                # A new line wherever the car was put back.
                cuts = np.flatnonzero(~driven)
                lines += [part for part in np.split(points, cuts[cuts > 0]) if len(part) > 1]
            axes.add_collection(LineCollection(lines, colors=color_of(index), linewidths=1.1, alpha=0.6))
            axes.plot([], [], color=color_of(index), linewidth=2.5, label=label)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4)
        return figure


def _finish_curve(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("environment steps")
    axes.margins(x=0.01)
    if not axes.lines:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center")
        return
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    if unit:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} {unit}")
    if unit == "%":
        axes.set_ylim(0, 105)
