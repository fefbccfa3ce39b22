"""The page of a comparison: one HTML file with everything inside, nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from deepracer_inference.errors import UserError
from deepracer_inference.files import write_atomic
from deepracer_training.comparison.compare import Compared
from deepracer_training.comparison.tables import (
    difference_cells,
    difference_columns,
    figure_cells,
    figure_columns,
    settings_table,
)
from deepracer_training.recordings import open_evaluation
from deepracer_training.report.comparison_plots import color_of, curves_figure, lap_time_figure, paths_figure
from deepracer_training.report.page import render
from deepracer_training.report.plots import svg

TEMPLATE = "comparison.html"
GRADES = {"better": "good", "worse": "bad", "no clear difference": "fair", "not comparable": "fair"}


def write_comparison(path: Path, compared: Sequence[Compared], confidence: float) -> None:
    """Write the page.

    Args:
        path: The HTML file; its folder must exist.
        compared: What `compare` returned.
        confidence: Of the intervals.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    labels = [one.entry.label for one in compared]
    curves = curves_figure(compared)
    figures, differences = figure_columns(compared), difference_columns(compared)
    page = render(
        TEMPLATE,
        title=" and ".join(labels) if len(labels) < 3 else f"{labels[0]} and {len(labels) - 1} others",
        first=labels[0],
        confidence=f"{100 * confidence:g}",
        verdicts=[
            {
                **_named(index, one),
                "verdict": one.difference.verdict,
                "grade": GRADES[one.difference.verdict],
                "reason": one.difference.reason,
            }
            for index, one in enumerate(compared)
            if one.difference
        ],
        columns=["", *figures],
        rows=[
            {**_named(index, one), "cells": figure_cells(one.figures, figures)} for index, one in enumerate(compared)
        ],
        difference_columns=["", *differences],
        differences=[
            {**_named(index, one), "cells": difference_cells(one.difference, differences)}
            for index, one in enumerate(compared)
            if one.difference and one.difference.verdict != "not comparable"
        ],
        lap_times=Markup(svg(lap_time_figure(compared))),
        paths={name: Markup(picture) for name, picture in _paths(compared).items()},
        curves=Markup(svg(curves)) if curves else None,
        rewards_differ=any(one.reward for one in compared),
        settings_columns=labels,
        settings_rows=settings_table(compared),
        rewards={one.entry.label: [(_kind(line), line) for line in one.reward] for one in compared if one.reward},
    )
    write_atomic(path, page)


def _named(index: int, one: Compared) -> dict[str, Any]:
    return {"label": one.entry.label, "track": one.entry.track, "color": color_of(index)}


def _paths(compared: Sequence[Compared]) -> dict[str, str]:
    """Draw one picture per track with the latest evaluation of each entry; without tracks that are not here."""
    courses: dict[str, list[tuple[int, str, Any]]] = {}
    for index, one in enumerate(compared):
        try:
            recording = open_evaluation(one.entry.folder, one.entry.evaluations[-1].id)
        except UserError:  # an imported evaluation of a track that this machine does not have
            continue
        courses.setdefault(one.entry.track, []).append((index, one.entry.label, recording))
    return {
        track: svg(paths_figure(group[0][2].track, [(index, label, found.trace) for index, label, found in group]))
        for track, group in courses.items()
    }


def _kind(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "place"
    return {"+": "plus", "-": "minus"}.get(line[:1], "same")
