"""The command `sweep`: variants of a model, trained, compared, and the best one named."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.models import ModelArgument, read_action_space, read_reward
from deepracer_training.cli.output import JsonFlag, number, print_json, print_table

if TYPE_CHECKING:
    from deepracer_training.comparison.compare import Compared
    from deepracer_training.models.config import ModelConfig
    from deepracer_training.sweeps.record import Sweep, TrialRecord
    from deepracer_training.training import Report

COMPARED = 4
"""How many of the best variants the comparison shows."""


def sweep(
    model: ModelArgument,
    space: Annotated[
        Path, typer.Option(metavar="FILE.yaml", help="What varies: keys of model.yaml with lists or ranges.")
    ],
    trials: Annotated[int, typer.Option(min=1, max=1000, help="How many variants to train.")] = 10,
    minutes: Annotated[float | None, typer.Option(help="Training time of each.  [default: 2, unless --steps]")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Environment steps of each; equal seeds then give equal results.")
    ] = None,
    laps: Annotated[int, typer.Option(min=1, max=1000, help="Laps of each evaluation.")] = 10,
    start: Annotated[
        str, typer.Option("--from", metavar="none|best|last", help="Weights to start from: fresh, or the model's.")
    ] = "none",
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep and of its models.  [default: MODEL-sweep]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of the choices.")] = 0,
    prune: Annotated[bool, typer.Option(help="Stop variants that fall behind the median of the others.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Train variants of a model and compare them; the same command goes on after an interruption."""
    from deepracer_training.models.folder import ModelFolder, check_name

    if start not in ("none", "best", "last"):
        raise UserError(f"--from is {start!r}, but none, best or last is expected.")
    if minutes is not None and steps is not None:
        raise UserError("give the budget of each variant either as --minutes or as --steps")
    budget = minutes if minutes is not None else steps if steps is not None else 2.0
    if not 0 < budget < float("inf"):
        raise UserError(f"the budget of each variant must be positive, but is {budget:g}")
    folder = ModelFolder.open(model)
    title = check_name(name or f"{model}-sweep")
    from deepracer_training.sweeps.record import COMPARISON, SweepSettings, sweep_folder
    from deepracer_training.sweeps.run import Hooks, run_sweep
    from deepracer_training.sweeps.space import read_space

    search, content = read_space(space.expanduser(), _read_reward, read_action_space)
    settings = SweepSettings(
        model=model,
        space=content,
        minutes=float(budget) if steps is None else None,
        steps=steps,
        laps=laps,
        start=start,
        seed=seed,
        prune=prune,
    )
    progress = _Progress(trials)
    with redirect_stdout(sys.stderr):
        result, finished = run_sweep(folder, title, search, settings, trials, Hooks(progress.trial, progress.update))
    page = sweep_folder(title) / COMPARISON
    compared = _compare(result, page)
    if as_json:
        print_json(
            {
                "sweep": title,
                "finished": finished,
                "trials": [trial.model_dump(mode="json") for trial in result.trials],
                "ranking": [trial.model for trial in result.ranking()],
                "comparison": [one.as_json() for one in compared],
                "page": str(page) if compared else None,
            }
        )
        return
    _print(result, compared, page)
    if not finished:
        done = sum(trial.state != "running" for trial in result.trials)
        typer.echo(f"Stopped after {done} of {trials} variants; the same command goes on.")


def _read_reward(text: str, config: ModelConfig) -> str:
    from deepracer_sim.tracks.library import load_track

    return read_reward(text, load_track(config.track), config.race)


def _compare(sweep: Sweep, page: Path) -> list[Compared]:
    """Compare the best variants that were trained to the end, and write the page."""
    from deepracer_training.comparison.compare import compare
    from deepracer_training.comparison.laps import open_entry
    from deepracer_training.report.comparison_page import write_comparison

    best = [trial for trial in sweep.ranking() if trial.state == "complete"][:COMPARED]
    entries = []
    for trial in best:
        try:
            entries.append(open_entry(trial.model))
        except UserError:  # somebody has deleted it since
            continue
    if not entries:
        return []
    compared = compare(entries)
    write_comparison(page, compared, 0.95)
    return compared


def _print(sweep: Sweep, compared: list[Compared], page: Path) -> None:
    from deepracer_training.cli.comparison import print_comparison

    keys = list(sweep.settings.space)
    ranked = sweep.ranking()
    rest = [trial for trial in sweep.trials if trial not in ranked]
    rows = [
        [
            trial.model,
            *(_value(trial.values.get(key)) for key in keys),
            "stopped early" if trial.state == "pruned" else trial.state,
            number(trial.score, 3),
            f"{trial.laps_completed} of {trial.laps}" if trial.laps else "-",
            number(trial.lap_time_mean_s, 2, " s"),
            number(trial.steps),
        ]
        for trial in [*ranked, *rest]
    ]
    columns = ["variant", *(key.rpartition(".")[2] for key in keys), "state", "score", "laps", "lap time", "steps"]
    print_table(columns, rows, right=["score", "laps", "lap time", "steps"])
    for trial in rest:
        if trial.reason:
            typer.echo(f"{trial.model}: {trial.reason}")
    if len(compared) > 1:
        print_comparison(compared)
    if compared:
        typer.echo(f"page  {page}")
        typer.echo(f"Next: deepracer show {compared[0].entry.label}")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class _Progress:
    """Says on stderr which variant is trained, and how it goes."""

    def __init__(self, trials: int) -> None:
        self._trials = trials
        self._last = -1

    def trial(self, record: TrialRecord) -> None:
        """Tell about the beginning or the end of a variant."""
        self._last = -1
        if record.state == "running":
            values = ", ".join(f"{key} {_value(value)}" for key, value in record.values.items())
            typer.echo(f"{record.number + 1} of {self._trials}: {record.model} with {values}", err=True)
            return
        word = {"pruned": "stopped early"}.get(record.state, record.state)
        typer.echo(f"  {word}, score {number(record.score, 3)}{f': {record.reason}' * bool(record.reason)}", err=True)

    def update(self, record: TrialRecord, report: Report) -> None:
        """Tell every quarter of a training how far it is."""
        quarter = int(4.0 * report.share)
        if quarter == self._last:
            return
        self._last = quarter
        progress = number(report.metrics["progress_mean"], 0, " %")
        typer.echo(f"  {report.share:4.0%}  progress {progress}  laps {report.counters.laps:,}", err=True)
