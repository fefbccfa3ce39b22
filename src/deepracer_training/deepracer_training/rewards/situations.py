"""Situations to try a reward function in: every way a car can stand on or beside a track, and a stretch of driving.

They come from the same referee and the same `RewardInputs` as in training, so that every key has a value it can really
have, next to the others it can have it with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import build_objects
from deepracer_sim.race.referee import Referee
from deepracer_sim.race.rules import RaceRules
from deepracer_sim.race_settings import RaceSettings
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.rewards.params import Params, RewardInputs

DRIVING_STEPS = 30
_DRIVING_SPEED = 1.5
_PLACES = (0.13, 0.37, 0.62, 0.88)
# As from a discrete and from a continuous action space: round numbers with zeros among them, and numbers like noise.
_DISCRETE = ((0.0, 1.0), (-30.0, 0.5), (30.0, 0.5), (15.0, 2.0), (-15.0, 4.0))
_CONTINUOUS = ((-11.83517, 1.41936), (0.00071, 3.98721), (27.30942, 0.61004), (-29.99958, 0.10003))

# A situation never ends the episode: all of them have to be seen.
_RULES = RaceRules(off_track_penalty_s=0.0, max_resets=1_000_000, immobilized_steps=1_000_000, reversed_steps=1_000_000)


@dataclass(frozen=True)
class Situation:
    """One call of a reward function."""

    name: str
    """For messages: where the car is and what it does."""
    params: Params


@dataclass(frozen=True)
class _Spot:
    name: str
    arc_length: float
    """Of `base_link`, m."""
    lateral: float = 0.0
    turned: float = 0.0
    """From the driving direction, rad."""
    travelled: float = 1.0
    """Of the lap, 0 to 1, before it got here."""


def situations(track: Track, vehicle: Vehicle, race: RaceSettings | None = None) -> list[Situation]:
    """Generate about 150 situations on a track: first a stretch of driving, then single ones.

    Args:
        track: The road.
        vehicle: The car.
        race: What stands or drives on the road besides.
    """
    return [*_driving(track, vehicle, race), *_standing(track, vehicle, race)]


def _driving(track: Track, vehicle: Vehicle, race: RaceSettings | None) -> Iterator[Situation]:
    """A car weaving along the centre line from the start line on, for functions that remember the last step."""
    referee = Referee(track, vehicle, _RULES, 1, vehicle.control_period_ns)
    inputs = RewardInputs(track, vehicle)
    referee.start(np.array([0]), track.pose_at(0.0))
    objects = build_objects(race, track, 1, vehicle.control_period_ns, seed=0)
    if objects is not None:
        objects.start(np.array([0]), np.zeros(1))
    for step in range(1, DRIVING_STEPS + 1):
        way = step * _DRIVING_SPEED * vehicle.control_period_s
        poses = track.pose_at(way, 0.2 * track.width * np.sin(2.0 * way))
        state = _states(poses, step * vehicle.control_period_ns)
        degrees, speed = (_DISCRETE + _CONTINUOUS)[step % 9]
        if objects is not None:
            objects.move(0, 1)
        inputs.observe(referee.judge(state), state, np.radians([degrees]), np.array([speed]), objects)
        yield Situation(f"step {step} of a drive from the start line of {track.name}", inputs.params(0))


def _standing(track: Track, vehicle: Vehicle, race: RaceSettings | None) -> Iterator[Situation]:
    spots = [spot for spot in _spots(track, vehicle) for _ in range(2)]
    cars = np.arange(len(spots))
    referee = Referee(track, vehicle, _RULES, len(spots), vehicle.control_period_ns)
    inputs = RewardInputs(track, vehicle)
    s = np.array([spot.arc_length for spot in spots])
    way = np.array([spot.travelled for spot in spots]) * track.length
    referee.start(cars, track.pose_at(s - way))
    # Progress follows a car by less than half a lap per step, so bring them there in quarters.
    for share in (0.25, 0.5, 0.75):
        referee.judge(_states(track.pose_at(s - (1.0 - share) * way), 0))
    poses = track.pose_at(s, np.array([spot.lateral for spot in spots]))
    poses[:, 2] += [spot.turned for spot in spots]
    steps = 1 + np.rint(np.abs(way) / (_DRIVING_SPEED * vehicle.control_period_s)).astype(np.int64)
    state = _states(poses, 0)
    verdict = replace(referee.judge(state), steps=steps)
    commands = np.array(
        [(_CONTINUOUS if car % 2 else _DISCRETE)[(car // 2) % (4 if car % 2 else 5)] for car in cars.tolist()]
    )
    objects = build_objects(race, track, len(spots), vehicle.control_period_ns, seed=0)
    if objects is not None:
        objects.start(cars, s)
    inputs.observe(verdict, state, np.radians(commands[:, 0]), commands[:, 1], objects)
    for car, spot in enumerate(spots):
        params = inputs.params(car)
        params["sim_time"] = params["steps"] * vehicle.control_period_s
        yield Situation(f"{spot.name} on {track.name}", params)


def _spots(track: Track, vehicle: Vehicle) -> Iterator[_Spot]:
    length, nose = track.length, vehicle.geometry.nose_offset
    yield _Spot("first step of an episode", 0.0, travelled=0.0)
    yield _Spot("first step of an episode in mid-lap", 0.5 * length, travelled=0.0)
    yield _Spot("behind the start, progress 0", length - 0.3, travelled=-0.3 / length)
    yield _Spot("just before the start line", length - nose - 0.02, travelled=0.9)
    yield _Spot("just behind the start line", 0.02 - nose, travelled=0.9)
    yield _Spot("lap complete", 0.3, travelled=1.0)

    bend = track.curvature()
    places = [(f"at {share:.0%} of the lap", share * length) for share in _PLACES]
    places.append(("in the tightest left bend", float(track.arc_length[int(np.argmax(bend))])))
    places.append(("in the tightest right bend", float(track.arc_length[int(np.argmin(bend))])))
    wheel = 0.5 * vehicle.geometry.track_rear
    for place, s in places:
        row = int(np.searchsorted(track.arc_length, s, side="right")) - 1
        left, right = track.half_widths[row].tolist()
        share = s / length
        yield _Spot(f"on the centre line {place}", s, travelled=share)
        yield _Spot(f"left of the centre line {place}", s, 0.3 * left, 0.1, travelled=share)
        yield _Spot(f"right of the centre line {place}", s, -0.3 * right, -0.1, travelled=share)
        yield _Spot(f"with the left wheels beside the road {place}", s, left - 0.5 * wheel, travelled=share)
        yield _Spot(f"with the right wheels beside the road {place}", s, 0.5 * wheel - right, travelled=share)
        yield _Spot(f"off the track to the left {place}", s, left + 3.0 * wheel, 0.5, travelled=share)
        yield _Spot(f"off the track to the right {place}", s, -right - 3.0 * wheel, -0.5, travelled=share)
        yield _Spot(f"facing backwards {place}", s, 0.0, np.pi, travelled=share)
        yield _Spot(f"across the road {place}", s, 0.0, 0.5 * np.pi, travelled=share)


def _states(poses: FloatArray, time_ns: int) -> CarStates:
    x, y, yaw = poses.T.copy()
    zero = np.zeros(len(poses))
    return CarStates(x, y, yaw, zero, zero, zero, zero, time_ns)
