"""AWS's object keys of `params`: boxes and cars on the road, as the reward function of each car sees them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepracer_sim.object_kernels import Lens, find_neighbors, find_visible

if TYPE_CHECKING:
    from deepracer_inference.vehicle import Vehicle
    from deepracer_sim.objects import Objects
    from deepracer_sim.race.referee import Verdict
    from deepracer_sim.simulator import CarStates, FloatArray, IntArray

FRUSTUM_NEAR, FRUSTUM_FAR = 0.2, 300.0
"""AWS's, m; the field of view is that of the vehicle file's camera."""


class ObjectParams:
    """Works out the object keys of N cars: `observe` once per step, then `params` for each car.

    - closest_objects are the objects before and after the nose along the lap, not the nearest ones; around the start
      line the last object of the lap is before the first one.
    - object_in_camera speaks of the second of these alone.
    - objects_distance is the distance from the start line along the centre line, not that from the car.
    - objects_heading is in degrees, as AWS's documentation says (its code gives radians), and 0 for boxes.
    """

    def __init__(self, vehicle: Vehicle) -> None:
        """Take over the camera of the vehicle file."""
        camera = vehicle.camera
        self._lens = Lens(
            x=camera.x,
            y=camera.y,
            height=camera.z,
            cos=math.cos(camera.pitch),
            sin=math.sin(camera.pitch),
            reach=math.tan(0.5 * camera.horizontal_fov),
            ratio=camera.height_px / camera.width_px,
            near=FRUSTUM_NEAR,
            far=FRUSTUM_FAR,
        )
        self._seen: Objects | None = None
        self._poses: FloatArray = np.empty(0)
        self._closest: list[Any] = []
        self._visible: list[Any] = []
        self._lists: list[tuple[Any, ...]] = []

    def observe(self, verdict: Verdict, state: CarStates, objects: Objects) -> None:
        """Take one step of all cars."""
        cars = len(state.x)
        closest, visible = np.empty((cars, 2), np.int64), np.empty(cars, np.bool_)
        find_neighbors(verdict.arc_length, objects.arc_length, closest)
        poses = np.column_stack([state.x, state.y, state.yaw])
        find_visible(poses, objects.poses, objects.footprints, objects.origin_z, closest[:, 1], self._lens, visible)
        self._closest, self._visible = closest.tolist(), visible.tolist()
        if objects.moving or objects is not self._seen:
            changed: IntArray = np.arange(cars)
            self._lists = [()] * cars
        else:
            # Boxes stay where they are until the next episode.
            changed = np.flatnonzero((objects.poses != self._poses).any(axis=(1, 2))).astype(np.int64)
        self._seen, self._poses = objects, objects.poses.copy()
        if len(changed):
            self._list(objects, changed)

    def _list(self, objects: Objects, cars: IntArray) -> None:
        """Make the lists of some cars."""
        poses, lateral = objects.poses[cars], objects.lateral[cars]
        yaw = poses[:, :, 2] if objects.moving else np.zeros(lateral.shape)
        columns = (
            poses[:, :, :2],
            lateral > 0.0,
            objects.speed[cars],
            np.degrees(np.arctan2(np.sin(yaw), np.cos(yaw))),
            np.abs(lateral),
            objects.arc_length[cars],
        )
        for car, places, *rest in zip(cars.tolist(), *(column.tolist() for column in columns), strict=True):
            self._lists[car] = (list(map(tuple, places)), *rest)

    def params(self, car: int) -> dict[str, Any]:
        """Return the object keys of one car; whoever gets them may change them."""
        places, left, speed, heading, lateral, distance = self._lists[car]
        return {
            "closest_objects": self._closest[car].copy(),
            "objects_location": places.copy(),
            "objects_left_of_center": left.copy(),
            "object_in_camera": self._visible[car],
            "objects_speed": speed.copy(),
            "objects_heading": heading.copy(),
            "objects_distance_from_center": lateral.copy(),
            "objects_distance": distance.copy(),
        }
