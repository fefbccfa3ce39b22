"""Colours and sizes that all pictures, videos and pages share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

INK = "#1c2530"
MUTED = "#66717f"
GRID = "#e1e6ec"
PAPER = "#ffffff"
"""The four that the page's dark theme replaces; see `THEME_VARIABLES`."""

FIELD = "#dfe9df"
ROAD = "#454c55"
ROAD_PALE = "#e9edf1"
BORDER = "#ffffff"
BORDER_PALE = "#9aa5b1"
CENTER = "#f3b43f"
BLUE = "#2f7de1"
GREEN = "#2aa876"
ORANGE = "#f08a24"
RED = "#e0474c"
VIOLET = "#8b6be0"
BOX = "#a97c50"

SPEED_STOPS = ("#3b3fb6", "#2f7de1", "#18b3a7", "#8fce3d", "#f6c63a", "#f0702a", "#d7263d")
"""Slow to fast; readable on the dark and on the pale road."""

THEME_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    ROAD_PALE: "var(--road)",
    BORDER_PALE: "var(--border)",
}
"""Colours that become CSS variables in an inline SVG, so that the picture follows the page's theme."""

PNG_DPI = 144
WIDTH_IN = 9.0

RC: Any = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "figure.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "deepracer",
}
"""matplotlib settings of every figure."""


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green, blue 0..255 of `#rrggbb`."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def speed_colormap() -> Colormap:
    """Return the colour scale of speeds for matplotlib."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("speed", SPEED_STOPS)


def speed_range(speeds: ArrayLike) -> tuple[float, float]:
    """Return the speeds at the ends of the colour scale, m/s.

    The slowest tenth, which is mostly the standing start, does not stretch the scale, so that straights and bends
    differ in colour; and the scale spans at least 0.5 m/s, so that noise does not.

    Args:
        speeds: All that were driven, m/s.
    """
    values = np.asarray(speeds, np.float64)
    if not values.size:
        return 0.0, 1.0
    high = max(math.ceil(10.0 * float(values.max())) / 10.0, 0.5)
    low = math.floor(10.0 * float(np.percentile(values, 10))) / 10.0
    return max(min(low, high - 0.5), 0.0), high


def speed_color(share: float) -> tuple[int, int, int]:
    """Return the colour of a speed as a share 0..1 of the scale, without matplotlib."""
    position = min(max(share, 0.0), 1.0) * (len(SPEED_STOPS) - 1)
    index = min(int(position), len(SPEED_STOPS) - 2)
    part = position - index
    low, high = rgb(SPEED_STOPS[index]), rgb(SPEED_STOPS[index + 1])
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(low, high, strict=True))
    return red, green, blue
