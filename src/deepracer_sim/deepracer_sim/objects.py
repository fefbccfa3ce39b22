"""The solid things on the road, boxes and other cars, as arrays: every car has some of its own in its world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepracer_inference.errors import UserError
from deepracer_sim import object_kernels as kernels
from deepracer_sim.lanes import Lanes, check_room, clear_start, even_places, random_places

if TYPE_CHECKING:
    from deepracer_sim.race_settings import BotSettings, BoxSettings, RaceSettings
    from deepracer_sim.simulator import FloatArray, IntArray
    from deepracer_sim.tracks.track import Track


@dataclass(frozen=True)
class ObjectKind:
    """What something on the road looks like and how much room it takes; metres."""

    name: str
    length: float
    width: float
    height: float
    footprint_length: float
    """Of the rectangle that must not be touched."""
    footprint_width: float
    origin_z: float
    """Height of the point that AWS takes for its position, m."""
    parts: tuple[tuple[float, ...], ...]
    """Cuboids, one above the other, lowest first: offset ahead, length, width, lower and upper end (m), and red, green
    and blue (0..255)."""


BOX = ObjectKind("box", 0.4, 0.3, 0.25, 0.5, 0.4, 0.1, ((0.0, 0.4, 0.3, 0.0, 0.25, 200.0, 160.0, 112.0),))
"""AWS's box obstacle: mesh 0.4 x 0.3 x 0.25 m, footprint with a buffer of 0.1 m, cardboard."""


def car_kind(name: str, shell: tuple[float, float, float], cabin: tuple[float, float, float]) -> ObjectKind:
    """Return a DeepRacer in two colours (RGB 0..255); the footprint is AWS's `BOT_CAR_DIMENSION`."""
    length, width = 0.32352, 0.1961
    return ObjectKind(
        name,
        length,
        width,
        0.15,
        length,
        width,
        0.0,
        (
            (0.0, 0.27, width, 0.0, 0.045, 26.0, 26.0, 28.0),
            (0.0, length, 0.18, 0.045, 0.11, *shell),
            (-0.01, 0.17, 0.12, 0.11, 0.15, *cabin),
        ),
    )


# Dark shells: in grey, red and blue are like asphalt and yellow is like the ground beside it; black is like neither.
BOT_CAR = car_kind("bot car", (40.0, 40.0, 44.0), (255.0, 153.0, 0.0))
"""AWS's bot car."""
RIVAL = car_kind("car", (24.0, 36.0, 70.0), (120.0, 190.0, 255.0))
"""Another model's car."""


