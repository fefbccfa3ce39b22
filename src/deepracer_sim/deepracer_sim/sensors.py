"""The sensors of N cars: what their cameras see and their scanners measure, in the form the network takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.sensors import INPUTS, LIDAR_RAYS, lidar_input
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.camera.renderer import Camera
from deepracer_sim.lidar import Lidar
from deepracer_sim.simulator import FloatArray, FrameArray

if TYPE_CHECKING:
    from deepracer_sim.camera.solids import Solids
    from deepracer_sim.camera.world import World
    from deepracer_sim.objects import Objects


class Sensors:
    """Measures for any range of cars at a time, so that threads can share them."""

    def __init__(self, vehicle: Vehicle, cars: int, observation: ObservationSpec | None, seed: int) -> None:
        """Mount the sensors.

        Args:
            vehicle: Says where they are.
            cars: Number of cars N.
            observation: What the network sees; without it, the whole image of the front camera.
            seed: Of the scanner's noise.

        Raises:
            UserError: The car has no such sensor.
        """
        mount = vehicle.camera
        self._spec = ObservationSpec() if observation is None else observation
        sensors = self._spec.sensors
        mounts = [mount] if "FRONT_FACING_CAMERA" in sensors else []
        if "STEREO_CAMERAS" in sensors:
            if not mount.stereo_baseline:
                raise UserError(
                    f"the model has STEREO_CAMERAS, but the vehicle '{vehicle.name}' has one lens only; give its "
                    "camera a stereo_baseline in the vehicle file, or take FRONT_FACING_CAMERA"
                )
            mounts += mount.stereo_pair
        if observation is None:
            cameras = [Camera(mount, mount.width_px, mount.height_px)]
        else:
            size = observation.width, observation.height, observation.crop_top
            cameras = [Camera(each, *size) for each in mounts]
        self.frame_shape = (cameras[0].height, cameras[0].width)
        self._views = [(camera, np.zeros((cars, *self.frame_shape), np.uint8)) for camera in cameras]
        self._lidar: Lidar | None = None
        if self._spec.lidar_sensor:
            if vehicle.lidar is None:
                raise UserError(
                    f"the model has {self._spec.lidar_sensor}, but the vehicle '{vehicle.name}' has no lidar; describe "
                    "it in the vehicle file, or take the sensor out"
                )
            self._lidar = Lidar(vehicle.lidar, seed)
        self._ranges = np.full((cars, LIDAR_RAYS if self._lidar else 0), np.inf)

    def measure(
        self, world: World, poses: FloatArray, objects: Objects | None, solids: Solids | None, low: int, high: int
    ) -> None:
        """Let the sensors of the cars `low` to `high` look; the GIL is released most of the time.

        Args:
            world: What there is to see.
            poses: x, y, yaw of `base_link` (N, 3), m, m, rad.
            objects: What stands or drives on the road besides.
            solids: Looks of these objects.
            low: First car.
            high: Behind the last car.
        """
        for camera, images in self._views:
            camera.render_gray(world, poses, images, low, high)
            if objects is not None and solids is not None:
                camera.draw_gray(solids, poses, objects.poses, objects.solid, images, low, high)
        if self._lidar is not None:
            self._lidar.scan(poses, objects, self._ranges, low, high)

    def images(self) -> FrameArray:
        """Return the images of the front camera, or of the left one of a stereo pair `(N, H, W)`."""
        return self._views[0][1]

    def readings(self) -> dict[str, NDArray[Any]]:
        """Return what the network sees by the names of `ObservationSpec.inputs`."""
        readings: dict[str, NDArray[Any]] = {}
        images = [view[1] for view in self._views]
        for name in self._spec.sensors:
            if name == "FRONT_FACING_CAMERA":
                readings[INPUTS[name]] = images[0][..., np.newaxis]
            elif name == "STEREO_CAMERAS":
                readings[INPUTS[name]] = np.stack(images[-2:], axis=-1)
            else:
                readings[INPUTS[name]] = lidar_input(name, self._ranges, self._spec.lidar)
        return readings
