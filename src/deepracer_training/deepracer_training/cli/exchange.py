"""Commands that read and write AWS's files: `import` and `export-logs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.models import ModelArgument, place_of, read_reward
from deepracer_training.cli.output import JsonFlag, print_facts, print_json, warn

if TYPE_CHECKING:
    from deepracer_training.aws.importing import Imported
    from deepracer_training.models.config import ModelConfig
    from deepracer_training.results import EvaluationResult


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|ARCHIVE|TRACE",
            help="A model from AWS or deepracer-for-cloud, as a folder or .tar.gz; or one trace, a .csv file.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Name of the new model; the folder's when omitted.")] = None,
    track: Annotated[
        str | None, typer.Option(help="Track, if the files do not name it: a name from `tracks list`, or a .npy file.")
    ] = None,
    reward: Annotated[
        Path | None, typer.Option(help="Reward function, if it is not among the files: a Python file.")
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="aws|fast", help="Network and image as on AWS, or ours, tuned for a CPU.")
    ] = "aws",
    into: Annotated[
        str | None, typer.Option(metavar="MODEL", help="For a trace: the model that gets it as an evaluation.")
    ] = None,
    metrics: Annotated[Path | None, typer.Option(help="For a trace: AWS's metrics of the same laps.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take over a model, or the laps of a trace, from AWS or deepracer-for-cloud."""
    source = source.expanduser()
    if source.suffix.lower() == ".csv":
        _import_trace(source, into, track, metrics, as_json)
        return
    if into or metrics:
        raise UserError("--into and --metrics belong to a trace, a .csv file; a folder becomes a model of its own")
    from deepracer_training.aws.importing import import_archive, import_folder

    run = import_folder if source.is_dir() else import_archive
    imported = run(
        source, name or _name_of(source), track=place_of(track), reward=reward, preset=preset, check_reward=_check
    )
    if as_json:
        print_json(_as_json(imported))
        return
    folder = imported.folder
    for note in imported.notes:
        warn(note)
    typer.echo(f"Imported {folder.name} to {folder.path}")
    print_facts(
        {
            "track": folder.config.track,
            "network": folder.config.network,
            "training": f"{imported.training_iterations} iterations" if imported.training_iterations else "no traces",
            "evaluations": _list(imported.evaluations) or "none",
            "settings": folder.config_path,
            "reward function": folder.reward,
        }
    )
    typer.echo("AWS's weights cannot be used here, and the reward function has not been run yet: have a look at it.")
    typer.echo(f"Next: deepracer validate {folder.name}; deepracer train {folder.name} --minutes 10")


def export_logs(
    model: ModelArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder; MODEL-logs here when omitted.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a model's settings, traces and metrics as the community's log tools know them from deepracer-for-cloud."""
    from deepracer_training.aws.exporting import export_logs as run
    from deepracer_training.models.folder import ModelFolder

    target = (output or Path(f"{model}-logs")).expanduser().absolute()
    count = run(ModelFolder.open(model), target)
    if as_json:
        print_json({"model": model, "folder": str(target), "evaluations": count})
        return
    typer.echo(f"Wrote the logs of {model} with {count} evaluations to {target}")
    typer.echo(f'In Python: DeepRacerLog("{target}") of deepracer-utils')


def _import_trace(source: Path, into: str | None, track: str | None, metrics: Path | None, as_json: bool) -> None:
    from deepracer_training.aws.evaluations import import_evaluation
    from deepracer_training.models.folder import ModelFolder

    if into is None:
        raise UserError(f"{source} is a trace; name the model that drove it: --into MODEL")
    folder = ModelFolder.open(into)
    result = import_evaluation(folder, source, track=place_of(track) or folder.config.track, metrics=metrics)
    if as_json:
        print_json(result.as_json())
        return
    typer.echo(f"Imported {_list((result,))} as evaluation {result.id} of {folder.name}")
    print_facts({"track": result.track, "report": result.report})


def _check(reward: Path, config: ModelConfig) -> None:
    from deepracer_sim.tracks.library import load_track

    read_reward(str(reward), load_track(config.track), config.race)


def _name_of(source: Path) -> str:
    """Return a name for the model: the folder's, with what names may not have replaced."""
    stem = re.sub(r"(\.tar)?\.t?gz$", "", source.absolute().name)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).lstrip("_.-")[:64] or "imported"


def _list(evaluations: tuple[EvaluationResult, ...]) -> str:
    return ", ".join(f"{one.laps_completed} of {one.laps} laps" for one in evaluations)


def _as_json(imported: Imported) -> dict[str, Any]:
    return {
        "model": imported.folder.name,
        "path": str(imported.folder.path),
        "training_iterations": imported.training_iterations,
        "evaluations": [one.id for one in imported.evaluations],
        "notes": list(imported.notes),
        "config": imported.folder.config.model_dump(mode="json"),
    }
