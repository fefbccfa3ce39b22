"""Entry point of the command `deepracer`: collects the commands and turns every expected error into one message.

Nothing heavy is imported at the top of a module in this package: `deepracer --help` has to answer at once, and numpy,
torch, numba and matplotlib take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer

from deepracer_inference.cli import calibration, car
from deepracer_inference.cli.run import run
from deepracer_training.cli import (
    cameras,
    comparison,
    deploy,
    exchange,
    explain,
    lifecycle,
    models,
    races,
    rewards,
    runs,
    sweeping,
    tracks,
    world,
)

app = typer.Typer(
    name="deepracer",
    help="Train a DeepRacer to drive by camera, on your own computer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, list[Callable[..., None]]] = {
    "Create, train, race": [
        models.create,
        models.validate,
        runs.train,
        runs.evaluate,
        races.race,
        models.list_models,
        models.show,
    ],
    "Refine": [explain.explain, comparison.compare, sweeping.sweep],
    "Keep": [
        lifecycle.clone,
        lifecycle.lineage,
        lifecycle.rename,
        lifecycle.delete,
        lifecycle.backup,
        lifecycle.restore,
        exchange.import_,
        exchange.export_logs,
    ],
    "Put on a car": [deploy.export, deploy.deploy, deploy.rollback, calibration.calibrate, deploy.protractor],
    "Tracks and worlds": [world.world, cameras.cameras],
}
for panel, commands in COMMANDS.items():
    for command in commands:
        name = command.__name__.removesuffix("_models").rstrip("_").replace("_", "-")
        app.command(name=name, rich_help_panel=panel)(command)
app.add_typer(rewards.app, name="reward", rich_help_panel="Refine")
app.add_typer(tracks.app, name="tracks", rich_help_panel="Tracks and worlds")
app.add_typer(car.app, name="car", rich_help_panel="Put on a car")
app.add_typer(calibration.app, name="calibration", rich_help_panel="Put on a car")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, see `deepracer_inference.cli.run`."""
    return run(app, "deepracer", arguments)
