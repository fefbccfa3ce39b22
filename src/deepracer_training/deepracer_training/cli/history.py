"""What `show` tells about the history of a model's training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepracer_training.cli.output import duration, print_table

if TYPE_CHECKING:
    from deepracer_training.history import History

COLUMNS = ("training", "begun (UTC)", "steps", "time", "laps", "ended", "changed before it")


def history_json(history: History) -> list[dict[str, Any]]:
    """Return the sessions as JSON values, without the sources of reward functions."""
    return [session.model_dump(mode="json", exclude={"reward_function"}) for session in history.sessions]


def print_history(history: History) -> None:
    """Print one row per session and change; nothing if there was no session."""
    rows: list[list[str]] = []
    for number, session in enumerate(history.sessions, 1):
        lines = session.change_lines() or ["nothing" if session.resumed else "(new)"]
        rows.append(
            [
                str(number),
                session.started[:16].replace("T", " "),
                f"{session.begin_steps:,} to {session.steps:,}",
                duration(session.wall_s - session.begin_wall_s),
                f"{session.laps - session.begin_laps:,}",
                session.ended or "running or killed",
                lines[0],
            ]
        )
        rows += [[*[""] * (len(COLUMNS) - 1), line] for line in lines[1:]]
    if rows:
        print_table(COLUMNS, rows, right=("steps", "time", "laps"))
