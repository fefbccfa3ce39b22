"""The page of an explanation, beside the report of its evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from deepracer_inference.files import write_atomic
from deepracer_training.explanation.analysis import Explanation
from deepracer_training.explanation.meetings import by_kind, hit_of, plural
from deepracer_training.explanation.table import COLUMNS, table
from deepracer_training.report.page import render
from deepracer_training.report.plots import svg
from deepracer_training.results import EvaluationResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLANATION = "explain.html"


def write_explanation(
    folder: Path, result: EvaluationResult, explanation: Explanation, findings: list[str], picture: Figure
) -> Path:
    """Write the page into the folder of an evaluation.

    Args:
        folder: Of the evaluation.
        result: Its figures.
        explanation: What was found.
        findings: In sentences.
        picture: From `explanation_figure`.

    Returns:
        The file.

    Raises:
        DeepRacerError: It cannot be written.
    """
    page = render(
        "explanation.html",
        model=result.model,
        track=result.track,
        id=result.id,
        laps=explanation.laps,
        tiles=_tiles(explanation),
        findings=findings,
        picture=Markup(svg(picture)),
        columns=COLUMNS,
        rows=table(explanation),
    )
    path = folder / EXPLANATION
    write_atomic(path, page)
    return path


def _tiles(explanation: Explanation) -> list[tuple[str, str, str]]:
    """Return label, value and remark of the figures that matter most."""
    return [
        ("Flying lap", _seconds(explanation.lap_time_mean_s), "sum of the sections' mean times"),
        ("Best of all sections", _seconds(explanation.lap_time_best_s), "what it can do already"),
        ("Centre line at the limit", _seconds(explanation.reference_s), "fastest action, grip in bends"),
        ("Violations", str(sum(one.violations for one in explanation.sections)), f"in {explanation.laps} laps"),
        *_hits(explanation),
    ]


def _hits(explanation: Explanation) -> Iterator[tuple[str, str, str]]:
    for kind, met in by_kind(explanation.meetings).items():
        yield f"{plural(kind).capitalize()} hit", hit_of(met), "that it came to in all laps"


def _seconds(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.2f} s"
