"""Entry point of the command `deepracer-car`, for cars without the training software."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from deepracer_inference.cli import calibration, car
from deepracer_inference.cli.run import run

app = typer.Typer(
    name="deepracer-car",
    help="Calibrate this car and choose the model that drives it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(calibration.calibrate)
app.add_typer(calibration.app, name="calibration")
for command in (car.models, car.install, car.select, car.rollback):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, see `run`."""
    return run(app, "deepracer-car", arguments)
