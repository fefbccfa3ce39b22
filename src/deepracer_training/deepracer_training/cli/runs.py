"""Commands that drive: `train` and `evaluate`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_inference.errors import DeepRacerError
from deepracer_training.cli.models import ModelArgument
from deepracer_training.cli.output import JsonFlag, duration, number, print_facts, print_json, print_table
from deepracer_training.cli.races import BotSpeedOption, ObjectsOption, RaceTypeOption, read_race

if TYPE_CHECKING:
    from deepracer_training.models.folder import ModelFolder
    from deepracer_training.results import EvaluationResult
    from deepracer_training.training import Report

DEFAULT_MINUTES = 2.0
SeedMax = 2**32 - 1


def train(
    model: ModelArgument,
    minutes: Annotated[
        float | None, typer.Option(help=f"Training time.  [default: {DEFAULT_MINUTES:g}, unless --steps is given]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training in environment steps; equal seeds then give equal results.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=SeedMax, help="Seed; that of model.yaml when omitted.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of model.yaml, from now on; may be repeated."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a model and export its best policy; Ctrl-C ends the training early, with a checkpoint and a policy."""
    from deepracer_training.cli.progress import TrainingProgress
    from deepracer_training.models.changes import apply_settings
    from deepracer_training.models.folder import ModelFolder

    folder = ModelFolder.open(model)
    config = apply_settings(folder.config, settings or ())
    if minutes is None and steps is None:
        minutes = DEFAULT_MINUTES
    with TrainingProgress(f"{model} on {config.track}") as progress:
        from deepracer_training.training import train as run

        unsaved = bool(settings)

        def on_update(report: Report) -> None:
            nonlocal unsaved
            if unsaved:
                # Not before: a training that is refused leaves the model as it was.
                folder.set_config(config)
                unsaved = False
            progress.update(report)

        # What a reward function writes to stdout would spoil the JSON there.
        with redirect_stdout(sys.stderr):
            report = run(
                folder,
                minutes=minutes,
                steps=steps,
                seed=seed,
                resume=resume,
                config=config,
                on_update=on_update,
            )
    result = _training_result(folder, report)
    if as_json:
        print_json(result)
        return
    print_facts(
        {
            "trained": f"{result['steps']:,} steps in {duration(result['wall_s'])}"
            + (", ended early" if result["ended_early"] else ""),
            "first lap": f"after {duration(result['first_lap_s'])}" if result["first_lap_s"] is not None else "none",
            "all trial laps": f"complete after {duration(result['clean_s'])}"
            if result["clean_s"] is not None
            else "not complete yet",
            **({"changed": "; ".join(result["changes"])} if result["changes"] else {}),
            "policy": result["policy"],
            "metrics": result["metrics"],
            "tensorboard": f"tensorboard --logdir {folder.tensorboard}",
        }
    )
    typer.echo(f"Next: deepracer evaluate {model}")


def evaluate(
    model: ModelArgument,
    laps: Annotated[int, typer.Option(help="Laps to drive, each from a random start.")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=SeedMax, help="Seed of the starts.")] = 0,
    track: Annotated[str | None, typer.Option(help="Another track than the one of the training.")] = None,
    race_type: RaceTypeOption = None,
    objects: ObjectsOption = None,
    bot_speed: BotSpeedOption = None,
    video: Annotated[bool, typer.Option(help="Film the first laps.")] = True,
    all_clean: Annotated[
        bool,
        typer.Option(
            "--all-clean",
            help="Exit code 1 unless every lap is complete, without crashing or leaving the track.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Drive laps with the exported policy and write a report, a video and traces."""
    from deepracer_training.cli.progress import show_share
    from deepracer_training.models.folder import ModelFolder

    folder = ModelFolder.open(model)
    kind, race = folder.config.race_type, folder.config.race
    if race_type is not None or objects is not None or bot_speed is not None:
        kind, race = read_race(race_type, objects, bot_speed, default=kind)
    with show_share(f"evaluating {model}") as on_step:
        from deepracer_training.evaluation import evaluate as run

        with redirect_stdout(sys.stderr):
            result = run(
                folder,
                laps=laps,
                seed=seed,
                video=video,
                track=track,
                race_type=kind,
                race=race,
                on_step=on_step,
            )
    if as_json:
        print_json(result.as_json())
    else:
        _print_result(result)
    if all_clean and (result.laps_completed < result.laps or result.off_track_count or result.crash_count):
        crashes = f" and {result.crash_count} crashes" if result.race is not None else ""
        raise DeepRacerError(
            f"{result.laps_completed} of {result.laps} laps are complete, with {result.off_track_count} "
            f"off-tracks{crashes}; train longer: deepracer train {model} --resume"
        )


def _training_result(folder: ModelFolder, report: Report) -> dict[str, Any]:
    from deepracer_training.history import History

    counters = report.counters
    return {
        "model": folder.name,
        "steps": counters.steps,
        "updates": counters.update,
        "episodes": counters.episodes,
        "laps": counters.laps,
        "wall_s": counters.wall_s,
        "first_lap_s": counters.first_lap_s,
        "first_lap_steps": counters.first_lap_steps,
        "clean_s": counters.clean_s,
        "ended_early": report.share < 1.0,
        "changes": History.read(folder.history).sessions[-1].change_lines(),
        "last_update": report.metrics,
        "policy": str(folder.policy),
        "metrics": str(folder.metrics_jsonl),
        "peak_rss_mb": _peak_rss_mb(),
    }


def _peak_rss_mb() -> float:
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _print_result(result: EvaluationResult) -> None:
    columns = ["lap", "start", "ended as", "lap time", "progress", "off-tracks", "crashes", "speed"]
    rows = [
        [
            str(lap.lap),
            f"{lap.start_m:.1f} m",
            lap.status.value.replace("_", " "),
            number(lap.lap_time_s, 2, " s"),
            f"{lap.progress:.0f} %",
            str(lap.off_track_count),
            str(lap.crash_count),
            f"{lap.mean_speed:.2f} m/s",
        ]
        for lap in result.lap_results
    ]
    print_table(columns, rows, right=[name for name in columns if name != "ended as"])
    spread = f" +- {result.lap_time_std_s:.2f} s" if result.lap_time_std_s is not None else ""
    print_facts(
        {
            "laps": f"{result.laps_completed} of {result.laps} complete, {result.off_track_count} off-tracks, "
            f"{result.crash_count} crashes",
            "lap time": f"{number(result.lap_time_mean_s, 2, ' s')}{spread}, "
            f"best {number(result.lap_time_best_s, 2, ' s')}",
            "mean speed": f"{result.mean_speed:.2f} m/s, {result.mean_speed_share:.0%} of the model's top speed",
            **({"reward": f"failed: {result.reward_error}"} if result.reward_error else {}),
            "report": result.report,
            **({"video": result.video} if result.video else {}),
        }
    )
