"""Two cameras' images side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepracer_training.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 8
"""More than this many poses are not shown; the first ones are not special, so they are spread over all."""
DIFFERENCE = 64
"""Grey levels at which the colours of the differences end."""


def cameras_figure(frames: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], titles: Sequence[str]) -> Figure:
    """Draw pairs of grey images (H, W) and their difference, a row for each.

    Args:
        frames: Gazebo's and the embedded camera's.
        titles: Of each pair.
    """
    from matplotlib.figure import Figure

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_ROWS)).round().astype(int))
    height, width = frames[0][0].shape
    figure = Figure(
        figsize=(9.0, 3.0 * height / width * len(chosen) + 0.6), layout="constrained", facecolor=style.PAPER
    )
    grid = figure.subplots(len(chosen), 3, squeeze=False)
    for axes, index in zip(grid, chosen, strict=True):
        first, second = frames[index]
        for place, image in zip(axes, (first, second), strict=False):
            place.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        shown = axes[2].imshow(
            first.astype(int) - second, cmap="RdBu_r", vmin=-DIFFERENCE, vmax=DIFFERENCE, interpolation="nearest"
        )
        axes[0].set_ylabel(titles[index], color=style.INK)
        for place in axes:
            place.set_xticks([])
            place.set_yticks([])
    for place, title in zip(grid[0], ("Gazebo", "embedded", "Gazebo - embedded, grey levels"), strict=True):
        place.set_title(title, color=style.INK, fontsize=10)
    figure.colorbar(shown, ax=grid[:, 2], fraction=0.04)
    return figure
