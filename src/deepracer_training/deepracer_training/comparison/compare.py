"""The comparison: every entry against the first one, in figures, in settings and in reward functions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text
from deepracer_training.comparison import intervals
from deepracer_training.comparison.intervals import UNKNOWN, Interval
from deepracer_training.comparison.laps import Entry, Figures
from deepracer_training.models.changes import Change, config_changes
from deepracer_training.models.folder import ModelFolder
from deepracer_training.results import LapResult

MIN_LAPS = 3
"""With two laps each, Newcombe's interval would tell one of eight pairs of equal models apart."""

Verdict = Literal["better", "worse", "no clear difference", "not comparable"]


@dataclass(frozen=True)
class Difference:
    """What an entry does otherwise than the first one; each figure is its own minus the first one's."""

    paired: int
    """Laps of both from the same starts, whose times are compared one by one; 0 if fewer than two are common."""
    completion: Interval
    progress: Interval
    off_tracks: Interval
    crashes: Interval
    lap_time_s: Interval
    consistency: Interval
    verdict: Verdict
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return {
            name: value.as_json() if isinstance(value, Interval) else value for name, value in self.__dict__.items()
        }


@dataclass(frozen=True)
class Compared:
    """One entry with all that is said about it."""

    entry: Entry
    figures: Figures
    difference: Difference | None
    """None for the first one."""
    settings: tuple[Change, ...]
    """Of model.yaml, from the first one's to its own."""
    reward: tuple[str, ...]
    """Lines of a unified diff from the first one's reward function to its own; none if they are equal."""

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return {
            "label": self.entry.label,
            "model": self.entry.folder.name,
            "track": self.entry.track,
            "evaluations": [result.id for result in self.entry.evaluations],
            "seeds": [result.seed for result in self.entry.evaluations],
            "figures": self.figures.as_json(),
            "difference": self.difference.as_json() if self.difference else None,
            "settings": [change.model_dump(mode="json") for change in self.settings],
            "reward_function": list(self.reward),
        }


def compare(entries: Sequence[Entry], confidence: float = intervals.CONFIDENCE) -> list[Compared]:
    """Compare every entry with the first one.

    Completion has Wilson's interval, off-tracks and crashes per lap Garwood's, and their differences the hybrid of two;
    means have Student's, paired where both drove from the same starts, and consistency has a bootstrap interval.

    Args:
        entries: At least one.
        confidence: Probability that an interval holds.

    Raises:
        UserError: The same thing is named twice, or a model's files cannot be read.
    """
    if not 0.5 <= confidence < 1.0:
        raise UserError(f"the confidence must be at least 0.5 and less than 1, but is {confidence:g}")
    labels = [entry.label for entry in entries]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise UserError(f"{', '.join(twice)} is named twice; a model does not differ from itself")
    first = entries[0]
    base = Figures.of(first.laps, confidence)
    compared = [Compared(first, base, None, (), ())]
    for entry in entries[1:]:
        figures = Figures.of(entry.laps, confidence)
        compared.append(
            Compared(
                entry,
                figures,
                _difference(first, base, entry, figures, confidence),
                tuple(config_changes(first.folder.config, entry.folder.config)),
                tuple(reward_diff(first.folder, entry.folder)),
            )
        )
    return compared


def reward_diff(first: ModelFolder, second: ModelFolder) -> list[str]:
    """Return the difference of two models' reward functions as lines of a unified diff; none if they are equal."""
    before, after = (read_text(folder.reward).splitlines() for folder in (first, second))
    old, new = (f"{folder.name}/{folder.reward.name}" for folder in (first, second))
    return list(difflib.unified_diff(before, after, old, new, lineterm=""))


def _difference(first: Entry, base: Figures, entry: Entry, figures: Figures, confidence: float) -> Difference:
    if entry.course != first.course:
        return Difference(
            0, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "not comparable", _other_course(first, entry)
        )
    before, after, paired = _laps(first, entry)

    parts: dict[str, Any] = {
        "completion": intervals.hybrid_difference(base.completion, figures.completion),
        "progress": intervals.mean_difference(
            [lap.progress for lap in before], [lap.progress for lap in after], paired=paired, confidence=confidence
        ),
        "off_tracks": intervals.hybrid_difference(base.off_tracks, figures.off_tracks),
        "crashes": intervals.hybrid_difference(base.crashes, figures.crashes),
        "lap_time_s": _time_difference(before, after, paired, confidence),
        "consistency": intervals.spread_difference(_times(before), _times(after), confidence),
    }
    verdict, reason = _judge(parts, base, figures)
    return Difference(len(before) if paired else 0, **parts, verdict=verdict, reason=reason)


def _other_course(first: Entry, entry: Entry) -> str:
    own, other = entry.course, first.course
    if own.track != other.track:
        return f"{entry.label} was evaluated on {own.track}, {first.label} on {other.track}"
    if own.waypoints != other.waypoints:
        return f"the way points of {own.track} were others"
    if own.race_type != other.race_type:
        return f"{entry.label} was evaluated in {own.race_type}, {first.label} in {other.race_type}"
    return "other boxes or bot cars were on the road"


def _laps(first: Entry, entry: Entry) -> tuple[list[LapResult], list[LapResult], bool]:
    """Return the laps to compare: those from common starts in the same order, or all if fewer than two are common."""
    own, other = first.by_start, entry.by_start
    common = sorted(own.keys() & other.keys())
    if len(common) < 2:
        return first.laps, entry.laps, False
    return [own[start] for start in common], [other[start] for start in common], True


def _time_difference(
    before: Sequence[LapResult], after: Sequence[LapResult], paired: bool, confidence: float
) -> Interval:
    if paired:
        both = [
            (one.lap_time_s, two.lap_time_s)
            for one, two in zip(before, after, strict=True)
            if one.lap_time_s is not None and two.lap_time_s is not None
        ]
        return intervals.mean_difference(
            [one for one, _ in both], [two for _, two in both], paired=True, confidence=confidence
        )
    return intervals.mean_difference(_times(before), _times(after), paired=False, confidence=confidence)


def _times(laps: Sequence[LapResult]) -> list[float]:
    return [lap.lap_time_s for lap in laps if lap.lap_time_s is not None]


def _judge(parts: dict[str, Interval], base: Figures, figures: Figures) -> tuple[Verdict, str]:
    """Decide by the first figure that clearly differs: a fast car that does not arrive is no good."""
    count = min(base.laps, figures.laps)
    if count < MIN_LAPS:
        return "no clear difference", f"{MIN_LAPS} laps of each are needed to tell"
    completion = parts["completion"]
    if completion.clear:
        assert completion.value is not None
        reason = f"completes {figures.completed} of {figures.laps} laps instead of {base.completed} of {base.laps}"
        return ("better" if completion.value > 0.0 else "worse"), reason
    progress = parts["progress"]
    if progress.clear:
        value = progress.value or 0.0
        reason = f"gets {abs(value):.0f} % of the lap {'further' if value > 0.0 else 'less far'}"
        return ("better" if value > 0.0 else "worse"), reason
    for key, name in (("off_tracks", "leaves the track"), ("crashes", "crashes")):
        if parts[key].clear:
            value = parts[key].value or 0.0
            word = "less" if value < 0.0 else "more"
            return ("better" if value < 0.0 else "worse"), f"{name} {abs(value):.2g} times {word} per lap"
    time = parts["lap_time_s"]
    if time.clear:
        value = time.value or 0.0
        return (
            "better" if value < 0.0 else "worse"
        ), f"{abs(value):.2f} s {'faster' if value < 0.0 else 'slower'} a lap"
    return "no clear difference", f"in {count} laps"
