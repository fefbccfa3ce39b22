"""Entry point of the command `deepracer`: collects the commands and turns every expected error into one message.

Nothing heavy is imported at the top of a module in this package: `deepracer --help` has to answer at once, and numpy,
torch, numba and matplotlib take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from deepracer_inference.cli import calibration, car
from deepracer_inference.cli.run import run
from deepracer_training.cli import deploy, models, runs, tracks, world

app = typer.Typer(
    name="deepracer",
    help="Train a DeepRacer to drive by camera, on your own computer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(tracks.app, name="tracks")
app.add_typer(car.app, name="car")
app.add_typer(calibration.app, name="calibration")
for command in (
    models.create,
    models.validate,
    runs.train,
    runs.evaluate,
    models.list_models,
    models.show,
    deploy.export,
    deploy.deploy,
    deploy.rollback,
    calibration.calibrate,
    deploy.protractor,
    world.world,
):
    app.command(name=command.__name__.removesuffix("_models"))(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, see `deepracer_inference.cli.run`."""
    return run(app, "deepracer", arguments)
