"""What the trace of an evaluation says about a model: time, mistakes and steering, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import Objects
from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.explanation.laps import Lap, Limits, read_lap, violated
from deepracer_training.explanation.meetings import Meeting, meetings
from deepracer_training.explanation.sections import Section, section_at, sections
from deepracer_training.traces import Trace

GRAVITY = 9.81
BEFORE_S = 1.0
"""What a car did so long before it left the road is what took it there."""
HOTSPOT_M = 1.5
"""Violations of one kind that lie nearer to each other than this are one spot."""
WEAVING_PER_S = 2.0
"""Turning points of the steering in a second: to either side and back takes a second or less. Bends need fewer."""


@dataclass(frozen=True)
class SectionFacts:
    """How a section is driven."""

    name: str
    kind: str
    begin_m: float
    end_m: float
    """Beyond the lap's length when it goes on over the start line."""
    passes: int
    """Complete ones, at speed and without a violation; the times are theirs."""
    time_mean_s: float | None
    time_best_s: float | None
    time_std_s: float | None
    reference_s: float
    """For the centre line at top speed, or as fast in bends as the tyres hold."""
    lost_s: float | None
    """Mean time of a pass above the reference."""
    speed_mean: float | None
    """Measured, m/s."""
    speed_min: float | None
    at_limit_share: float
    """Of the steps with the steering as far left or right as it goes."""
    swings_per_s: float
    """How often the steering changes its mind: turning points of the command, small ones left out."""
    weaving: bool
    beside_share: float
    """Of the steps with a wheel beside the road."""
    violations: int
    penalty_s: float
    """Waited out here in all laps together."""


@dataclass(frozen=True)
class Hotspot:
    """A place where cars break the rules again and again, or once."""

    status: str
    """Kind of violation, as in traces."""
    section: str
    arc_length_m: float
    x: float
    y: float
    side: str
    """`left` or `right` of the centre line."""
    hit: str | None
    """Kind of what the car crashed into, if that is known."""
    count: int
    laps: list[int]
    """From 1."""
    speed: float
    """Mean over the second before, m/s; the next two are of that second too."""
    steering_angle: float
    """Degrees."""
    at_limit_share: float


@dataclass(frozen=True)
class Explanation:
    """All that is told about an evaluation."""

    laps: int
    lap_time_mean_s: float | None
    """Of the laps that the sections were timed in, put together from the means of their sections."""
    lap_time_best_s: float | None
    """From the best pass of each section: what the model can already do."""
    reference_s: float
    sections: list[SectionFacts]
    hotspots: list[Hotspot]
    meetings: list[Meeting]
    """With boxes and other cars, lap by lap."""
    steps: Steps

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return {name: value for name, value in asdict(self).items() if name != "steps"}


@dataclass(frozen=True)
class Steps:
    """Every step in which a car was driving, for pictures; columns of equal length (M,)."""

    lap: NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    arc_length: FloatArray
    lateral: FloatArray
    speed: FloatArray
    """Measured, m/s."""
    steering_angle: FloatArray
    """Degrees."""
    settled: NDArray[np.bool_]
    """Whether the car had been driving for a while."""


def explain(
    trace: Trace, track: Track, vehicle: Vehicle, limits: Limits, objects: Mapping[int, Objects] | None = None
) -> Explanation:
    """Take the laps of an evaluation apart.

    Args:
        trace: Laps of one car each.
        track: The road.
        vehicle: The car; its tyres limit the reference.
        limits: What the policy may command.
        objects: What stood or drove on the road: for each episode, with a world for each of its steps.
    """
    cut = sections(track)
    laps = [read_lap(number, lap, track, limits) for number, lap in enumerate(trace.episodes(), 1)]
    where = [section_at(cut, lap.way, track.length) for lap in laps]
    met = [meeting for lap in laps for meeting in meetings(lap, objects or {})]
    facts = [
        _facts(
            section,
            laps,
            [index == number for index in where],
            track,
            _reference(section, track, vehicle, limits.top_speed),
        )
        for number, section in enumerate(cut)
    ]
    return Explanation(
        laps=len(laps),
        lap_time_mean_s=_sum([one.time_mean_s for one in facts]),
        lap_time_best_s=_sum([one.time_best_s for one in facts]),
        reference_s=sum(one.reference_s for one in facts),
        sections=facts,
        hotspots=list(_hotspots(laps, cut, track, met)),
        meetings=met,
        steps=_steps(laps, track),
    )


def _facts(
    section: Section, laps: Sequence[Lap], here: Sequence[NDArray[np.bool_]], track: Track, reference: float
) -> SectionFacts:
    passes = np.array([time for lap in laps for time in _passes(lap, section, track.length)])
    settled = [lap.settled & rows for lap, rows in zip(laps, here, strict=True)]
    speed = np.concatenate([lap.speed[rows] for lap, rows in zip(laps, settled, strict=True)])
    speed = speed[np.isfinite(speed)]
    steps = sum(int(rows.sum()) for rows in settled)
    period = _period(laps)
    rate = _count([lap.swing for lap in laps], settled) / max(steps * period, 1e-9)
    mean = float(passes.mean()) if len(passes) else None
    driving, waited = _count([lap.driving for lap in laps], here), _count([~lap.driving for lap in laps], here)
    beside = _count([lap.driving & ~lap.trace.all_wheels_on_track for lap in laps], here)
    return SectionFacts(
        name=section.name,
        kind=section.kind,
        begin_m=round(section.begin_m, 3),
        end_m=round(section.end_m, 3),
        passes=len(passes),
        time_mean_s=mean,
        time_best_s=float(passes.min()) if len(passes) else None,
        time_std_s=float(passes.std()) if len(passes) else None,
        reference_s=reference,
        lost_s=None if mean is None else mean - reference,
        speed_mean=float(speed.mean()) if len(speed) else None,
        speed_min=float(speed.min()) if len(speed) else None,
        at_limit_share=_count([lap.at_limit for lap in laps], settled) / max(steps, 1),
        swings_per_s=rate,
        weaving=steps * period >= 1.0 and rate >= WEAVING_PER_S,
        beside_share=beside / max(driving, 1),
        violations=_count([violated(lap) for lap in laps], here),
        penalty_s=round(waited * period, 6),
    )


