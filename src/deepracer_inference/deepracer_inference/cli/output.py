"""What commands print: JSON or text on stdout, errors and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]

PIPE_COLUMNS = 120
"""Width of tables when stdout is no terminal; rich would cut them at 80."""


def fail(message: str) -> None:
    """Print an error message on stderr, the word "Error" in red on a terminal."""
    typer.secho("Error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(message, err=True)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    typer.secho("Warning: ", fg=typer.colors.YELLOW, nl=False, err=True)
    typer.echo(message, err=True)


def print_json(data: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(data, indent=2, allow_nan=False))


def console() -> Console:
    """Return a rich console on stdout."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table.

    Args:
        columns: Headings.
        rows: Cells, as many in each row as there are headings.
        right: Headings of the columns that hold numbers.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name == columns[0])
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print one `name  value` line per fact; values are never wrapped, so that paths can be copied."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{typer.style(name.ljust(width), dim=True)}  {value}")