class Objects:
    """M objects in the world of each of N cars. Subclasses say where they are put and how they move.

    Everything follows from the seed, the index of the car and how many episodes it has started, so that a car's
    objects depend neither on the other cars nor on the number of threads.

    Attributes:
        kinds: Of each object (M).
        sizes: Length, width and height (M, 3), m.
        footprints: Length and width of what collides (M, 2), m.
        origin_z: Height of each object's origin at AWS (M,), m.
        poses: x, y, yaw of the middle of each object (N, M, 3), m, m, rad.
        arc_length: Of each object's nearest point on the centre line (N, M), m.
        lateral: Distance of each object from the centre line, + = left (N, M), m.
        speed: Along the road (N, M), m/s.
        solid: Whether an object can be seen and hit (N, M).
        episodes: Started by each car so far (N,).
        seed: Of all random numbers.
        moving: Whether the objects are cars: who is behind is then at fault.
    """

    moving = False

    def __init__(self, track: Track, kinds: Sequence[ObjectKind], cars: int, seed: int) -> None:
        """Prepare `len(kinds)` objects in the worlds of `cars` cars."""
        self.track = track
        self.kinds = tuple(kinds)
        self.seed = seed
        self.sizes = np.array([(kind.length, kind.width, kind.height) for kind in self.kinds])
        self.footprints = np.array([(kind.footprint_length, kind.footprint_width) for kind in self.kinds])
        self.origin_z = np.array([kind.origin_z for kind in self.kinds])
        self.poses = np.zeros((cars, len(self.kinds), 3))
        self.arc_length = np.zeros((cars, len(self.kinds)))
        self.lateral = np.zeros((cars, len(self.kinds)))
        self.speed = np.zeros((cars, len(self.kinds)))
        self.solid = np.ones((cars, len(self.kinds)), np.bool_)
        self.episodes = np.zeros(cars, np.int64)

    def reset(self, seed: int) -> None:
        """Begin the series of random episodes of a seed anew; `start` then puts the objects down."""
        self.seed = seed
        self.episodes[:] = 0

    def start(self, cars: IntArray, arc_length: FloatArray) -> FloatArray:
        """Put the objects of some cars down for a new episode.

        Args:
            cars: Indices (K,).
            arc_length: Where on the centre line each car would start (K,), m.

        Returns:
            Where it has to start so that no object is in its way (K,), m.
        """
        starts = np.array(arc_length, np.float64)
        for k, car in enumerate(np.asarray(cars).tolist()):
            random = np.random.default_rng([self.seed, 3, car, int(self.episodes[car])])
            starts[k] = self._place(car, float(starts[k]), random)
            self.episodes[car] += 1
        self._settle(np.asarray(cars))
        return starts

    def move(self, low: int, high: int) -> None:
        """Let the objects of the cars `low` to `high` live through one control period."""

    def _place(self, car: int, start: float, random: np.random.Generator) -> float:
        """Choose places for the objects of a car that starts at arc length `start`; return where it may start."""
        raise NotImplementedError

    def _settle(self, cars: IntArray) -> None:
        """Put down the objects of some cars where `_place` wants them."""


class Boxes(Objects):
    """Object avoidance: boxes that stand in the middles of the lanes."""

    def __init__(self, track: Track, settings: BoxSettings, cars: int, seed: int) -> None:
        """Prepare the boxes.

        Raises:
            UserError: The track is too short for them.
        """
        super().__init__(track, [BOX] * settings.count, cars, seed)
        self._settings, self._lanes = settings, Lanes(track)
        self._places = np.zeros((cars, settings.count))
        self._signs = np.zeros((cars, settings.count))
        if settings.fixed:
            self._fixed = np.array([place.at * track.length for place in settings.fixed])
        else:
            check_room(track, settings.count, settings.min_gap_m, "race.boxes")
            self._fixed = even_places(track, settings.count, settings.min_gap_m)
        for gap in np.diff(np.sort(np.append(self._fixed, self._fixed.min() + track.length))):
            if settings.fixed and len(self._fixed) > 1 and gap < settings.min_gap_m - 1e-9:
                raise UserError(
                    f"race.boxes.positions put two boxes {gap:.2f} m apart on track '{track.name}', "
                    f"{track.length:.2f} m long, but race.boxes.min_gap_m is {settings.min_gap_m:g}; move them "
                    "apart or lower it"
                )

    def _place(self, car: int, start: float, random: np.random.Generator) -> float:
        settings, track = self._settings, self.track
        count = len(self.kinds)
        if settings.positions == "random":
            # Counted from the start of the episode, wherever on the track that is.
            places = start + random_places(track, count, settings.min_gap_m, random)
        else:
            places = self._fixed
            start = clear_start(start, places, track.length)
        self._places[car] = places
        self._signs[car] = self._lanes.signs([place.lane for place in settings.fixed] or settings.lanes, count, random)
        return start

    def _settle(self, cars: IntArray) -> None:
        poses = np.empty((len(cars), len(self.kinds), 3))
        kernels.lane_points(self._lanes.table, self.track.length, self._places[cars], self._signs[cars], poses)
        where = self.track.project(poses[..., :2].reshape(-1, 2))
        self.poses[cars] = poses
        self.arc_length[cars] = where.arc_length.reshape(len(cars), -1)
        self.lateral[cars] = where.lateral.reshape(len(cars), -1)