def _count(marks: Sequence[NDArray[np.bool_]], rows: Sequence[NDArray[np.bool_]]) -> int:
    return sum(int((marked & here).sum()) for marked, here in zip(marks, rows, strict=True))


def _period(laps: Sequence[Lap]) -> float:
    steps = np.concatenate([np.diff(lap.time) for lap in laps])
    return float(np.median(steps)) if len(steps) else 1 / 15


def _passes(lap: Lap, section: Section, length: float) -> Iterator[float]:
    """Time each complete pass of a section that began at speed and has no violation in it, s."""
    way, time = np.maximum.accumulate(lap.way), lap.time
    spoilt = ~lap.driving | violated(lap)
    turn = np.floor((way[0] - section.begin_m) / length)
    while (begin := section.begin_m + turn * length) < way[-1]:
        end = begin + section.length_m
        if way[0] <= begin and end <= way[-1]:
            first, last = np.searchsorted(way, [begin, end])
            start, finish = _when(begin, int(first), way, time), _when(end, int(last), way, time)
            if lap.settled[first] and not spoilt[first : last + 1].any():
                yield finish - start
        turn += 1


def _when(place: float, row: int, way: FloatArray, time: FloatArray) -> float:
    """Return when a place was passed that lies between the row before and this one."""
    if row == 0 or way[row] == way[row - 1]:
        return float(time[row])
    share = (place - way[row - 1]) / (way[row] - way[row - 1])
    return float(time[row - 1] + share * (time[row] - time[row - 1]))


def _reference(section: Section, track: Track, vehicle: Vehicle, top_speed: float) -> float:
    step = section.length_m / max(round(section.length_m / 0.05), 1)
    s = np.mod(np.arange(section.begin_m, section.end_m - 0.5 * step, step) + 0.5 * step, track.length)
    bend = np.abs(np.interp(s, track.arc_length, track.curvature(), period=track.length))
    holds = np.sqrt(vehicle.tyre.friction * GRAVITY / np.maximum(bend, 1e-6))
    return float(np.sum(step / np.minimum(holds, top_speed)))


def _hotspots(laps: Sequence[Lap], cut: list[Section], track: Track, met: Sequence[Meeting]) -> Iterator[Hotspot]:
    """Put violations of one kind, side and place together, the most frequent first."""
    hit = {(meeting.lap, row): meeting.kind for meeting in met for row in meeting.hits}
    events = [(lap, int(row)) for lap in laps for row in np.flatnonzero(violated(lap))]
    groups: list[list[tuple[Lap, int]]] = []
    for lap, row in sorted(events, key=lambda event: event[0].way[event[1]] % track.length):
        for group in groups:
            other, at = group[-1]
            gap = abs(lap.way[row] - other.way[at]) % track.length
            same = other.trace.status[at] == lap.trace.status[row] and (other.lateral[at] > 0) == (lap.lateral[row] > 0)
            if same and min(gap, track.length - gap) <= HOTSPOT_M:
                group.append((lap, row))
                break
        else:
            groups.append([(lap, row)])
    for group in sorted(groups, key=len, reverse=True):
        lap, row = group[len(group) // 2]
        before = [one.driving & (one.time > one.time[at] - BEFORE_S) & (one.time <= one.time[at]) for one, at in group]
        speed = np.concatenate([one.speed[rows] for (one, _), rows in zip(group, before, strict=True)])
        steering = np.concatenate(
            [one.trace.steering_angle[rows] for (one, _), rows in zip(group, before, strict=True)]
        )
        limit = np.concatenate([one.at_limit[rows] for (one, _), rows in zip(group, before, strict=True)])
        known = speed[np.isfinite(speed)]
        yield Hotspot(
            status=str(lap.trace.status[row]),
            section=cut[int(section_at(cut, lap.way[row : row + 1], track.length)[0])].name,
            arc_length_m=round(float(lap.way[row] % track.length), 3),
            x=float(lap.trace.x[row]),
            y=float(lap.trace.y[row]),
            side="left" if lap.lateral[row] > 0.0 else "right",
            hit=hit.get((lap.number, row)),
            count=len(group),
            laps=sorted({one.number for one, _ in group}),
            speed=float(known.mean()) if len(known) else 0.0,
            steering_angle=float(steering.mean()),
            at_limit_share=float(limit.mean()),
        )


def _steps(laps: Sequence[Lap], track: Track) -> Steps:
    def column(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([one[lap.driving] for one, lap in zip(values, laps, strict=True)])

    return Steps(
        lap=column([np.full(len(lap.way), lap.number) for lap in laps]),
        x=column([lap.trace.x for lap in laps]),
        y=column([lap.trace.y for lap in laps]),
        arc_length=np.mod(column([lap.way for lap in laps]), track.length),
        lateral=column([lap.lateral for lap in laps]),
        speed=column([lap.speed for lap in laps]),
        steering_angle=column([lap.trace.steering_angle for lap in laps]),
        settled=column([lap.settled for lap in laps]),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
