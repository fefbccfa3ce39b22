"""Try a reward function before a training depends on it, and say in plain words what is wrong with it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepracer_inference.files import read_text
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.race_settings import RaceSettings
from deepracer_sim.tracks.track import Track
from deepracer_training.rewards.findings import Finding, ValidationReport
from deepracer_training.rewards.sandbox import CALL_LIMIT_S, LOAD_LIMIT_S, SLOW_CALL_S, Calls, call_all
from deepracer_training.rewards.situations import situations
from deepracer_training.rewards.source_check import check_source

WARN_CALL_S = 1e-3
"""A slower function is what a training spends most of its time on."""


def validate(
    path: Path | str,
    tracks: Track | Sequence[Track],
    vehicle: Vehicle | None = None,
    race: RaceSettings | None = None,
    *,
    call_limit_s: float = CALL_LIMIT_S,
    load_limit_s: float = LOAD_LIMIT_S,
) -> ValidationReport:
    """Check the source of a reward function and call it in every situation, in a process of its own.

    Args:
        path: Python file of the user.
        tracks: Where the situations take place.
        vehicle: The car; the DeepRacer if none is given.
        race: What stands or drives on the road besides.
        call_limit_s: Longest time for one call, s.
        load_limit_s: Longest time for running the top level of the file, s.

    Returns:
        Errors (training would fail) and warnings (AWS would refuse it, it is slow, it cannot teach anything).

    Raises:
        UserError: The file cannot be read.
    """
    path = Path(path)
    source = read_text(path)
    vehicle = vehicle if vehicle is not None else load_vehicle("deepracer")
    tried = [situations(track, vehicle, race) for track in ([tracks] if isinstance(tracks, Track) else tracks)]
    groups = [Calls([situation.params for situation in group]) for group in tried]
    answers, ending = call_all(path, groups, call_limit_s=call_limit_s, load_limit_s=load_limit_s)
    names = [situation.name for group in tried for situation in group]

    if any("load_error" in answer for answer in answers):
        error = answers[-1]["load_error"]
        syntax = error["kind"] == "syntax"
        found = [] if syntax else check_source(source)
        return ValidationReport(path, (Finding("error", error["kind"], error["text"], error["line"]), *found))
    found = check_source(source)
    results = [answer for answer in answers if "time_s" in answer]
    unknown_lines = {finding.line for finding in found if finding.code == "unknown_key"}
    found = [*(f for f in _failures(results, names) if f.code != "KeyError" or f.line not in unknown_lines), *found]
    if ending is not None:
        begun = [answer["index"] for answer in answers if "index" in answer]
        where = names[begun[-1]] if begun else None
        found.insert(0, Finding("error", ending.code, ending.message, ending.line, where, int(where is not None)))

    rewards = [answer["reward"] for answer in results if "reward" in answer]
    times = [answer["time_s"] for answer in results]
    found += [*_slowness(times), *_habits(results, rewards)]
    return ValidationReport(
        path,
        tuple(found),
        calls=len(results),
        reward_min=min(rewards, default=None),
        reward_max=max(rewards, default=None),
        call_median_s=statistics.median(times) if times else None,
        call_max_s=max(times, default=None),
    )


def _failures(results: list[dict[str, Any]], names: list[str]) -> list[Finding]:
    """Put equal failures into one finding each."""
    groups: dict[tuple[str, int | None], list[tuple[str, str]]] = {}
    for answer, name in zip(results, names, strict=False):
        if "error" in answer:
            error = answer["error"]
            groups.setdefault((error["kind"], error["line"]), []).append((error["text"], name))
    return [
        Finding("error", kind, cases[0][0], line, cases[0][1], len(cases)) for (kind, line), cases in groups.items()
    ]


def _slowness(times: list[float]) -> list[Finding]:
    if not times:
        return []
    median, slow = statistics.median(times), sum(time > SLOW_CALL_S for time in times)
    if median > SLOW_CALL_S or slow > 1:
        message = f"too slow: {slow} of {len(times)} calls took more than {1e3 * SLOW_CALL_S:.0f} ms, a control period"
        return [Finding("error", "too_slow", message)]
    if slow:
        # Once is what a function may need that prepares a table in its first call.
        return [Finding("warning", "slow", f"one call took {1e3 * max(times):.0f} ms")]
    if median > WARN_CALL_S:
        message = f"slow: a call takes {1e3 * median:.1f} ms; training waits that long in every step of every car"
        return [Finding("warning", "slow", message)]
    return []


def _habits(results: list[dict[str, Any]], rewards: list[float]) -> list[Finding]:
    found = []
    if len(rewards) > 1 and min(rewards) == max(rewards):
        message = f"the reward is {rewards[0]:g} in all {len(rewards)} situations, so there is nothing to learn from it"
        found.append(Finding("warning", "constant", message))
    types = sorted({answer["type"] for answer in results if "type" in answer} - {"float", "float64"})
    if types:
        message = f"AWS accepts float only, but it returned {', '.join(types)}: return float(...)"
        found.append(Finding("warning", "aws_type", message))
    return found
