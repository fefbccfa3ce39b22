"""What a reward function teaches, read from laps that were replayed through it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.rewards.replay import Replay

BIN_M = 0.25
"""Length of the pieces that the lap is cut into; at 2 m/s a step takes a car 0.13 m further."""
MIN_REGION_M = 1.0
SAME_SHARE = 0.01
"""Rewards that differ by less than this share of their usual range (2 % to 98 %) count as the same."""
RARE_SHARE = 0.02
"""Of the steps; a bonus or a punishment that is rarer does not count as something to be gained or lost."""
MIN_STEPS_OFF = 5


@dataclass(frozen=True)
class LapReward:
    """What one lap earned."""

    name: str
    steps: int
    seconds: float
    progress: float
    """Percent, in the end."""
    status: str
    total: float
    per_step: float
    off_track_steps: int
    """With a wheel beside the road, or more."""
    recorded_total: float
    """With the reward function that was in force when it was driven; 0 for built-in drives."""


@dataclass(frozen=True)
class Region:
    """A stretch of the lap where the reward is the same whatever the cars did."""

    kind: Literal["dead", "saturated", "flat"]
    """`dead`: nowhere is less earned; `saturated`: nowhere more; `flat`: something between."""
    begin_m: float
    end_m: float
    """Less than `begin_m` when it goes on over the start line."""
    reward: float


@dataclass(frozen=True)
class TermSummary:
    """One named number that the function returned or printed."""

    name: str
    mean: float
    minimum: float
    maximum: float
    constant: bool
    share: float | None
    """Of the sum of the absolute values of all terms; None unless the terms add up to the reward."""


@dataclass(frozen=True)
class Preview:
    """All that is told about a reward function."""

    laps: list[LapReward]
    regions: list[Region]
    terms: list[TermSummary]
    additive: bool
    """Whether the terms add up to the reward."""
    minimum: float
    median: float
    maximum: float
    at_minimum_share: float
    """Of the steps."""
    at_maximum_share: float
    bins: Bins
    findings: list[str]
    """Sentences about what is likely to go wrong."""

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        data = asdict(self)
        data["bins"] = {
            name: [None if math.isnan(value) else round(value, 6) for value in column.tolist()]
            for name, column in vars(self.bins).items()
        }
        return data


@dataclass(frozen=True)
class Bins:
    """The reward in each piece of the lap (B,); NaN where nobody drove."""

    begin_m: FloatArray
    mean: FloatArray
    minimum: FloatArray
    maximum: FloatArray


def preview(replay: Replay, track: Track, names: Sequence[str] = ()) -> Preview:
    """Sum up replayed laps.

    Args:
        replay: At least one step.
        track: The road.
        names: Of the laps if they are built-in drives, which are compared with each other.
    """
    laps = list(_laps(replay, names))
    reward = replay.reward
    same = _same(reward)
    bins = _bins(replay, track)
    regions = _regions(replay, track, same)
    terms, additive = _terms(replay)
    low, high = float(reward.min()), float(reward.max())
    at_low, at_high = float(np.mean(reward <= low + same)), float(np.mean(reward >= high - same))
    return Preview(
        laps=laps,
        regions=regions,
        terms=terms,
        additive=additive,
        minimum=low,
        median=float(np.median(reward)),
        maximum=high,
        at_minimum_share=at_low,
        at_maximum_share=at_high,
        bins=bins,
        findings=[*_findings(replay, laps, terms, same), *(_drive_findings(laps) if names else ())],
    )


def _laps(replay: Replay, names: Sequence[str]) -> Iterator[LapReward]:
    trace = replay.trace
    starts = np.flatnonzero(np.diff(trace.episode, prepend=trace.episode[0] - 1))
    for number, (begin, end) in enumerate(zip(starts, [*starts[1:], len(trace)], strict=True)):
        rows = slice(int(begin), int(end))
        reward = replay.reward[rows]
        yield LapReward(
            name=names[number] if names else f"lap {int(trace.episode[begin]) + 1}",
            steps=len(reward),
            seconds=round(float(trace.time_s[end - 1] - trace.time_s[begin]), 6),
            progress=float(trace.progress[end - 1]),
            status=str(trace.status[end - 1]),
            total=float(reward.sum()),
            per_step=float(reward.mean()),
            off_track_steps=int(np.sum(~trace.all_wheels_on_track[rows])),
            recorded_total=float(trace.reward[rows].sum()),
        )


def _same(reward: FloatArray) -> float:
    low, high = np.percentile(reward, [2, 98])
    return float(SAME_SHARE * (high - low) + 1e-9 * max(abs(low), abs(high), 1e-3))


def _bins(replay: Replay, track: Track) -> Bins:
    count = max(round(track.length / BIN_M), 8)
    index = np.minimum((replay.arc_length / track.length * count).astype(np.int64), count - 1)
    mean, low, high = (np.full(count, np.nan) for _ in range(3))
    for piece in np.unique(index):
        reward = replay.reward[index == piece]
        mean[piece], low[piece], high[piece] = reward.mean(), reward.min(), reward.max()
    return Bins(np.arange(count) * track.length / count, mean, low, high)


def _regions(replay: Replay, track: Track, same: float) -> list[Region]:
    """Find the longest stretches, each at least `MIN_REGION_M`, in which all rewards are the same."""
    bins = _bins(replay, track)
    count = len(bins.mean)
    flat = bins.maximum - bins.minimum <= same  # False where nobody drove
    if not flat.any():
        return []
    if flat.all() and bins.maximum.max() - bins.minimum.min() <= same:
        return [_region(replay, same, 0.0, track.length, float(bins.mean.mean()))]
    # Begin where a stretch begins, so that none is cut by the start line.
    breaks = [i for i in range(count) if not flat[i] or not flat[i - 1] or abs(bins.mean[i] - bins.mean[i - 1]) > same]
    regions, piece = [], track.length / count
    for number, begin in enumerate(breaks):
        end = breaks[(number + 1) % len(breaks)]
        pieces = (end - begin - 1) % count + 1
        if flat[begin] and pieces * piece >= MIN_REGION_M:
            value = float(bins.mean[begin])
            regions.append(_region(replay, same, begin * piece, (begin + pieces) * piece % track.length, value))
    return regions


def _region(replay: Replay, same: float, begin: float, end: float, value: float) -> Region:
    more = float(np.mean(replay.reward > value + same)) >= RARE_SHARE
    less = float(np.mean(replay.reward < value - same)) >= RARE_SHARE
    kind: Literal["dead", "saturated", "flat"] = "flat" if more == less else "dead" if more else "saturated"
    return Region(kind, round(begin, 3), round(end, 3), value)


def _terms(replay: Replay) -> tuple[list[TermSummary], bool]:
    columns = {name: values for name, values in replay.terms.items() if np.isfinite(values).any()}
    total: NDArray[Any] = np.nansum(np.array(list(columns.values())), axis=0) if columns else np.zeros(0)
    additive = len(columns) > 1 and bool(np.allclose(total, replay.reward, rtol=1e-3, atol=1e-3))
    weight = sum(float(np.nansum(np.abs(values))) for values in columns.values())
    return [
        TermSummary(
            name=name,
            mean=float(np.nanmean(values)),
            minimum=float(np.nanmin(values)),
            maximum=float(np.nanmax(values)),
            constant=bool(np.nanmax(values) == np.nanmin(values)),
            share=float(np.nansum(np.abs(values))) / weight if additive and weight > 0.0 else None,
        )
        for name, values in columns.items()
    ], additive


def _findings(replay: Replay, laps: list[LapReward], terms: list[TermSummary], same: float) -> Iterator[str]:
    reward, low, high = replay.reward, float(replay.reward.min()), float(replay.reward.max())
    if high - low <= same:
        yield f"The reward is {low:g} in every step: there is nothing to learn from it."
        return
    at_high = float(np.mean(reward >= high - same))
    if at_high > 0.9:
        yield (
            f"{at_high:.0%} of all steps earn the highest reward, {high:g}: these laps leave nothing to improve, so "
            "raise what it asks for."
        )
    at_low = float(np.mean(reward <= low + same))
    if at_low > 0.5:
        yield f"{at_low:.0%} of all steps earn the lowest reward, {low:g}: it seldom tells good from bad."
    beside = ~replay.trace.all_wheels_on_track
    if beside.sum() >= MIN_STEPS_OFF and (~beside).any():
        off, on = float(reward[beside].mean()), float(reward[~beside].mean())
        if off >= on:
            yield f"A step with a wheel beside the road earns {off:.3g}, one on the road {on:.3g}: leaving it pays."
    negative = [lap for lap in laps if lap.total < 0.0 and lap.status == EpisodeStatus.LAP_COMPLETE.value]
    if negative:
        yield (
            f"{len(negative)} complete laps earn less than nothing ({negative[0].total:.3g}): ending an episode early, "
            "by leaving the road, would be better."
        )
    for term in terms:
        if term.constant:
            yield f"The term {term.name} is {term.mean:g} in every step."


def _drive_findings(laps: list[LapReward]) -> Iterator[str]:
    """Compare built-in drives, of which it is known which one is better."""
    by_name = {lap.name: lap for lap in laps}
    center = by_name["centre line"]
    slack = 0.02 * abs(center.per_step)
    slow, fast = by_name["centre line, slowest"], by_name["centre line, fastest"]
    if fast.per_step < slow.per_step - slack:
        yield (
            f"Driving slowly earns more in every step ({slow.per_step:.3g}) than driving fast ({fast.per_step:.3g}): "
            "it teaches to be slow."
        )
    elif fast.total < slow.total - 0.02 * abs(slow.total) and fast.per_step < slow.per_step + slack:
        yield (
            f"A slow lap earns more ({slow.total:.3g}) than a fast one ({fast.total:.3g}), and a step the same: speed "
            "is not rewarded."
        )
    for name in ("weaving", "wheels beside the road", "leaves the road"):
        lap = by_name[name]
        if lap.per_step > center.per_step + slack:
            more = f"{lap.per_step:.3g}) than the centre line ({center.per_step:.3g}"
            yield f"The drive '{name}' earns more per step ({more})."
    leaves = by_name["leaves the road"]
    if leaves.total > center.total:
        yield f"To leave the road half way earns {leaves.total:.3g}, a whole lap {center.total:.3g}."
