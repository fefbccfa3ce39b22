"""The sections of an explanation as a table, for terminals and pages."""

from __future__ import annotations

from deepracer_training.explanation.analysis import Explanation, SectionFacts
from deepracer_training.explanation.findings import LIMIT_SHARE, MIN_LOST_S

COLUMNS = (
    "section",
    "from",
    "passes",
    "time",
    "+-",
    "best",
    "lost",
    "speed",
    "at limit",
    "swings",
    "off road",
    "broken",
)
"""Time, best and lost in s, speed in m/s, swings per second; `broken`: violations of the rules."""

Cell = tuple[str, str]
"""Text, and `most` or `yes` where it is worth a look."""


def table(explanation: Explanation) -> list[list[Cell]]:
    """Return one row of cells for each section, in `COLUMNS`."""
    most = max((one.lost_s or 0.0 for one in explanation.sections), default=0.0)
    return [_row(one, most) for one in explanation.sections]


def _row(one: SectionFacts, most: float) -> list[Cell]:
    lost = "most" if one.lost_s is not None and one.lost_s == most and most >= MIN_LOST_S else ""
    return [
        (one.name, ""),
        (f"{one.begin_m:.1f} m", ""),
        (str(one.passes), ""),
        (_number(one.time_mean_s), ""),
        (_number(one.time_std_s), ""),
        (_number(one.time_best_s), ""),
        (_number(one.lost_s, sign="+"), lost),
        (_number(one.speed_mean), ""),
        (f"{one.at_limit_share:.0%}", "yes" if one.at_limit_share >= LIMIT_SHARE else ""),
        (f"{one.swings_per_s:.1f}", "yes" if one.weaving else ""),
        (f"{one.beside_share:.0%}", "yes" if one.beside_share > 0.0 else ""),
        (str(one.violations), "most" if one.violations else ""),
    ]


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"
