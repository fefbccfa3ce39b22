"""Commands that make models and look at them: `create`, `validate`, `list`, `show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.output import (
    JsonFlag,
    PictureOption,
    duration,
    number,
    print_drawing,
    print_facts,
    print_json,
    print_table,
    save_picture,
)
from deepracer_training.cli.races import BotSpeedOption, ObjectsOption, RaceTypeOption, describe_race, read_race

if TYPE_CHECKING:
    from deepracer_inference.action_space import ContinuousActionSpace, DiscreteActionSpace
    from deepracer_sim.race_settings import RaceSettings
    from deepracer_sim.tracks.track import Track
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.rewards.findings import ValidationReport

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]


def create(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the new model.")],
    track: Annotated[
        str | None,
        typer.Option(
            help="Track to train on: a name from `deepracer tracks list` or a .npy file.  [default: riverside]"
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="fast|aws", help="Settings to start from: tuned for a CPU, or those of AWS.")
    ] = "fast",
    action_space: Annotated[
        str | None,
        typer.Option(
            metavar="continuous|discrete|FILE|JSON",
            help="What the policy may command: a preset, AWS's model_metadata.json, or its action space as JSON.  "
            "[default: continuous; slower among objects]",
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Reward function: an example of ours, or a Python file.  [default: progress; avoid_objects "
            "where there are objects]",
        ),
    ] = None,
    race_type: RaceTypeOption = None,
    objects: ObjectsOption = None,
    bot_speed: BotSpeedOption = None,
    algorithm: Annotated[
        str, typer.Option(metavar="clipped_ppo|sac", help="Training algorithm; sac needs a continuous action space.")
    ] = "clipped_ppo",
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What the car sees with, by AWS's names; give it again for each sensor. At least one of "
            "FRONT_FACING_CAMERA and STEREO_CAMERAS, at most one of LIDAR, SECTOR_LIDAR and DISCRETIZED_SECTOR_LIDAR.  "
            "[default: FRONT_FACING_CAMERA; with LIDAR among bot cars]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the training.")] = 0,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a model of this name and all of its training, after asking.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --replace: do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a model: its settings, its action space and its reward function."""
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_sim.objects import build_objects
    from deepracer_sim.tracks.library import DEFAULT_TRACK, load_track
    from deepracer_training.models.config import preset_config
    from deepracer_training.models.folder import ModelFolder, check_name
    from deepracer_training.models.lineage import orphan

    check_name(name)
    place = place_of(track) or DEFAULT_TRACK
    road = load_track(place)
    kind, race = read_race(race_type, objects, bot_speed)
    config = preset_config(
        preset,
        name=name,
        track=place,
        action_space=None if action_space is None else read_action_space(action_space),
        race_type=kind,
        race=race,
        algorithm=algorithm,  # type: ignore[arg-type]  # checked there, with a better message than typer's
        sensors=sensor or (),
        seed=seed,
    )
    # A track that is too short for the objects is found now, not when the training starts.
    build_objects(config.race, road, 1, load_vehicle(config.vehicle).control_period_ns, seed)
    source = read_reward(reward or (None if race is None else "avoid_objects"), road, config.race)
    if replace and not force:
        ask_to_replace(name)
    folder = ModelFolder.create(name, config, source, replace=replace)
    if replace:
        orphan(name)
    if as_json:
        print_json({"model": name, "path": str(folder.path), "config": config.model_dump(mode="json")})
        return
    typer.echo(f"Created model {name} in {folder.path}")
    print_facts(
        {
            "track": place,
            **({"on the road": describe_race(config.race)} if config.race else {}),
            "actions": _describe_actions(config.action_space),
            "sensors": ", ".join(config.observation.sensors),
            "algorithm": config.training_algorithm,
            "network": config.network,
            "settings": folder.config_path,
            "reward function": folder.reward,
        }
    )
    typer.echo(f"Next: deepracer train {name} --minutes {2 if race is None else 10}")


