"""The referee: judges every control period of every car by the race rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.race import kernels
from deepracer_sim.race.rules import RaceRules
from deepracer_sim.simulator import CarStates, FloatArray, IntArray
from deepracer_sim.tracks.track import Track, cumulative_length


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

    and for each car that is `done`: `simulator.reset` and `referee.start` with the pose of the next episode.

    Differences from AWS, on purpose: a re-placed car stands on the centre line (AWS: in the middle of the nearer lane)
    with its nose at the progress it had reached (AWS: its `base_link`, a present of `nose_offset`), and progress shows
    0 for a car behind its start (AWS: a negative number).
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
        )
        self._limits = kernels.Limits(
            # A period is rounded to whole ns, so that 2 s may be 60.0000006 periods: without tolerance, 61.
            off_track_pause=math.ceil(rules.off_track_penalty_s * 1e9 / period_ns - 1e-3),
            immobilized_steps=rules.immobilized_steps,
            immobilized_distance=rules.immobilized_distance,
            reversed_steps=rules.reversed_steps,
            max_steps=rules.max_steps,
            max_resets=rules.max_resets,
            period_ns=period_ns,
        )
        self._memory = np.zeros(cars, dtype=kernels.MEMORY)
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

    def govern(self, steering_angle: FloatArray, speed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Overrule the commands `(N,)` of cars that serve a penalty or are parked: straight wheels, no speed."""
        held = (self._memory["pause_steps"] > 0) | ~self._memory["racing"]
        if not held.any():
            return steering_angle, speed
        return np.where(held, 0.0, steering_angle), np.where(held, 0.0, speed)

    def judge(self, state: CarStates) -> Verdict:
        """Judge the control period that led to `state`; to be called once after each step of the simulator."""
        kernels.judge_cars(
            state.x, state.y, state.yaw, self._memory, self._verdicts, self._road, self._shape, self._limits
        )
        return self._verdict
