"""What an explanation comes down to, in sentences: the most expensive thing first, each with what may help."""

from __future__ import annotations

from collections.abc import Iterator

from deepracer_training.explanation.analysis import Explanation, Hotspot, SectionFacts
from deepracer_training.explanation.meetings import by_kind, hit_of, plural

MIN_LOST_S = 0.1
"""What is worth a sentence."""
MIN_SPREAD_S = 0.1
LIMIT_SHARE = 0.3
MOST = 3
"""Sentences of one kind."""
NAMES = {
    "off_track": "leaves the road",
    "crashed": "crashes",
    "immobilized": "stands still",
    "reversed": "drives backwards",
}


def findings(explanation: Explanation) -> list[str]:
    """Return sentences for people."""
    found = [
        *_violations(explanation),
        *_hits(explanation),
        *_lost(explanation),
        *_uneven(explanation),
        *_steering(explanation),
    ]
    return found or ["Nothing stands out: no violation, no section that is slow, uneven, nervous or at the limit."]


def _violations(explanation: Explanation) -> Iterator[str]:
    for spot in explanation.hotspots[:MOST]:
        often = "once" if spot.count == 1 else f"{spot.count} times"
        laps = f"in {len(spot.laps)} of {explanation.laps} laps" if explanation.laps > 1 else "in its only lap"
        where = f" to the {spot.side}" if spot.status == "off_track" else ""
        does = NAMES[spot.status] if spot.hit is None else f"hits a {spot.hit}"
        yield (
            f"It {does}{where} in {spot.section}, at {spot.arc_length_m:.1f} m, {often}, {laps}, coming "
            f"at {spot.speed:.2f} m/s with the steering at {spot.steering_angle:+.0f} degrees{_cause(spot)}."
        )


def _cause(spot: Hotspot) -> str:
    if spot.status != "off_track":
        return ""
    if spot.at_limit_share >= 0.5:
        return ": it steers as far as it may, so it comes too fast, or needs more steering in its action space"
    turned_away = spot.steering_angle > 2.0 if spot.side == "left" else spot.steering_angle < -2.0
    if turned_away:
        return ": it steers towards that border itself"
    return ": there was more steering left than it used"


def _hits(explanation: Explanation) -> Iterator[str]:
    """Tell how often it hits what it comes to, and on which side of the road that is."""
    for kind, met in by_kind(explanation.meetings).items():
        sides = {
            side: [meeting for meeting in met if (meeting.lateral_m > 0.0) == (side == "left")]
            for side in ("left", "right")
        }
        if any(meeting.hits for meeting in met):
            shares = [f"{hit_of(there)} on the {side}" for side, there in sides.items() if there]
            yield f"It hits {hit_of(met)} {plural(kind)} that it comes to: {' and '.join(shares)} of the road."


def _lost(explanation: Explanation) -> Iterator[str]:
    slow = [one for one in explanation.sections if one.lost_s is not None and one.lost_s >= MIN_LOST_S]
    for one in sorted(slow, key=lambda one: -(one.lost_s or 0.0))[:MOST]:
        speed = f"{one.speed_mean:.2f} m/s" if one.speed_mean is not None else "an unknown speed"
        yield (
            f"It loses {one.lost_s:.2f} s a lap in {_place(one)}: {one.time_mean_s:.2f} s at {speed}, where the centre "
            f"line at the limit takes {one.reference_s:.2f} s."
        )


def _uneven(explanation: Explanation) -> Iterator[str]:
    uneven = [one for one in explanation.sections if one.time_std_s is not None and one.time_std_s >= MIN_SPREAD_S]
    for one in sorted(uneven, key=lambda one: -(one.time_std_s or 0.0))[:MOST]:
        yield (
            f"It drives {_place(one)} unevenly: {one.time_mean_s:.2f} +- {one.time_std_s:.2f} s, at best "
            f"{one.time_best_s:.2f} s."
        )


def _steering(explanation: Explanation) -> Iterator[str]:
    weaving = [one for one in explanation.sections if one.weaving]
    if weaving:
        places = _places([(one.name, f"{one.swings_per_s:.1f} a second") for one in weaving], explanation)
        yield (
            f"It weaves in {places}: the steering turns back that often. A reward for smooth steering, or training "
            "with a smaller lr, calms it."
        )
    full = [one for one in explanation.sections if one.at_limit_share >= LIMIT_SHARE]
    straight, limit = ([one for one in full if (one.kind == "straight") == wanted] for wanted in (True, False))
    if straight:
        places = _places([(one.name, f"{one.at_limit_share:.0%} of the time") for one in straight], explanation)
        yield (
            f"It steers as far as it may even in {places}: it throws the wheels from side to side. A reward that asks "
            "for small steering angles calms it."
        )
    if limit:
        places = _places([(one.name, f"{one.at_limit_share:.0%} of the time") for one in limit], explanation)
        yield f"It steers as far as it may in {places}: no reserve is left, so drive slower or allow more steering."


def _place(one: SectionFacts) -> str:
    return f"{one.name} ({one.begin_m:.1f} to {one.end_m:.1f} m)"


def _places(named: list[tuple[str, str]], explanation: Explanation) -> str:
    """List sections with a figure each; if there are many, their number and the first few."""
    words = [f"{name} ({figure})" for name, figure in named[:MOST]]
    if len(named) > MOST:
        return f"{len(named)} of {len(explanation.sections)} sections, among them {', '.join(words)}"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
