"""The embedded simulator: N cars with their cameras in this process, many times faster than real time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.camera.renderer import Camera
from deepracer_sim.camera.world import World
from deepracer_sim.dynamics.single_track import SingleTrack
from deepracer_sim.simulator import CarStates, FloatArray, FrameArray, IntArray
from deepracer_sim.tracks.track import Track

MIN_CARS_PER_THREAD = 4
"""Below this a hand-over to another thread (about 30 us) costs more than it saves."""


class EmbeddedSimulator:
    """Implements `deepracer_sim.simulator.Simulator` with numba kernels that release the GIL.

    Every car is alone in its world and is computed from its own state only, so the result does not depend on the
    number of cars or threads.
    """

    def __init__(
        self,
        track: Track,
        vehicle: Vehicle,
        cars: int,
        *,
        observation: ObservationSpec | None = None,
        world: World | None = None,
        seed: int = 0,
        threads: int = 2,
    ) -> None:
        """Prepare cars at the start line.

        Args:
            track: The road.
            vehicle: The car.
            cars: Number of cars N.
            observation: Render directly what the network sees; without it, the whole camera image.
            world: A world of this track to share between simulators; else one is drawn.
            seed: Of the world's textures.
            threads: At most so many threads share the cars.
        """
        self.track, self.vehicle, self.cars = track, vehicle, cars
        self.period_ns = vehicle.control_period_ns
        self.world = World(track, seed=seed) if world is None else world
        camera = vehicle.camera
        self._color_camera = Camera(camera, camera.width_px, camera.height_px)
        if observation is None:
            self._camera = self._color_camera
        else:
            self._camera = Camera(camera, observation.width, observation.height, observation.crop_top)
        self.frame_shape = (self._camera.height, self._camera.width)
        self._motion = SingleTrack(vehicle, cars, self.period_ns)
        self._images = np.zeros((cars, *self.frame_shape), np.uint8)
        self._time_ns = 0
        parts = max(1, min(threads, cars // MIN_CARS_PER_THREAD))
        bounds = np.linspace(0, cars, parts + 1).astype(int)
        self._chunks = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        self._pool = ThreadPoolExecutor(parts - 1, "simulator") if parts > 1 else None
        self.reset(np.arange(cars), np.repeat(track.pose_at(0.0).reshape(1, 3), cars, axis=0))

    def reset(self, cars: IntArray, poses: FloatArray) -> None:
        """Put cars down at standstill; see `Simulator.reset`."""
        self._motion.reset(cars, poses)
        for car in cars:
            self._render(int(car), int(car) + 1)

    def step(self, steering_angle: FloatArray, speed: FloatArray) -> None:
        """Drive all cars for one control period; see `Simulator.step`."""
        self._motion.command(steering_angle, speed)
        waiting = [self._pool.submit(self._advance, *chunk) for chunk in self._chunks[1:]] if self._pool else []
        self._advance(*self._chunks[0])
        for future in waiting:
            future.result()
        self._time_ns += self.period_ns

    def images(self) -> FrameArray:
        """Return what the cameras see now; see `Simulator.images`."""
        return self._images

    def state(self) -> CarStates:
        """Return the motion of all cars now; see `Simulator.state`."""
        return self._motion.states(self._time_ns)

    def frame_rgb(self, car: int) -> FrameArray:
        """Return the colour image of one car at the camera's full resolution, `(H, W, 3)`, for videos."""
        frame: FrameArray = self._color_camera.render_rgb(self.world, self._motion.poses()[car])
        return frame

    def _advance(self, low: int, high: int) -> None:
        self._motion.step(low, high)
        self._render(low, high)

    def _render(self, low: int, high: int) -> None:
        self._camera.render_gray(self.world, self._motion.poses(), self._images, low, high)
