"""The referee: judges every control period of every car by the race rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.object_kernels import find_contacts
from deepracer_sim.race import kernels
from deepracer_sim.race.rules import STATUSES, EpisodeStatus, RaceRules
from deepracer_sim.simulator import CarStates, FloatArray, IntArray
from deepracer_sim.tracks.track import Track, cumulative_length

if TYPE_CHECKING:
    from deepracer_sim.objects import Objects

RESET_BEHIND_M = 1.0
"""AWS's `RESET_BEHIND_DIST`."""


@dataclass(frozen=True)
class Verdict:
    """What the referee says about the last control period of N cars.

    The arrays are views into the referee's memory: the next `judge` writes over them. A `start` in between does not.
    """

    status: NDArray[np.int8]
    """Index into `STATUSES`, `(N,)`. `park` once the episode is over and no new one has been started."""
    done: NDArray[np.bool_]
    """Whether the episode ended with this step, `(N,)`: true once per episode."""
    progress: FloatArray
    """Share of the lap since the start of the episode, 0 to 100 %, `(N,)`."""
    lap_time_s: FloatArray
    """Simulated time from the start to the finish line, penalties included, `(N,)`; NaN unless `lap_complete`."""
    steps: IntArray
    """Control periods in the episode, `(N,)`."""
    arc_length: FloatArray
    """Of the nose's nearest point on the centre line, m, `(N,)`."""
    lateral: FloatArray
    """Distance of the nose from the centre line, m, left positive, `(N,)`."""
    closest: IntArray
    """Way points before and after the nose, `(N, 2)`. As at AWS, the one after the last of M is M: the closing row."""
    nose: FloatArray
    """x, y of the nose, m, `(N, 2)`: the position that reward functions and traces call x, y."""
    wheels_on_track: NDArray[np.bool_]
    """Rear left, rear right, front left, front right, `(N, 4)`."""
    is_offtrack: NDArray[np.bool_]
    """Whether no wheel is on the track, `(N,)`."""
    is_crashed: NDArray[np.bool_]
    """Whether the car has hit something in this step by its own fault, `(N,)`."""
    left_of_center: NDArray[np.bool_]
    """Whether the nose is nearer to the left border, `(N,)`."""
    road_width: FloatArray
    """Between the borders at the nose, m, `(N,)`."""
    pause_s: FloatArray
    """Penalty time still to stand, s, `(N,)`."""
    replaced: NDArray[np.bool_]
    """Whether the caller must put the car at `replace_pose`, at standstill, `(N,)`."""
    replace_pose: FloatArray
    """x, y, yaw of `base_link`, m, m, rad, `(N, 3)`; means something only where `replaced`."""
    off_track: IntArray
    """Violations of this kind in the episode, `(N,)`; the same for the next three."""
    crashes: IntArray
    immobilized: IntArray
    reversed: IntArray
    resets: IntArray
    """Violations that were forgiven in the episode, `(N,)`."""


