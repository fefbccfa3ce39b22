"""The command `explain`: where on the track a model loses time, leaves the road, weaves or steers at its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepracer_training.cli.models import ModelArgument
from deepracer_training.cli.output import (
    JsonFlag,
    PictureOption,
    number,
    print_facts,
    print_json,
    print_table,
    save_picture,
)

if TYPE_CHECKING:
    from deepracer_training.explanation.analysis import Explanation


def explain(
    model: ModelArgument,
    evaluation: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Evaluation to explain, or a part of its id.  [default: the latest]"),
    ] = None,
    output: PictureOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell from an evaluation where a model loses time, leaves the road, weaves or steers as far as it can."""
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_training.explanation.analysis import explain as analyse
    from deepracer_training.explanation.findings import findings
    from deepracer_training.explanation.laps import Limits
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.recordings import open_evaluation
    from deepracer_training.report.explain_page import write_explanation
    from deepracer_training.report.explain_plots import explanation_figure

    folder = ModelFolder.open(model)
    recording = open_evaluation(folder, evaluation)
    assert recording.result is not None and recording.folder is not None
    limits = Limits.of(folder.config.action_space)
    vehicle = load_vehicle(folder.config.vehicle)
    found = analyse(recording.trace, recording.track, vehicle, limits, recording.objects)
    sentences = findings(found)
    title = f"{folder.name} on {recording.track.name}, {found.laps} laps"
    figure = explanation_figure(recording.track, found, limits, title)
    picture = save_picture(figure, output, f"explain-{folder.name}")
    page = write_explanation(recording.folder, recording.result, found, sentences, figure)
    if as_json:
        facts = {"model": folder.name, "evaluation": recording.result.id, "track": recording.track.name}
        print_json({**facts, **found.as_json(), "findings": sentences, "picture": str(picture), "page": str(page)})
        return
    _print(found, sentences, {"evaluation": recording.result.id, "picture": picture, "page": page})


def _print(found: Explanation, sentences: list[str], files: dict[str, object]) -> None:
    from deepracer_training.explanation.table import COLUMNS, table

    print_table(COLUMNS, [[text for text, _ in row] for row in table(found)], right=COLUMNS[1:])
    flying = "unknown: a section was never driven at speed and without a mistake"
    if found.lap_time_mean_s is not None:
        best = number(found.lap_time_best_s, 2, " s")
        flying = f"{number(found.lap_time_mean_s, 2, ' s')}, {best} if each section were its best pass"
    print_facts(
        {
            "flying lap": flying,
            "reference": f"{found.reference_s:.2f} s for the centre line at the limit",
            **files,
        }
    )
    typer.echo()
    for sentence in sentences:
        typer.echo(f"- {sentence}")
