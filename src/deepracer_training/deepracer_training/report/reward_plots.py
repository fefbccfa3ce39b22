"""Pictures of a reward function: what replayed laps earn on the map, along the track, and of which terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepracer_sim.simulator import FloatArray
from deepracer_training.report import maps, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepracer_sim.tracks.track import Track
    from deepracer_training.rewards.preview import Preview
    from deepracer_training.rewards.replay import Replay

COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.VIOLET, style.RED, style.CENTER, style.MUTED)
REGION_COLORS = {"dead": style.RED, "saturated": style.CENTER, "flat": style.MUTED}
MAX_TERMS = len(COLORS)


def reward_figure(track: Track, replay: Replay, preview: Preview, title: str) -> Figure:
    """Draw the reward on the map and along the track, and its terms if there are any."""
    from matplotlib.figure import Figure

    with maps.settings():
        rows = 3 if preview.terms else 2
        map_in = maps.height_in(track, 0.84)
        heights = [map_in, *[2.4] * (rows - 1)]
        figure = Figure(figsize=(style.WIDTH_IN, sum(heights)), layout="constrained")
        panels = figure.subplots(rows, 1, height_ratios=heights)
        _draw_map(figure, panels[0], track, replay)
        panels[0].set_title(title)
        _draw_along(panels[1], track, preview)
        if preview.terms:
            _draw_terms(panels[2], track, replay, preview)
        panels[-1].set_xlabel("along the centre line, m")
        return figure


def _draw_map(figure: Figure, axes: Axes, track: Track, replay: Replay) -> None:
    maps.prepare(axes, track)
    maps.draw_pale_track(axes, track)
    low, high = np.percentile(replay.reward, [2, 98])
    # Poor steps last: they are the rare ones.
    order = np.argsort(-replay.reward, kind="stable")
    dots = axes.scatter(
        replay.trace.x[order],
        replay.trace.y[order],
        c=replay.reward[order],
        cmap="viridis",
        vmin=low,
        vmax=max(high, low + 1e-9),
        s=9,
        linewidths=0,
        zorder=4,
    )
    beyond = (float(replay.reward.min()) < low, float(replay.reward.max()) > high)
    extend = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}[beyond]
    bar = figure.colorbar(dots, ax=axes, fraction=0.025, pad=0.02, aspect=28, shrink=0.8, extend=extend)
    bar.set_label("reward of a step")
    bar.outline.set_visible(False)  # type: ignore[operator]  # matplotlib types the spine as a callable


def _draw_along(axes: Axes, track: Track, preview: Preview) -> None:
    bins = preview.bins
    s = np.append(bins.begin_m, track.length)
    for region in preview.regions:
        pieces = [(region.begin_m, region.end_m)]
        if region.end_m <= region.begin_m:
            pieces = [(region.begin_m, track.length), (0.0, region.end_m)]
        for begin, end in pieces:
            axes.axvspan(begin, end, color=REGION_COLORS[region.kind], alpha=0.15, linewidth=0, zorder=0)
    axes.fill_between(
        s, _closed(bins.minimum), _closed(bins.maximum), step="post", color=style.BLUE, alpha=0.2, linewidth=0
    )
    axes.step(s, _closed(bins.mean), where="post", color=style.BLUE)
    axes.set(xlim=(0.0, track.length))
    axes.set_title("Reward of a step along the track: mean, lowest and highest")
    kinds = {region.kind for region in preview.regions}
    if kinds:
        from matplotlib.patches import Patch

        handles = [Patch(color=REGION_COLORS[kind], alpha=0.3, label=kind) for kind in REGION_COLORS if kind in kinds]
        axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8)


def _draw_terms(axes: Axes, track: Track, replay: Replay, preview: Preview) -> None:
    terms = sorted(preview.terms, key=lambda term: -abs(term.mean))[:MAX_TERMS]
    count = len(preview.bins.begin_m)
    index = np.minimum((replay.arc_length / track.length * count).astype(np.int64), count - 1)
    s = np.append(preview.bins.begin_m, track.length)
    for term, color in zip(terms, COLORS, strict=False):
        values = replay.terms[term.name]
        known = np.isfinite(values)
        total = np.bincount(index[known], values[known], count)
        number = np.bincount(index[known], minlength=count)
        mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        axes.step(s, _closed(mean), where="post", color=color, label=term.name, linewidth=1.4)
    axes.set(xlim=(0.0, track.length))
    left_out = len(preview.terms) - len(terms)
    axes.set_title(f"Its terms, the {len(terms)} largest of {len(preview.terms)}" if left_out else "Its terms")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=8)


def _closed(values: FloatArray) -> FloatArray:
    return np.append(values, values[-1:])
