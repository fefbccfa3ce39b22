"""The figures of a comparison as text: cells for the terminal and for the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deepracer_training.comparison.compare import Compared, Difference
from deepracer_training.comparison.intervals import Interval
from deepracer_training.comparison.laps import Figures

Cell = tuple[str, str]
"""A value, and its confidence interval."""

DASH = "\u2013"


def figure_columns(compared: Sequence[Compared]) -> list[str]:
    """Return the headings of the figures: progress only if a lap is not complete, crashes only if there are any."""
    columns = ["laps", "complete", "progress", "lap time", "best", "consistency", "off-tracks", "crashes", "speed"]
    return [name for name in columns if name not in _pointless(compared)]


def difference_columns(compared: Sequence[Compared]) -> list[str]:
    """Return the headings of the differences, with the same exceptions."""
    columns = ["compared", "complete", "progress", "lap time", "consistency", "off-tracks", "crashes"]
    return [name for name in columns if name not in _pointless(compared)]


def _pointless(compared: Sequence[Compared]) -> set[str]:
    all_complete = all(one.figures.completed == one.figures.laps for one in compared)
    no_crash = not any(one.figures.crashes.value for one in compared)
    return {name for name, is_pointless in (("progress", all_complete), ("crashes", no_crash)) if is_pointless}


def figure_cells(figures: Figures, columns: Sequence[str]) -> list[Cell]:
    """Return the cells under some of `figure_columns`."""
    cells = {
        "laps": (f"{figures.completed} of {figures.laps}", ""),
        "complete": cell(figures.completion, " %", 0, scale=100.0),
        "progress": cell(figures.progress, " %", 0),
        "lap time": cell(figures.lap_time_s, " s", 2),
        "best": (DASH if figures.lap_time_best_s is None else f"{figures.lap_time_best_s:.2f} s", ""),
        "consistency": cell(figures.consistency, " %", 1, scale=100.0),
        "off-tracks": cell(figures.off_tracks, "", 2),
        "crashes": cell(figures.crashes, "", 2),
        "speed": cell(figures.mean_speed, " m/s", 2),
    }
    return [cells[name] for name in columns]


def difference_cells(difference: Difference, columns: Sequence[str]) -> list[Cell]:
    """Return the cells under some of `difference_columns`."""
    cells = {
        "compared": (f"{difference.paired} equal starts" if difference.paired else "all laps", ""),
        "complete": cell(difference.completion, " %", 0, scale=100.0, sign="+"),
        "progress": cell(difference.progress, " %", 0, sign="+"),
        "lap time": cell(difference.lap_time_s, " s", 2, sign="+"),
        "consistency": cell(difference.consistency, " %", 1, scale=100.0, sign="+"),
        "off-tracks": cell(difference.off_tracks, "", 2, sign="+"),
        "crashes": cell(difference.crashes, "", 2, sign="+"),
    }
    return [cells[name] for name in columns]


def cell(interval: Interval, unit: str, digits: int, *, scale: float = 1.0, sign: str = "") -> Cell:
    """Return an estimate with its unit, and the ends of its interval; dashes for what is not known."""
    if interval.value is None:
        return DASH, ""
    value, low, high = (
        None if part is None else f"{scale * part:{sign}.{digits}f}"
        for part in (interval.value, interval.low, interval.high)
    )
    return f"{value}{unit}", "" if low is None else f"{low} to {high}"


def settings_table(compared: Sequence[Compared]) -> list[list[str]]:
    """Return one row per key that differs anywhere: the key, then each entry's value."""
    keys = dict.fromkeys(change.key for one in compared for change in one.settings)
    first = {change.key: change.before for one in compared for change in one.settings}
    rows = []
    for key in keys:
        own = [{change.key: change.after for change in one.settings} for one in compared]
        rows.append([key, *(_value(values.get(key, first[key])) for values in own)])
    return rows


def _value(value: Any) -> str:
    if value is None:
        return DASH
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
