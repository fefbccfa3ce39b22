"""The progress that a user sees while training."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from deepracer_training.checkpoint import Counters
from deepracer_training.cli.progress import TrainingProgress
from deepracer_training.training import Report


def report(share: float, first_lap_s: float | None = None, *, steps: int = 6144) -> Report:
    counters = Counters(update=3, steps=steps, wall_s=61.0, episodes=40, laps=1234, first_lap_s=first_lap_s)
    counters.first_lap_steps = 6144 if first_lap_s is not None else None
    metrics: dict[str, Any] = {
        "reward_mean": 12.34,
        "progress_mean": 56.7,
        "lap_time_mean_s": 8.91 if first_lap_s is not None else None,
        "steps_per_s": 4321.0,
    }
    return Report(counters, metrics, None, share)


@pytest.mark.parametrize("terminal", [True, False])
def test_figures_and_the_first_lap_are_shown_once_they_are_known(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    with TrainingProgress("first on oval", console) as progress:
        progress.update(report(0.25))
        progress.update(report(0.5, first_lap_s=14.2))
        progress.update(report(1.0, first_lap_s=14.2, steps=8192))
    text = out.getvalue()
    assert "training first on oval" in text
    assert text.count("First complete lap after 14.2 s") == 1
    assert "100%" in text
    assert "reward 12.3  progress 57 %  laps 1,234  lap time 8.9 s  4,321 steps/s" in text


def test_the_first_lap_of_the_training_that_is_resumed_is_no_news() -> None:
    out = io.StringIO()
    with TrainingProgress("first on oval", Console(file=out, width=120)) as progress:
        progress.update(report(1.0, first_lap_s=14.2, steps=8192))
    assert "First complete lap" not in out.getvalue()


def test_without_a_terminal_there_is_not_a_line_for_every_update() -> None:
    out = io.StringIO()
    with TrainingProgress("first on oval", Console(file=out, width=120)) as progress:
        for count in range(100):
            progress.update(report(count / 100))
    assert len(out.getvalue().splitlines()) < 20
