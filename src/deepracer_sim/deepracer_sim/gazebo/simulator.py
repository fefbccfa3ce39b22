"""Gazebo as a `deepracer_sim.simulator.Simulator`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.observation import ObservationSpec, observe
from deepracer_inference.sensors import INPUTS
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.gazebo.lockstep import GazeboLockStep
from deepracer_sim.gazebo.transport import Transport
from deepracer_sim.gazebo.world import STEP_NS, STEPS_PER_PERIOD
from deepracer_sim.objects import Objects
from deepracer_sim.simulator import CarStates, FloatArray, FrameArray, IntArray
from deepracer_sim.tracks.track import Track


class GazeboSimulator:
    """N cars in one world of Gazebo's, which neither touch nor see each other.

    A command acts `vehicle.latency_s` after the picture that it answers, to within a physics step, as it does in the
    embedded simulator. Simulated time counts from the start of this object.
    """

    def __init__(
        self,
        track: Track,
        vehicle: Vehicle,
        cars: int,
        transport: Transport,
        *,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 60.0,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect, and put all cars down at the start line.

        Args:
            track: The road of the world.
            vehicle: The car in it.
            cars: Number of cars N.
            transport: Way to the server.
            timeout_s: An answer that takes longer is an error.
            connect_timeout_s: Same for the world and all its cars to appear.
            interrupt: Called while waiting; ends the wait by raising.

        Raises:
            GazeboError: The world does not answer as it should.
        """
        self.track, self.vehicle, self.cars = track, vehicle, cars
        self.objects: Objects | None = None
        self.period_ns = STEPS_PER_PERIOD * STEP_NS
        self._lockstep = GazeboLockStep(
            transport,
            cars,
            step_ns=STEP_NS,
            steps=STEPS_PER_PERIOD,
            delay_steps=delay_steps(vehicle.latency_s),
            timeout_s=timeout_s,
            interrupt=interrupt,
        )
        self._lockstep.connect(transport.now() + connect_timeout_s)
        self._time_ns = 0
        self.frame_shape: tuple[int, int] = (self._lockstep.frames[0].shape[0], self._lockstep.frames[0].shape[1])
        self._images = np.zeros((cars, *self.frame_shape), np.uint8)
        self._spec = ObservationSpec(width=self.frame_shape[1], height=self.frame_shape[0], crop_top=0.0)
        self.reset(np.arange(cars), np.repeat(track.pose_at(0.0).reshape(1, 3), cars, axis=0))

    def reset(self, cars: IntArray, poses: FloatArray) -> None:
        """Put cars down at standstill; see `Simulator.reset`."""
        rows = np.asarray(poses, np.float64).tolist()
        placed = {int(car): (row[0], row[1], row[2]) for car, row in zip(cars, rows, strict=True)}
        if placed:
            self._lockstep.place(placed)
        self._show(placed)

    def step(self, steering_angle: FloatArray, speed: FloatArray) -> None:
        """Drive all cars for one control period; see `Simulator.step`."""
        limits = self.vehicle.steering.limit, self.vehicle.drive.speed_limit
        angles = np.clip(steering_angle, -limits[0], limits[0])
        speeds = np.clip(speed, -limits[1], limits[1])
        self._lockstep.advance(zip(angles.tolist(), speeds.tolist(), strict=True))
        self._time_ns += self.period_ns
        self._show(range(self.cars))

    def images(self) -> FrameArray:
        """Return what the cameras see now; see `Simulator.images`."""
        return self._images

    def readings(self) -> dict[str, NDArray[Any]]:
        """Return the images, the only thing measured here; see `Simulator.readings`."""
        return {INPUTS["FRONT_FACING_CAMERA"]: self._images[..., None]}

    def state(self) -> CarStates:
        """Return the motion of all cars now; see `Simulator.state`."""
        rows = [(*each.pose, each.speed, each.lateral_speed, each.yaw_rate) for each in self._lockstep.motions]
        x, y, yaw, speed, lateral_speed, yaw_rate = np.array(rows, np.float64).T
        return CarStates(
            x=x,
            y=y,
            yaw=yaw,
            speed=speed,
            lateral_speed=lateral_speed + self.vehicle.geometry.origin_to_cg * yaw_rate,
            yaw_rate=yaw_rate,
            steering_angle=np.array(self._lockstep.steering, np.float64),
            time_ns=self._time_ns,
        )

    def frame_rgb(self, car: int) -> FrameArray:
        """Return the colour image of one car, `(H, W, 3)`."""
        frame = self._lockstep.frames[car]
        return frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2)

    def _show(self, cars: IntArray | range | dict[int, tuple[float, float, float]]) -> None:
        for car in cars:
            self._images[car] = observe(self._lockstep.frames[int(car)], self._spec)[..., 0]


def delay_steps(latency_s: float) -> int:
    """Return the steps after which a period's commands are given.

    Gazebo's car system reads a command at the end of a step and acts on it in the next one, so one step less.
    """
    return min(max(0, round(latency_s * 1e9 / STEP_NS) - 1), STEPS_PER_PERIOD - 1)