class BotCars(Objects):
    """Head-to-head: cars that keep a speed and change lanes now and then."""

    moving = True

    def __init__(self, track: Track, settings: BotSettings, cars: int, period_ns: int, seed: int) -> None:
        """Prepare the bot cars.

        Raises:
            UserError: The track is too short for them.
        """
        super().__init__(track, [BOT_CAR] * settings.number, cars, seed)
        check_room(track, settings.number, settings.min_gap_m, "race.bots")
        self._settings, self._lanes, self._period_s = settings, Lanes(track), period_ns * 1e-9
        self._bots = np.zeros((cars, settings.number), kernels.BOT)
        self._changes = kernels.LaneChanges(*settings.lane_change_wait_s, settings.lane_change_distance_m)
        self.speed[:] = settings.speed

    def move(self, low: int, high: int) -> None:
        """Drive on for one control period."""
        self._advance(self._period_s, low, high)

    def _place(self, car: int, start: float, random: np.random.Generator) -> float:
        settings, track = self._settings, self.track
        bots = self._bots[car]
        if settings.positions == "random":
            bots["arc_length"] = start + random_places(track, settings.number, settings.min_gap_m, random)
        else:
            bots["arc_length"] = start + even_places(track, settings.number, settings.min_gap_m)
        bots["speed"] = settings.speed
        bots["lane"] = self._lanes.signs("random" if settings.positions == "random" else "alternate", len(bots), random)
        bots["key"] = random.integers(2**32, size=len(bots), dtype=np.uint32)
        bots["changes"] = 0
        bots["changed_m"] = -1.0
        low, high = settings.lane_change_wait_s
        bots["wait_s"] = random.uniform(low, high, len(bots)) if settings.lane_change else math.inf
        self._advance(0.0, car, car + 1)
        return start

    def _advance(self, period_s: float, low: int, high: int) -> None:
        kernels.move_bots(
            self._bots, self.poses, self._lanes.table, self.track.length, self._changes, period_s, low, high
        )
        kernels.locate_near(
            self._bots,
            self.poses,
            self.track.center,
            self.track.cumulative,
            self.arc_length,
            self.lateral,
            low,
            high,
        )


class Rivals(Objects):
    """A race of N cars in one world: the objects of each car are the other ones."""

    moving = True

    def __init__(self, track: Track, cars: int) -> None:
        """Prepare for `cars` cars, each of which meets all others."""
        super().__init__(track, [RIVAL] * (cars - 1), cars, 0)
        self.others = np.array([[other for other in range(cars) if other != car] for car in range(cars)])
        """Which cars each car meets, `(N, N - 1)`."""
        self.present = np.ones(cars, np.bool_)
        """Which cars are in the race: neither parked nor waiting for a penalty to end, `(N,)`."""

    def follow(self, poses: FloatArray, speed: FloatArray) -> None:
        """Take over where all cars are.

        Args:
            poses: x, y, yaw of the middle of each car (N, 3), m, m, rad.
            speed: m/s (N,).
        """
        self.poses[:] = poses[self.others]
        self.speed[:] = speed[self.others]
        self.solid[:] = self.present[self.others]
        where = self.track.project(poses[:, :2])
        self.arc_length[:], self.lateral[:] = where.arc_length[self.others], where.lateral[self.others]

    def _place(self, car: int, start: float, random: np.random.Generator) -> float:
        return start


def build_objects(race: RaceSettings | None, track: Track, cars: int, period_ns: int, seed: int) -> Objects | None:
    """Build the objects of a race; None for a time trial.

    Args:
        race: Of model.yaml.
        track: The road.
        cars: Number of cars N.
        period_ns: Control period.
        seed: Of places, lanes and lane changes.

    Raises:
        UserError: The track is too short for the objects.
    """
    if race is None:
        return None
    if race.boxes is not None:
        return Boxes(track, race.boxes, cars, seed)
    assert race.bots is not None
    return BotCars(track, race.bots, cars, period_ns, seed)
