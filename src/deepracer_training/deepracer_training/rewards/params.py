"""AWS's `params`: the dictionary that a reward function gets, with the meaning each key has in AWS's simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepracer_training.rewards.object_params import ObjectParams

if TYPE_CHECKING:
    from deepracer_inference.vehicle import Vehicle
    from deepracer_sim.objects import Objects
    from deepracer_sim.race.referee import Verdict
    from deepracer_sim.simulator import CarStates
    from deepracer_sim.tracks.track import Track

Params = dict[str, Any]
Commands = NDArray[np.floating[Any]]

REWARD_KEYS = (
    "all_wheels_on_track",
    "x",
    "y",
    "heading",
    "distance_from_center",
    "projection_distance",
    "progress",
    "steps",
    "speed",
    "steering_angle",
    "track_width",
    "track_length",
    "waypoints",
    "closest_waypoints",
    "is_left_of_center",
    "is_reversed",
    "closest_objects",
    "objects_location",
    "objects_left_of_center",
    "object_in_camera",
    "objects_speed",
    "objects_heading",
    "objects_distance_from_center",
    "objects_distance",
    "is_crashed",
    "is_offtrack",
    "sim_time",
)
"""All keys, in AWS's order (simapp, `markov/agent_ctrl/constants.py`)."""

# Actions come as float32 radians; 15 degrees must be 15.0 again, or `abs(steering_angle) > 15` is true for them.
_DECIMALS = 5


class RewardInputs:
    """Builds `params` for N cars: `observe` once per step, then `params` for each car.

    What AWS's documentation leaves open follows its code:

    - x, y, and all that follows from them, belong to the nose of the car, not to its middle.
    - speed and steering_angle are the commands, not the motion.
    - track_width is the width here, not a constant.
    - waypoints are closed: the last one repeats the first, and closest_waypoints may name it.
    - is_reversed says that the lap runs clockwise, not that the car faces backwards.
    - Without objects their lists are empty, but closest_objects is [0, 0]; with some, see `ObjectParams`.
    """

    def __init__(self, track: Track, vehicle: Vehicle) -> None:
        """Prepare what stays the same.

        Args:
            track: The road, in driving direction.
            vehicle: The car; AWS's keys for objects depend on its camera.
        """
        self._waypoints = [(x, y) for x, y in track.rows()[:, :2].tolist()]
        self._track_length = track.length
        self._clockwise = not track.is_ccw
        self._columns: list[list[Any]] = []
        self._sim_time = 0.0
        self._object_params = ObjectParams(vehicle)
        self._objects = False

    def observe(
        self,
        verdict: Verdict,
        state: CarStates,
        steering_angle: Commands,
        speed: Commands,
        objects: Objects | None = None,
    ) -> None:
        """Take one step of all cars.

        Args:
            verdict: Of the referee, for this step.
            state: After the step.
            steering_angle: Commands of the step, rad, `(N,)`.
            speed: Commands of the step, m/s, `(N,)`.
            objects: What stands or drives in the worlds of the cars after the step; None in a time trial.
        """
        self._objects = objects is not None
        if objects is not None:
            self._object_params.observe(verdict, state, objects)
        self._sim_time = state.time_ns * 1e-9
        # Once for all cars: a Python number costs 20 ns out of `tolist`, but 100 ns out of an array one by one.
        columns: tuple[NDArray[Any], ...] = (
            np.asarray(verdict.wheels_on_track.all(axis=1)),
            verdict.nose,
            np.degrees(np.arctan2(np.sin(state.yaw), np.cos(state.yaw))),
            np.abs(verdict.lateral),
            verdict.arc_length,
            verdict.progress,
            verdict.steps,
            np.round(np.asarray(speed, np.float64), _DECIMALS),
            np.round(np.degrees(np.asarray(steering_angle, np.float64)), _DECIMALS),
            verdict.road_width,
            verdict.closest,
            verdict.left_of_center,
            verdict.is_offtrack,
            verdict.is_crashed,
        )
        self._columns = [column.tolist() for column in columns]

    def params(self, car: int) -> Params:
        """Build the dictionary of one car; whoever gets it may change it."""
        (
            wheels,
            nose,
            heading,
            distance,
            s,
            progress,
            steps,
            speed,
            steering,
            width,
            closest,
            left,
            off,
            crashed,
        ) = self._columns
        x, y = nose[car]
        params = {
            "all_wheels_on_track": wheels[car],
            "x": x,
            "y": y,
            "heading": heading[car],
            "distance_from_center": distance[car],
            "projection_distance": s[car],
            "progress": progress[car],
            "steps": steps[car],
            "speed": speed[car],
            "steering_angle": steering[car],
            "track_width": width[car],
            "track_length": self._track_length,
            "waypoints": self._waypoints.copy(),
            "closest_waypoints": closest[car].copy(),
            "is_left_of_center": left[car],
            "is_reversed": self._clockwise,
            "closest_objects": [0, 0],
            "objects_location": [],
            "objects_left_of_center": [],
            "object_in_camera": False,
            "objects_speed": [],
            "objects_heading": [],
            "objects_distance_from_center": [],
            "objects_distance": [],
            "is_crashed": crashed[car],
            "is_offtrack": off[car],
            "sim_time": self._sim_time,
        }
        if self._objects:
            params.update(self._object_params.params(car))
        return params
