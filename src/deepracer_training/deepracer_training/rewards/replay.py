"""Recorded laps once more through a reward function: what each step would have earned, and its terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import Objects
from deepracer_sim.race.referee import Referee
from deepracer_sim.race.rules import EpisodeStatus, RaceRules
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.object_trace import worlds
from deepracer_training.rewards.findings import Finding
from deepracer_training.rewards.function import RewardError
from deepracer_training.rewards.params import Params, RewardInputs
from deepracer_training.rewards.sandbox import Calls, call_all
from deepracer_training.traces import Trace


@dataclass(frozen=True)
class Replay:
    """Every step of some laps for which the reward function was called, as columns of equal length (M,)."""

    trace: Trace
    """Those steps; the rewards in it are the recorded ones."""
    arc_length: FloatArray
    """Of the nose along the centre line, m."""
    lateral: FloatArray
    """Of the nose to the left of the centre line, m."""
    off_track: NDArray[np.bool_]
    """Whether no wheel was on the road."""
    reward: FloatArray
    """What the function gives now."""
    terms: dict[str, FloatArray]
    """Named numbers that it returned or printed besides; NaN where it did not."""


def replay(
    path: Path,
    trace: Trace,
    track: Track,
    vehicle: Vehicle,
    *,
    objects: Mapping[int, Objects] | None = None,
    seed: int = 0,
) -> Replay:
    """Call a reward function with every step of a trace, each episode with globals of its own.

    Position, heading, command, progress, steps, time and whether all wheels are on the road are those of the trace, the
    rest of `params` follows from them and the track. Steps in which a car waits out a penalty earn nothing, here as in
    an evaluation, and are left out.

    Args:
        path: Python file of the user.
        trace: What was driven.
        track: Where.
        vehicle: The car.
        objects: What stood or drove on the road: for each episode, with a world for each of its steps.
        seed: Of the global random generators.

    Raises:
        RewardError: The function cannot be loaded, failed in a step, or hangs.
    """
    driven = trace.take(trace.status != EpisodeStatus.PAUSE.value)
    geometry, groups = [], []
    for car, lap in enumerate(driven.episodes()):
        there = objects.get(int(lap.episode[0])) if objects is not None else None
        params, facts = _params(lap, track, vehicle, there)
        geometry.append(facts)
        groups.append(Calls(params, car))
    answers, ending = call_all(path, groups, seed=seed)
    results = _checked(path, answers, ending, len(driven))
    names = sorted({name for answer in results for name in answer["terms"]})
    arc_length, lateral, off_track = (np.concatenate(column) for column in zip(*geometry, strict=True))
    return Replay(
        trace=driven,
        arc_length=arc_length,
        lateral=lateral,
        off_track=off_track,
        reward=np.array([answer["reward"] for answer in results]),
        terms={name: np.array([answer["terms"].get(name, np.nan) for answer in results]) for name in names},
    )


def _params(
    lap: Trace, track: Track, vehicle: Vehicle, objects: Objects | None
) -> tuple[list[Params], tuple[NDArray[Any], ...]]:
    """Rebuild `params` for each step of a lap, all of them at once: a referee that judges each as a car of its own."""
    count = len(lap)
    yaw = np.radians(lap.yaw)
    nose = vehicle.geometry.nose_offset
    zero = np.zeros(count)
    state = CarStates(lap.x - nose * np.cos(yaw), lap.y - nose * np.sin(yaw), yaw, zero, zero, zero, zero, 0)
    referee = Referee(track, vehicle, RaceRules.training(), count, vehicle.control_period_ns)
    referee.start(np.arange(count), np.column_stack([state.x, state.y, state.yaw]))
    verdict = referee.judge(state)
    on_track = lap.all_wheels_on_track
    # A wheel that is on the road by the record is so here, too, however the last digits fall.
    off_track = verdict.is_offtrack & ~on_track
    verdict = replace(
        verdict,
        progress=lap.progress,
        steps=lap.steps,
        wheels_on_track=np.repeat(on_track[:, None], 4, axis=1),
        is_offtrack=off_track,
        is_crashed=lap.status == EpisodeStatus.CRASHED.value,
    )
    inputs = RewardInputs(track, vehicle)
    # A lap without its penalties has some steps fewer than were recorded.
    there = worlds(objects, lap.steps - 1) if objects is not None else None
    inputs.observe(verdict, state, np.radians(lap.steering_angle), lap.speed, there)
    params = [inputs.params(row) for row in range(count)]
    for one, time_s in zip(params, lap.time_s.tolist(), strict=True):
        one["sim_time"] = time_s
    return params, (verdict.arc_length.copy(), verdict.lateral.copy(), off_track)


def _checked(path: Path, answers: list[dict[str, Any]], ending: Finding | None, calls: int) -> list[dict[str, Any]]:
    """Return one answer per step, or raise what went wrong first."""
    results = [answer for answer in answers if "time_s" in answer]
    errors = [answer["load_error"] for answer in answers if "load_error" in answer]
    errors += [answer["error"] for answer in results if "error" in answer]
    if errors:
        raise RewardError(path, errors[0]["text"], kind=errors[0]["kind"], line=errors[0]["line"])
    if ending is not None:
        raise RewardError(path, ending.message, kind=ending.code, line=ending.line)
    if len(results) < calls:
        text = "too slow: a call takes longer than a control period, 67 ms; see deepracer validate"
        raise RewardError(path, text, kind="too_slow")
    return results