def validate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|FILE", help="A model, or a Python file with a reward function.")
    ],
    race_type: RaceTypeOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Try a reward function in recorded situations and say what to mend; exit code 2 if it cannot be used."""
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_sim.tracks.library import DEFAULT_TRACK, load_track
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.rewards.validate import validate as validate_reward

    if model.endswith(".py"):
        race = read_race(race_type, None, None)[1]
        report = validate_reward(Path(model).expanduser(), load_track(DEFAULT_TRACK), race=race)
    elif race_type is not None:
        raise UserError("--race-type goes with a file; a model has its own")
    else:
        folder = ModelFolder.open(model)
        config = folder.config
        report = validate_reward(folder.reward, load_track(config.track), load_vehicle(config.vehicle), config.race)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.ok:
        raise typer.Exit(UserError.exit_code)


def list_models(as_json: JsonFlag = False) -> None:
    """List your models."""
    from deepracer_inference.files import home
    from deepracer_training.models.folder import ModelFolder, model_names

    entries = []
    for name in model_names():
        try:
            entries.append(_summary(ModelFolder.open(name)))
        except UserError as error:
            # One broken model must not hide the others.
            entries.append({"model": name, "error": str(error)})
    if as_json:
        print_json(entries)
        return
    if not entries:
        typer.echo(f"There are no models in {home() / 'models'} yet; make one with: deepracer create NAME")
        return
    rows = [
        [entry["model"], entry["error"], *[""] * 5]
        if "error" in entry
        else [
            entry["model"],
            entry["track"],
            number(entry["training"] and entry["training"]["steps"]),
            duration(entry["training"] and entry["training"]["wall_s"]),
            number(entry["training"] and entry["training"]["laps"]),
            _laps(entry["evaluation"]),
            duration(entry["evaluation"] and entry["evaluation"]["lap_time_mean_s"]),
        ]
        for entry in entries
    ]
    columns = ["model", "track", "steps", "trained", "laps", "evaluation", "lap time"]
    print_table(columns, rows, right=columns[2:])


def show(model: ModelArgument, output: PictureOption = None, as_json: JsonFlag = False) -> None:
    """Draw a model: its training as a PNG picture (its track before the first training), and a small one here."""
    from deepracer_sim.tracks.library import load_track
    from deepracer_training.cli.drawing import curve_drawing, track_drawing
    from deepracer_training.cli.history import history_json, print_history
    from deepracer_training.history import History
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.report.plots import track_figure, training_figure

    folder = ModelFolder.open(model)
    summary, rows, history = _summary(folder), _metrics(folder), History.read(folder.history)
    if rows:
        marks = [session.begin_steps for session in history.sessions if session.resumed]
        figure = training_figure(folder.metrics_jsonl, marks)
        shown = [row for row in rows if row["progress_mean"] is not None]
        steps, progress = [row["steps"] for row in shown], [row["progress_mean"] for row in shown]
        drawing = curve_drawing(steps, progress, 100.0, "progress per episode, %") if shown else []
    else:
        track = load_track(folder.config.track)
        figure, drawing = track_figure(track), track_drawing(track)
    summary["picture"] = str(save_picture(figure, output, f"model-{folder.name}"))
    if as_json:
        config = folder.config.model_dump(mode="json")
        print_json(summary | {"config": config, "history": history_json(history)})
        return
    print_drawing(drawing)
    print_history(history)
    _print_summary(folder, summary)


@overload
def place_of(track: str) -> str: ...
@overload
def place_of(track: None) -> None: ...
def place_of(track: str | None) -> str | None:
    """Return what --track says as model.yaml keeps it: a name, or a file by its whole path."""
    return str(Path(track).expanduser().absolute()) if track and track.endswith(".npy") else track


def read_action_space(text: str) -> ContinuousActionSpace | DiscreteActionSpace:
    """Read what --action-space says."""
    from deepracer_inference.files import read_text
    from deepracer_inference.metadata import parse_metadata
    from deepracer_training.models.config import ACTION_SPACES

    if text in ACTION_SPACES:
        return ACTION_SPACES[text]()
    inline = text.lstrip().startswith(("{", "["))
    if not inline and not text.endswith(".json"):
        raise UserError(
            f"--action-space is {text!r}, but {', '.join(ACTION_SPACES)}, a .json file or JSON text is expected."
        )
    source = "--action-space" if inline else text
    content = text if inline else read_text(Path(text).expanduser())
    try:
        data = json.loads(content)
    except ValueError as error:
        raise UserError(f"{source} is not JSON: {error}.") from error
    # The bare value of AWS's key is welcome, too.
    if not (isinstance(data, dict) and "action_space" in data):
        content = json.dumps({"action_space": data})
    return parse_metadata(content, source).action_space


def read_reward(text: str | None, track: Track, race: RaceSettings | None) -> str:
    """Read what --reward says; no model is made with a file that fails on its track."""
    from deepracer_inference.files import read_text
    from deepracer_training.rewards.library import DEFAULT_EXAMPLE, example_source
    from deepracer_training.rewards.validate import validate as validate_reward

    if text is None or not text.endswith(".py"):
        return example_source(text or DEFAULT_EXAMPLE)
    path = Path(text).expanduser()
    source = read_text(path)
    report = validate_reward(path, track, race=race)
    if not report.ok:
        raise UserError("\n  ".join(["the reward function cannot be used:", *report.lines()]))
    return source


def ask_to_replace(name: str) -> None:
    """Ask before a model is replaced; without a terminal --force has to say so."""
    from deepracer_inference.files import home

    path = home() / "models" / name
    if not path.exists():
        return
    if not sys.stdin.isatty():
        raise UserError(f"Model {name!r} exists; add --force to replace it without being asked.")
    if not typer.confirm(f"Remove {path} with all of its training and evaluations?", err=True):
        raise typer.Exit(UserError.exit_code)


def _describe_actions(space: ContinuousActionSpace | DiscreteActionSpace) -> str:
    if space.kind == "discrete":
        return f"{len(space.actions)} of steering and speed, up to {space.max_speed:g} m/s"
    steering, speed = space.steering_angle, space.speed
    return f"steering {steering.low:g} to {steering.high:g} degrees, speed {speed.low:g} to {speed.high:g} m/s"


def _metrics(folder: ModelFolder) -> list[dict[str, Any]]:
    from deepracer_training.training_log import read_metrics

    return read_metrics(folder.metrics_jsonl) if folder.metrics_jsonl.is_file() else []


def _summary(folder: ModelFolder) -> dict[str, Any]:
    """Return what `list` and `show` tell about a model, as JSON values."""
    config, rows = folder.config, _metrics(folder)
    return {
        "model": folder.name,
        "path": str(folder.path),
        "track": config.track,
        "race_type": config.race_type,
        "network": config.network,
        "action_space": config.action_space.kind,
        "training": rows[-1] if rows else None,
        "policy": str(folder.policy) if folder.policy.is_dir() else None,
        "evaluation": _last_evaluation(folder),
    }


def _last_evaluation(folder: ModelFolder) -> dict[str, Any] | None:
    from deepracer_training.results import EvaluationResult

    finished = [path.parent for path in folder.evaluations.glob("[0-9]*/evaluation.json")]
    if not finished:
        return None
    result = EvaluationResult.read(max(finished, key=lambda path: path.name))
    return result.as_json()


def _laps(evaluation: dict[str, Any] | None) -> str:
    return f"{evaluation['laps_completed']} of {evaluation['laps']} laps" if evaluation else "-"


def _print_summary(folder: ModelFolder, summary: dict[str, Any]) -> None:
    training, evaluation = summary["training"], summary["evaluation"]
    facts: dict[str, object] = {
        "model": folder.name,
        "folder": folder.path,
        "track": summary["track"],
        **({"on the road": describe_race(folder.config.race)} if folder.config.race else {}),
        "actions": _describe_actions(folder.config.action_space),
        "network": summary["network"],
        "training": "none yet",
    }
    if training:
        facts["training"] = (
            f"{training['steps']:,} steps in {duration(training['wall_s'])}, {training['laps']:,} laps, "
            f"reward {number(training['reward_mean'], 1)}, progress {number(training['progress_mean'], 1, ' %')}"
        )
    facts["policy"] = summary["policy"] or "none yet"
    facts["evaluation"] = "none yet"
    if evaluation:
        facts["evaluation"] = (
            f"{_laps(evaluation)}, {evaluation['off_track_count']} off-tracks, {evaluation['crash_count']} crashes, "
            f"lap time {duration(evaluation['lap_time_mean_s'])}"
        )
        facts["report"] = evaluation["report"]
    print_facts(facts | {"picture": summary["picture"]})


def _print_report(report: ValidationReport) -> None:
    for line in report.lines():
        typer.echo(line)
    if report.ok:
        typer.echo(f"{report.path} is good: {report.calls} situations", nl=False)
        if report.reward_min is not None and report.call_median_s is not None:
            rewards = f"reward {report.reward_min:.3g} to {report.reward_max:.3g}"
            typer.echo(f", {rewards}, {1e6 * report.call_median_s:.0f} us a call", nl=False)
        typer.echo(".")
    else:
        typer.echo(f"{report.path} cannot be used.")