class Referee:
    """Keeps the race rules for N cars, each by itself.

    The caller's loop::

        steering_angle, speed = referee.govern(steering_angle, speed)
        simulator.step(steering_angle, speed)
        verdict = referee.judge(simulator.state())
        cars = np.flatnonzero(verdict.replaced)
        simulator.reset(cars, verdict.replace_pose[cars])

    and for each car that is `done`: `simulator.reset` and `referee.start` with the pose of the next episode, or
    `referee.next_lap` to let it drive on.

    Differences from AWS, on purpose: a re-placed car stands on the centre line (AWS: in the middle of the nearer lane)
    with its nose at the progress it had reached (AWS: its `base_link`, a present of `nose_offset`), and progress shows
    0 for a car behind its start (AWS: a negative number). After a crash `base_link` stands 1 m behind what was hit, in
    the other lane, as at AWS, also if that is a car (AWS leaves it where it touched a bot car). Footprints collide
    where they overlap (AWS: where a corner of the car is inside the other footprint).
    """

    def __init__(self, track: Track, vehicle: Vehicle, rules: RaceRules, cars: int, period_ns: int) -> None:
        """Prepare for `cars` cars; none of them is in a race before `start`.

        Args:
            track: The road, in driving direction.
            vehicle: The car.
            rules: When an episode ends and what violations cost.
            cars: Number of cars N.
            period_ns: Simulated time of one step, ns.
        """
        geometry = vehicle.geometry
        self._road = kernels.Road(
            track.center,
            track.cumulative,
            track.left,
            cumulative_length(track.left),
            track.right,
            cumulative_length(track.right),
            track.inner,
            track.outer,
        )
        self._shape = kernels.Shape(
            rear_x=-geometry.origin_to_rear_axle,
            rear_y=0.5 * geometry.track_rear,
            front_x=geometry.wheelbase - geometry.origin_to_rear_axle,
            front_y=0.5 * geometry.track_front,
            nose_x=geometry.nose_offset,
            middle_x=geometry.origin_to_middle,
            length=geometry.length,
            width=geometry.width,
        )
        self._limits = kernels.Limits(
            # A period is rounded to whole ns, so that 2 s may be 60.0000006 periods: without tolerance, 61.
            off_track_pause=math.ceil(rules.off_track_penalty_s * 1e9 / period_ns - 1e-3),
            collision_pause=math.ceil(rules.collision_penalty_s * 1e9 / period_ns - 1e-3),
            immobilized_steps=rules.immobilized_steps,
            immobilized_distance=rules.immobilized_distance,
            reversed_steps=rules.reversed_steps,
            max_steps=rules.max_steps,
            max_resets=rules.max_resets,
            period_ns=period_ns,
        )
        self._memory = np.zeros(cars, dtype=kernels.MEMORY)
        self._contacts = np.full(cars, -1, dtype=np.int64)
        self._contact_lead = np.full(cars, math.nan)
        self._verdicts = np.zeros(cars, dtype=kernels.VERDICT)
        self._verdicts["lap_time_s"] = math.nan
        arrays: dict[str, Any] = {name: self._verdicts[name] for name in kernels.VERDICT.names or ()}
        arrays["wheels_on_track"] = arrays["wheels_on_track"].view(np.bool_)
        self._verdict = Verdict(**arrays)

    def start(self, cars: IntArray, poses: FloatArray) -> None:
        """Begin a new episode; progress counts from these poses.

        Args:
            cars: Indices, `(K,)`.
            poses: x, y, yaw of `base_link` in m, m, rad, `(K, 3)`.
        """
        kernels.start_cars(
            np.asarray(cars, dtype=np.int64),
            np.ascontiguousarray(poses, dtype=np.float64),
            self._memory,
            self._road,
            self._shape,
        )

    def next_lap(self, cars: IntArray) -> None:
        """Begin another lap as the cars roll, at the moment of the last step when their noses crossed the line.

        Each lap is as long as the track then, and the lap times add up to the time since `start`.

        Args:
            cars: Indices of cars whose last verdict is `lap_complete`, `(K,)`.
        """
        kernels.next_laps(np.asarray(cars, dtype=np.int64), self._memory, self._verdicts, self._road, self._limits)

    def govern(self, steering_angle: FloatArray, speed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Overrule the commands `(N,)` of cars that serve a penalty or are parked: straight wheels, no speed."""
        held = (self._memory["pause_steps"] > 0) | ~self._memory["racing"]
        if not held.any():
            return steering_angle, speed
        return np.where(held, 0.0, steering_angle), np.where(held, 0.0, speed)

    def judge(self, state: CarStates, objects: Objects | None = None) -> Verdict:
        """Judge the control period that led to `state`; to be called once after each step of the simulator.

        Args:
            state: Of the N cars.
            objects: What stands or drives in their worlds now; None in a time trial.
        """
        if objects is not None:
            poses = np.column_stack([state.x, state.y, state.yaw])
            self._contacts[:] = self._touched(poses, objects, np.arange(len(poses)))
            if objects.moving:
                # As at AWS, of two cars the one behind is at fault, by the noses of both.
                hit = objects.arc_length[np.arange(len(poses)), self._contacts]
                self._contact_lead[:] = hit + self._shape.nose_x - self._shape.middle_x
        kernels.judge_cars(
            state.x,
            state.y,
            state.yaw,
            self._contacts,
            self._contact_lead,
            self._memory,
            self._verdicts,
            self._road,
            self._shape,
            self._limits,
        )
        if objects is not None and self._verdict.replaced.any():
            self._keep_clear(objects)
        return self._verdict

    def _touched(self, poses: FloatArray, objects: Objects, cars: IntArray) -> IntArray:
        """Find the object farthest ahead that each of `cars` (K,) touches at `poses` of `base_link` (K, 3), or -1."""
        length, shape = self._road.center_length[-1], self._shape
        contacts = np.empty(len(cars), np.int64)
        ahead = (objects.arc_length[cars] - self._memory["arc_length"][cars, None] + 0.5 * length) % length
        find_contacts(
            poses[:, 0] + shape.middle_x * np.cos(poses[:, 2]),
            poses[:, 1] + shape.middle_x * np.sin(poses[:, 2]),
            poses[:, 2],
            shape.length,
            shape.width,
            objects.poses[cars],
            objects.footprints,
            np.where(objects.solid[cars], ahead, -1.0),
            contacts,
        )
        return contacts

    def _keep_clear(self, objects: Objects) -> None:
        """Put cars that are put back behind what they have hit, and behind what stands where they would be."""
        verdict = self._verdict
        for car in np.flatnonzero(verdict.replaced).tolist():
            hit = int(self._contacts[car]) if STATUSES[verdict.status[car]] is EpisodeStatus.CRASHED else -1
            for _ in range(len(objects.kinds) + 1):
                if hit >= 0:
                    place = float(objects.arc_length[car, hit]) - RESET_BEHIND_M
                    # In the other lane: from the same place a policy would do the same thing again, for ever.
                    lane = -math.copysign(0.25 * verdict.road_width[car], objects.lateral[car, hit])
                    kernels.replace_car(car, place, lane, self._memory, self._verdicts, self._road, self._shape)
                hit = int(self._touched(verdict.replace_pose[car : car + 1], objects, np.array([car]))[0])
                if hit < 0:
                    break
