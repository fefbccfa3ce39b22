"""What a user sees while a training or an evaluation runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.text import Text

from deepracer_training.cli.output import duration, number

if TYPE_CHECKING:
    from deepracer_training.training import Report

LINE_EVERY_S = 5.0
"""Time between two lines when stderr is no terminal."""


class TrainingProgress:
    """Shows a training on stderr; a context manager."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        """Prepare the display.

        Args:
            title: What is trained.
            console: Where to draw; stderr when omitted.
        """
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = _bar()
        self._task = self._bar.add_task(f"training {title}", total=None, left="getting ready")
        self._figures = Text("")
        self._live = Live(Group(self._bar, self._figures), console=self._console, refresh_per_second=5)
        self._begin = self._line_at = time.monotonic()

    def __enter__(self) -> TrainingProgress:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(self._bar.tasks[0].description, soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def update(self, report: Report) -> None:
        """Show the state after one update; meant as `on_update` of `train`."""
        now = time.monotonic()
        counters, share = report.counters, report.share
        left_s = (now - self._begin) * (1.0 - share) / share if share > 0.0 else None
        figures = _figures(report)
        if counters.first_lap_s is not None and counters.first_lap_steps == counters.steps:
            self._console.print(f"First complete lap after {duration(counters.first_lap_s)} of training.")
        if self._console.is_terminal:
            left = f"{duration(left_s)} left" if share < 1.0 else "exporting"
            self._bar.update(self._task, total=1.0, completed=share, left=left)
            self._figures.plain = f"  {figures}"
        elif now - self._line_at >= LINE_EVERY_S or share >= 1.0:
            self._line_at = now
            self._console.print(f"{share:4.0%}  {duration(counters.wall_s):>7}  {figures}", soft_wrap=True)


@contextmanager
def show_share(title: str) -> Iterator[Callable[[float], None]]:
    """Show how much of a work is done, on stderr.

    Args:
        title: What is being done.

    Yields:
        A function to call with the share that is done, 0 to 1.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.print(title, soft_wrap=True)
        yield lambda share: None
        return
    with _bar(console) as bar:
        task = bar.add_task(title, total=1.0, left="")
        yield lambda share: bar.update(task, completed=share)


def _bar(console: Console | None = None) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(30), TaskProgressColumn())
    return Progress(*columns, TextColumn("{task.fields[left]}"), console=console)


def _figures(report: Report) -> str:
    metrics, counters = report.metrics, report.counters
    figures = [
        f"reward {number(metrics['reward_mean'], 1)}",
        f"progress {number(metrics['progress_mean'], 0, ' %')}",
        f"laps {counters.laps:,}",
        f"lap time {number(metrics['lap_time_mean_s'], 1, ' s')}",
        f"{number(metrics['steps_per_s'])} steps/s",
    ]
    return "  ".join(figures)
