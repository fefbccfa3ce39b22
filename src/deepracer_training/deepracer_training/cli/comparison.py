"""The command `compare`: which model is better, how sure that is, and what differs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from deepracer_training.comparison.compare import Compared
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.results import EvaluationResult


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Models, or evaluations as MODEL/ID; all are compared with the first one."
        ),
    ],
    laps: Annotated[
        int | None,
        typer.Option(min=1, help="Drive evaluations of so many laps where they are missing, from equal starts."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="With --laps: evaluations per model, seeds 0, 1, ...")] = 1,
    confidence: Annotated[float, typer.Option(help="Probability that a confidence interval holds.")] = 0.95,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file to write; one in $DEEPRACER_HOME/comparisons when omitted."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare models: laps with confidence intervals, settings, reward functions, training curves and driven lines."""
    from deepracer_training.comparison.compare import compare as run
    from deepracer_training.comparison.laps import evaluate_more, open_entry
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.report.comparison_page import write_comparison

    target = _target(output, models)
    for name in models:
        ModelFolder.open(name.partition("/")[0])  # a misspelt one is told before laps are driven for the others
    if laps is not None:
        for name in dict.fromkeys(models):
            evaluate_more(name, laps, seeds, _evaluate)
    compared = run([open_entry(name, own_course=laps is not None) for name in models], confidence)
    write_comparison(target, compared, confidence)
    if as_json:
        print_json({"confidence": confidence, "entries": [one.as_json() for one in compared], "page": str(target)})
        return
    print_comparison(compared)
    typer.echo(f"page  {target}")


def print_comparison(compared: Sequence[Compared]) -> None:
    """Print the tables and the diffs."""
    from deepracer_training.comparison.tables import (
        difference_cells,
        difference_columns,
        figure_cells,
        figure_columns,
        settings_table,
    )

    first = compared[0].entry.label
    columns = figure_columns(compared)
    rows = [[one.entry.label, *map(_two_lines, figure_cells(one.figures, columns))] for one in compared]
    print_table(["", *columns], rows, right=columns)
    comparable = [one for one in compared if one.difference and one.difference.verdict != "not comparable"]
    if comparable:
        typer.echo(f"Difference from {first}")
        columns = difference_columns(compared)
        rows = [
            [one.entry.label, *map(_two_lines, difference_cells(one.difference, columns))]
            for one in comparable
            if one.difference
        ]
        print_table(["", *columns], rows, right=columns)
    if settings := settings_table(compared):
        labels = [one.entry.label for one in compared]
        print_table(["setting", *labels], settings, right=labels)
    for one in compared:
        if one.reward:
            typer.echo("\n".join(map(_colored, one.reward)) + "\n")
    for one in compared:
        if one.difference:
            typer.echo(f"{one.entry.label}: {one.difference.verdict}, {one.difference.reason}")


def _evaluate(folder: ModelFolder, laps: int, seed: int) -> EvaluationResult:
    from deepracer_training.cli.progress import show_share

    with show_share(f"evaluating {folder.name}, seed {seed}") as on_step:
        from deepracer_training.evaluation import evaluate

        with redirect_stdout(sys.stderr):
            return evaluate(folder, laps=laps, seed=seed, video=False, on_step=on_step)


def _target(output: Path | None, models: Sequence[str]) -> Path:
    from deepracer_inference.files import home
    from deepracer_training.models.folder import make_directory

    if output is not None:
        if output.suffix.lower() != ".html":
            raise UserError(f"{output} does not end in .html; the comparison is written as an HTML page.")
        return output.expanduser().absolute()
    folder = home() / "comparisons"
    make_directory(folder)
    name = "-".join(model.replace("/", "-") for model in models)
    # File systems allow 255 bytes.
    return folder / f"{name if len(name) <= 120 else f'{name[:110]}-{len(models)}-models'}.html"


def _two_lines(cell: tuple[str, str]) -> str:
    return "\n".join(part for part in cell if part)


def _colored(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return typer.style(line, dim=True)
    color = {"+": typer.colors.GREEN, "-": typer.colors.RED}.get(line[:1])
    return typer.style(line, fg=color) if color else line
