"""The laser scanner: distances to the objects around each car."""

from __future__ import annotations

import numpy as np

from deepracer_inference.sensors import LIDAR_RAYS
from deepracer_inference.vehicle import Lidar as LidarMount
from deepracer_sim.lidar_kernels import scan
from deepracer_sim.objects import Objects
from deepracer_sim.simulator import FloatArray


class Lidar:
    """Scans once per control period; AWS's turns ten times a second, two scans in three periods.

    The scanner sees boxes and cars, whatever their height: a car that has a scanner carries it as high as this one
    looks. The noise follows from the seed and the car's pose, so that it depends neither on the other cars nor on how
    often anything was asked.
    """

    def __init__(self, mount: LidarMount, seed: int) -> None:
        """Take place and range from the vehicle file.

        Args:
            mount: Of the vehicle.
            seed: Of the noise.
        """
        self.angles = mount.yaw + np.linspace(-0.5, 0.5, LIDAR_RAYS) * mount.field_of_view
        """Of the rays in the car's frame, rad, counter-clockwise."""
        self._seed = seed
        self._place = np.array([mount.x, mount.y])
        self._limits = np.array([mount.min_range, mount.max_range, mount.noise])

    def scan(self, poses: FloatArray, objects: Objects | None, out: FloatArray, low: int, high: int) -> None:
        """Measure the distances around the cars `low` to `high`.

        Args:
            poses: x, y, yaw of `base_link` (N, 3), m, m, rad.
            objects: Of all cars; None if the road is empty.
            out: Distances (N, 64), m, counter-clockwise; infinity where nothing is within range.
            low: First car.
            high: Behind the last car.
        """
        if objects is None:
            out[low:high] = np.inf
            return
        scan(
            np.ascontiguousarray(poses[low:high]),
            self._place,
            self.angles,
            self._limits,
            self._seed,
            objects.poses[low:high],
            objects.sizes,
            objects.solid[low:high],
            out[low:high],
        )
