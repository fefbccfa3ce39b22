"""The embedded simulator: N cars with their cameras in this process, many times faster than real time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.camera.renderer import Camera
from deepracer_sim.camera.solids import solids
from deepracer_sim.camera.world import World
from deepracer_sim.dynamics.single_track import SingleTrack
from deepracer_sim.objects import Objects, Rivals
from deepracer_sim.sensors import Sensors
from deepracer_sim.simulator import CarStates, FloatArray, FrameArray, IntArray
from deepracer_sim.tracks.track import Track

MIN_CARS_PER_THREAD = 4
"""Below this a hand-over to another thread (about 30 us) costs more than it saves."""


class EmbeddedSimulator:
    """Implements `deepracer_sim.simulator.Simulator` with numba kernels that release the GIL.

    Every car is alone in its world, with objects of its own, and is computed from its own state only, so the result
    does not depend on the number of cars or threads. Only `Rivals` share one world: there all cars move before any
    camera looks.
    """

    def __init__(
        self,
        track: Track,
        vehicle: Vehicle,
        cars: int,
        *,
        observation: ObservationSpec | None = None,
        world: World | None = None,
        objects: Objects | None = None,
        seed: int = 0,
        threads: int = 2,
    ) -> None:
        """Prepare cars at the start line.

        Args:
            track: The road.
            vehicle: The car.
            cars: Number of cars N.
            observation: Sensors, and images as the network sees them; without it, the front camera's whole image.
            world: A world of this track to share between simulators; else one is drawn.
            objects: What stands or drives on the road besides the cars; none in a time trial.
            seed: Of the world's textures and the scanners' noise.
            threads: At most so many threads share the cars.
        """
        self.track, self.vehicle, self.cars = track, vehicle, cars
        self.period_ns = vehicle.control_period_ns
        self.world = World(track, seed=seed) if world is None else world
        camera = vehicle.camera
        self._color_camera = Camera(camera, camera.width_px, camera.height_px)
        self._sensors = Sensors(vehicle, cars, observation, seed)
        self.frame_shape = self._sensors.frame_shape
        self._motion = SingleTrack(vehicle, cars, self.period_ns)
        self.objects = objects
        self._solids = None if objects is None else solids(objects.kinds)
        self._time_ns = 0
        parts = max(1, min(threads, cars // MIN_CARS_PER_THREAD))
        bounds = np.linspace(0, cars, parts + 1).astype(int)
        self._chunks = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        self._pool = ThreadPoolExecutor(parts - 1, "simulator") if parts > 1 else None
        self.reset(np.arange(cars), np.repeat(track.pose_at(0.0).reshape(1, 3), cars, axis=0))

    def reset(self, cars: IntArray, poses: FloatArray) -> None:
        """Put cars down at standstill; see `Simulator.reset`."""
        self._motion.reset(cars, poses)
        if isinstance(self.objects, Rivals):
            self._meet(self.objects)
            cars = np.arange(self.cars)
        for car in cars:
            self._render(int(car), int(car) + 1)

    def step(self, steering_angle: FloatArray, speed: FloatArray) -> None:
        """Drive all cars for one control period; see `Simulator.step`."""
        self._motion.command(steering_angle, speed)
        if isinstance(self.objects, Rivals):
            self._motion.step(0, self.cars)
            self._meet(self.objects)
            self._render(0, self.cars)
        else:
            waiting = [self._pool.submit(self._advance, *chunk) for chunk in self._chunks[1:]] if self._pool else []
            self._advance(*self._chunks[0])
            for future in waiting:
                future.result()
        self._time_ns += self.period_ns

    def images(self) -> FrameArray:
        """Return what the cameras see now; see `Simulator.images`."""
        return self._sensors.images()

    def readings(self) -> dict[str, NDArray[Any]]:
        """Return what the network sees now; see `Simulator.readings`."""
        return self._sensors.readings()

    def state(self) -> CarStates:
        """Return the motion of all cars now; see `Simulator.state`."""
        return self._motion.states(self._time_ns)

    def look(self, sensors: Sensors, car: int) -> dict[str, NDArray[Any]]:
        """Return what other sensors than the simulator's would give one car now, with a leading dimension of 1.

        Args:
            sensors: For as many cars as the simulator has.
            car: Index.
        """
        sensors.measure(self.world, self._motion.poses(), self.objects, self._solids, car, car + 1)
        return {name: array[car : car + 1] for name, array in sensors.readings().items()}

    def frame_rgb(self, car: int) -> FrameArray:
        """Return the colour image of one car at the camera's full resolution, `(H, W, 3)`, for videos."""
        pose = self._motion.poses()[car]
        frame: FrameArray = self._color_camera.render_rgb(self.world, pose)
        if self.objects is not None and self._solids is not None:
            self._color_camera.draw_rgb(self._solids, pose, self.objects.poses[car], self.objects.solid[car], frame)
        return frame

    def _advance(self, low: int, high: int) -> None:
        self._motion.step(low, high)
        if self.objects is not None:
            self.objects.move(low, high)
        self._render(low, high)

    def _meet(self, rivals: Rivals) -> None:
        """Tell all cars where the others are."""
        poses = self._motion.poses()
        ahead = self.vehicle.geometry.origin_to_middle
        middle = poses[:, :2] + ahead * np.column_stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])])
        rivals.follow(np.column_stack([middle, poses[:, 2]]), self._motion.states(self._time_ns).speed)

    def _render(self, low: int, high: int) -> None:
        self._sensors.measure(self.world, self._motion.poses(), self.objects, self._solids, low, high)
