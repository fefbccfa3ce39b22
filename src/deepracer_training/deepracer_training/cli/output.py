"""What commands print: JSON or text on stdout, errors and progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepracer_inference.cli.output import JsonFlag, console, fail, print_facts, print_json, print_table, warn
from deepracer_inference.errors import DeepRacerError, UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "JsonFlag",
    "PictureOption",
    "console",
    "duration",
    "fail",
    "number",
    "print_drawing",
    "print_facts",
    "print_json",
    "print_table",
    "save_picture",
    "warn",
]

PictureOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="PNG file to write; a file in $DEEPRACER_HOME/pictures when omitted."),
]


def print_drawing(lines: Sequence[str]) -> None:
    """Print a text picture, if stdout can show it."""
    try:
        "\n".join(lines).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return
    for line in lines:
        typer.echo(line)


def save_picture(figure: Figure, path: Path | None, name: str) -> Path:
    """Write a figure as PNG and return its absolute path.

    Args:
        figure: The picture.
        path: Where the user wants it.
        name: Stem of the file in `$DEEPRACER_HOME/pictures` otherwise.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    from deepracer_inference.files import home
    from deepracer_training.report.plots import save_png

    if path is not None:
        if path.suffix.lower() != ".png":
            raise UserError(f"{path} does not end in .png; pictures are written as PNG files.")
        target = path.expanduser().absolute()
    else:
        target = home() / "pictures" / f"{name}.png"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeepRacerError(f"Cannot create the folder {target.parent}: {error.strerror}.") from error
    save_png(figure, target)
    return target


def duration(seconds: float | None) -> str:
    """Write seconds as `7.3 s` or `4:07`; a dash for None."""
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """Write a number with thousands separators and a unit; a dash for None."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"
