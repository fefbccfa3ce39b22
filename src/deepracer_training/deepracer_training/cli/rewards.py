"""`deepracer reward`: look at what a reward function teaches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.output import (
    JsonFlag,
    PictureOption,
    number,
    print_drawing,
    print_facts,
    print_json,
    print_table,
    save_picture,
    warn,
)
from deepracer_training.cli.races import RaceTypeOption, read_race

if TYPE_CHECKING:
    from deepracer_inference.vehicle import Vehicle
    from deepracer_sim.race_settings import RaceSettings
    from deepracer_training.models.config import ModelConfig
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.recordings import Recording
    from deepracer_training.rewards.preview import Preview

app = typer.Typer(help="Look at what a reward function teaches.", no_args_is_help=True)


@app.callback()
def _reward() -> None:
    """Keep `preview` a command of its own, however many there are."""


@app.command()
def preview(
    source: Annotated[
        str, typer.Argument(metavar="MODEL|FILE", help="A model, or a Python file with a reward function.")
    ],
    reward: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Another reward function than the model's: an example, or a file."),
    ] = None,
    evaluation: Annotated[
        str | None, typer.Option(metavar="ID", help="Laps of this evaluation of the model.  [default: the latest one]")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Laps from a simtrace CSV file, ours or AWS's, instead.")
    ] = None,
    drives: Annotated[
        bool, typer.Option("--drives", help="Built-in laps instead, good and bad ones; the default without evaluation.")
    ] = False,
    race_type: RaceTypeOption = None,
    track: Annotated[
        str | None, typer.Option(help="Track of --trace or of the built-in laps.  [default: the model's]")
    ] = None,
    output: PictureOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Replay recorded laps through a reward function: reward along the track, its terms, where it teaches nothing."""
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_sim.tracks.library import DEFAULT_TRACK
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.report.reward_plots import reward_figure
    from deepracer_training.rewards.preview import preview as summarize
    from deepracer_training.rewards.replay import replay

    given = [name for name, value in (("--evaluation", evaluation), ("--trace", trace), ("--drives", drives)) if value]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} name different laps; give one of them only")
    is_file = source.endswith(".py")
    if is_file and (reward or evaluation):
        option = "--reward" if reward else "--evaluation"
        raise UserError(f"{option} goes with a model; {source} is a reward function already")
    folder = None if is_file else ModelFolder.open(source)
    config = folder.config if folder else None
    vehicle = load_vehicle(config.vehicle if config else "deepracer")
    place = track or (config.track if config else DEFAULT_TRACK)
    if race_type is not None and not (is_file and trace is None):
        raise UserError("--race-type goes with the built-in laps of a file; a model has its own")
    race = config.race if config else read_race(race_type, None, None)[1]
    recording, names = _laps(folder, config, vehicle, evaluation, trace, drives, place, race)
    if track and recording.result is not None:
        raise UserError("--track goes with --trace or --drives; an evaluation knows its track")
    path = Path(source).expanduser() if folder is None else _reward_file(reward) if reward else folder.reward
    # An evaluation from AWS has no seed.
    seed = (recording.result.seed or 0) if recording.result else 0
    replayed = replay(path, recording.trace, recording.track, vehicle, objects=recording.objects, seed=seed)
    found = summarize(replayed, recording.track, names)
    figure = reward_figure(recording.track, replayed, found, f"{path.name}: {recording.name} on {recording.track.name}")
    picture = save_picture(figure, output, f"reward-{folder.name if folder else path.stem}")
    if as_json:
        facts = {"reward_function": str(path), "laps_from": recording.name, "track": recording.track.name}
        print_json({**facts, **found.as_json(), "picture": str(picture)})
        return
    _print(found, recording, path, picture)


def _reward_file(text: str) -> Path:
    from deepracer_training.rewards.library import example_path

    return Path(text).expanduser() if text.endswith(".py") else example_path(text)


def _laps(
    folder: ModelFolder | None,
    config: ModelConfig | None,
    vehicle: Vehicle,
    evaluation: str | None,
    trace: Path | None,
    drives: bool,
    track: str,
    race: RaceSettings | None,
) -> tuple[Recording, list[str]]:
    """Return the laps to replay and, for built-in drives, their names."""
    from deepracer_sim.tracks.library import load_track
    from deepracer_training.recordings import Recording, evaluation_ids, open_evaluation, open_trace
    from deepracer_training.rewards.drives import DEFAULT_SPEEDS
    from deepracer_training.rewards.drives import drives as drive_all

    if trace is not None:
        return open_trace(trace.expanduser(), track), []
    if folder is not None and not drives and (evaluation or evaluation_ids(folder)):
        return open_evaluation(folder, evaluation), []
    speeds = DEFAULT_SPEEDS
    if config is not None:
        speeds = (round(float(config.action_space.low[1]), 5), round(float(config.action_space.high[1]), 5))
    road = load_track(track)
    names, driven, objects = drive_all(road, vehicle, speeds, race)
    return Recording("built-in drives", road, driven, objects=objects), names


def _print(found: Preview, recording: Recording, path: Path, picture: Path) -> None:
    from deepracer_training.cli.drawing import curve_drawing

    pieces = zip(found.bins.begin_m.tolist(), found.bins.mean.tolist(), strict=True)
    x, y = zip(*((s, mean) for s, mean in pieces if not math.isnan(mean)), strict=True)
    low, high = min(0.0, *y), max(y)
    label = "mean reward of a step along the track"
    print_drawing(curve_drawing(x, y, high if high > low else low + 1.0, label, bottom=low, unit="m"))
    recorded = any(lap.recorded_total for lap in found.laps)
    columns = ["lap", "ended as", "progress", "time", "steps", "off road", "per step", "reward"]
    rows = [
        [
            lap.name,
            lap.status.replace("_", " "),
            f"{lap.progress:.0f} %",
            f"{lap.seconds:.1f} s",
            str(lap.steps),
            str(lap.off_track_steps),
            f"{lap.per_step:.3f}",
            number(lap.total, 1),
            *([number(lap.recorded_total, 1)] if recorded else []),
        ]
        for lap in found.laps
    ]
    columns += ["recorded"] if recorded else []
    print_table(columns, rows, right=[name for name in columns if name not in ("lap", "ended as")])
    if found.terms:
        _print_terms(found)
    print_facts(
        {
            "reward function": path,
            "laps": f"{recording.name}, track {recording.track.name}",
            "reward of a step": f"{found.minimum:.3g} to {found.maximum:.3g}, median {found.median:.3g}; "
            f"{found.at_minimum_share:.0%} of the steps at the lowest, {found.at_maximum_share:.0%} at the highest",
            **_regions(found),
            "picture": picture,
        }
    )
    for finding in found.findings:
        warn(finding)


def _print_terms(found: Preview) -> None:
    columns = ["term", "mean", "lowest", "highest", "share"]
    rows = [
        [
            term.name,
            f"{term.mean:.3f}",
            f"{term.minimum:.3f}",
            f"{term.maximum:.3f}",
            f"{term.share:.0%}" if term.share is not None else "-",
        ]
        for term in found.terms
    ]
    print_table(columns, rows, right=columns[1:])
    if not found.additive:
        typer.echo("These numbers do not add up to the reward, so they have no shares in it.")


def _regions(found: Preview) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for kind in ("dead", "saturated", "flat"):
        here = [region for region in found.regions if region.kind == kind]
        if here:
            places = [f"{one.begin_m:.1f} to {one.end_m:.1f} m ({one.reward:.3g})" for one in here]
            facts[f"{kind} regions"] = ", ".join(places)
    return facts or {"dead regions": "none, nor saturated ones"}
