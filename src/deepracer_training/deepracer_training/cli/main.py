"""Entry point of the command `deepracer`: collects the commands and turns every expected error into one message.

Nothing heavy is imported at the top of a module in this package: `deepracer --help` has to answer at once, and numpy,
torch, numba and matplotlib take seconds.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import typer

from deepracer_inference.errors import DeepRacerError
from deepracer_training.cli import cameras, models, runs, tracks, world
from deepracer_training.cli.output import fail

app = typer.Typer(
    name="deepracer",
    help="Train a DeepRacer to drive by camera, on your own computer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(tracks.app, name="tracks")
for command in (
    models.create,
    models.validate,
    runs.train,
    runs.evaluate,
    models.list_models,
    models.show,
    world.world,
    cameras.cameras,
):
    app.command(name=command.__name__.removesuffix("_models"))(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after the program's name; those of the process when omitted.

    Returns:
        0, 1 when something failed, or 2 when the user made a mistake. Anything unexpected is a bug and leaves with a
        traceback.
    """
    _log_to_stderr()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="deepracer")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except DeepRacerError as error:
        fail(str(error))
        return error.exit_code
    except OSError as error:
        # A full disk, a lost mount, a permission: the machine's state and not a bug, wherever it surfaces.
        reason = error.strerror or str(error)
        fail(f"{os.fspath(error.filename)}: {reason}" if isinstance(error.filename, str | os.PathLike) else reason)
        return 1
    return 0


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at the moment, so that a live progress bar can take it over."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _log_to_stderr() -> None:
    root = logging.getLogger()
    if not any(isinstance(handler, _StderrHandler) for handler in root.handlers):
        root.addHandler(_StderrHandler())
    for package in ("deepracer_inference", "deepracer_sim", "deepracer_training"):
        logging.getLogger(package).setLevel(logging.INFO)
