"""Runs a command line and turns every expected error into one message and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import typer

from deepracer_inference.cli.output import fail
from deepracer_inference.errors import DeepRacerError


def run(app: typer.Typer, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        app: The commands.
        name: The program's name.
        arguments: Words after the program's name; those of the process when omitted.

    Returns:
        0, 1 when something failed, or 2 when the user made a mistake. Anything unexpected is a bug and leaves with a
        traceback.
    """
    _log_to_stderr()
    try:
        app(args=None if arguments is None else list(arguments), prog_name=name)
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
