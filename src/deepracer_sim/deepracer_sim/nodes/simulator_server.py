"""A simulator behind topics and services."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.nodes.encoding import twist_to_command
from deepracer_inference.nodes.messages import from_time, pose_to_planar
from deepracer_inference.nodes.parameters import declare, make_node
from deepracer_inference.nodes.receiver import Receiver
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.lockstep import Answer, Command, LockStepServer
from deepracer_sim.nodes.car_topics import INPUT_QOS, MAP_FRAME, car_namespace
from deepracer_sim.nodes.simulator_settings import CHANGEABLE, ServerSettings
from deepracer_sim.nodes.world_topics import WorldTopics
from deepracer_sim.simulator import ColorSimulator
from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.track import Track

SIGNAL_S = 0.1
"""Signals are noticed within this time."""
NEUTRAL: Command = (0.0, 0.0)


S = TypeVar("S", bound=ServerSettings)
Build = Callable[[Node, S, Track, Vehicle, Callable[[], None]], ColorSimulator]
"""Makes the simulator of a node from its settings, track and vehicle; the last argument is called in long waits."""


class SimulatorServer(Generic[S]):
    """Moves messages in and out of a simulator.

    The thread that calls `run` takes commands and poses and drives; a second one serves parameters and the reset
    services.
    """

    def __init__(self, name: str, schema: type[S], build: Build[S]) -> None:
        """Build everything; the cars stand at the start line and their images are out.

        Args:
            name: Of the node.
            schema: Its parameters.
            build: Makes the simulator.

        Raises:
            UserError: A parameter is wrong.
        """
        self.node = node = make_node(name)
        self._stop: threading.Event | None = None
        self._failure: DeepRacerError | None = None
        self._settings: ServerSettings
        self._settings = settings = declare(node, schema, changeable=CHANGEABLE, on_change=self._change)
        track, vehicle = load_track(settings.track), load_vehicle(settings.vehicle)
        self._simulator = build(node, settings, track, vehicle, self._interrupt)
        self._period_s = self._simulator.period_ns * 1e-9
        node.declare_parameter(
            "period_ns",
            self._simulator.period_ns,
            ParameterDescriptor(description="Simulated time of one control period, ns.", read_only=True),
        )
        self._start = track.pose_at(0.0).reshape(3).tolist()
        cars = range(settings.cars)
        self._lock = threading.Lock()
        self._lockstep = LockStepServer(len(cars), self._simulator.period_ns)
        self._newest: list[tuple[Command, int]] = [(NEUTRAL, 0)] * len(cars)
        self._taken: dict[int, tuple[int, Command]] = {}
        self._refused: set[tuple[int, Answer]] = set()
        self._topics = WorldTopics(
            node,
            self._simulator,
            observation=settings.shown,
            color=settings.encoding == "rgb8",
            transforms=settings.publish_tf,
            markers=settings.markers,
        )
        inputs = ((TwistStamped, "cmd_vel"), (PoseWithCovarianceStamped, "initialpose"))
        self._inbox = Receiver(
            node, [(kind, f"{car_namespace(car)}/{name}") for kind, name in inputs for car in cars], INPUT_QOS
        )
        for car in cars:
            node.create_service(Trigger, f"{car_namespace(car)}/reset", self._reset_service(car))
        self._topics.publish(self._lockstep.stamps, cars, self._lockstep.time_ns, 0.0)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._services = threading.Thread(target=self._serve, name="services", daemon=True)

    def run(self, stop: threading.Event) -> None:
        """Simulate until told to stop."""
        self._stop = stop
        self._services.start()
        simulator, mode = self._simulator, self._settings.mode
        self.node.get_logger().info(f"{simulator.cars} x {simulator.vehicle.name} on {simulator.track.name}, {mode}")
        due = math.inf if mode == "lockstep" else time.monotonic()
        while not stop.is_set():
            if self._failure:
                raise self._failure
            wait = due - time.monotonic()
            if wait > 0.0:
                self._receive(min(wait, SIGNAL_S))
                continue
            with self._lock:
                self._drive_with_newest()
            period = self._period_s / self._settings.real_time_factor
            # What the machine could not keep up with is not made up for.
            due += period if wait > -period else period - wait

    def close(self) -> None:
        """End the services and the node."""
        self._executor.shutdown(timeout_sec=0.5)
        if self._services.is_alive():
            self._services.join(timeout=0.5)
        self.node.destroy_node()

    def _receive(self, timeout_s: float) -> None:
        for index, message in self._inbox.wait(timeout_s):
            car = index % self._simulator.cars
            with self._lock:
                if isinstance(message, TwistStamped):
                    self._on_command(car, message)
                else:
                    self._on_pose(car, message)

    def _on_command(self, car: int, message: TwistStamped) -> None:
        linear, angular = message.twist.linear.x, message.twist.angular.z
        if not (math.isfinite(linear) and math.isfinite(angular)):
            self._warn(car, "cmd_vel", f"ignored a command that is not finite: {linear}, {angular}")
            return
        command = twist_to_command(linear, angular, self._simulator.vehicle.geometry.wheelbase)
        if self._settings.mode == "realtime":
            self._newest[car] = command, self._lockstep.time_ns
            return
        stamp, newest = from_time(message.header.stamp), self._lockstep.stamps[car]
        answer = self._lockstep.command(car, stamp, command)
        if answer is Answer.ACCEPTED:
            self._taken[car] = stamp, command
        # A client that has waited for long sends its command again; that is no second driver.
        elif self._taken.get(car) != (stamp, command) and (car, answer) not in self._refused:
            self._refused.add((car, answer))
            self._warn(
                car,
                "cmd_vel",
                f"ignored a command with the stamp {stamp} ns, because it {answer.value}; that one has {newest} ns. "
                "More like this one are ignored silently",
            )
        if self._lockstep.is_complete:
            self._period()

    def _on_pose(self, car: int, message: PoseWithCovarianceStamped) -> None:
        pose = pose_to_planar(message.pose.pose)
        if message.header.frame_id not in ("", MAP_FRAME):
            self._warn(car, "initialpose", f"ignored a pose in '{message.header.frame_id}'; '{MAP_FRAME}' is expected")
        elif not all(map(math.isfinite, pose)):
            self._warn(car, "initialpose", f"ignored a pose that is not finite: {pose}")
        else:
            self._replace(car, pose, from_time(message.header.stamp))

    def _drive_with_newest(self) -> None:
        oldest = self._lockstep.time_ns - round(self._settings.command_timeout * 1e9)
        for car, (command, taken) in enumerate(self._newest):
            self._lockstep.command(car, self._lockstep.stamps[car], command if taken >= oldest else NEUTRAL)
        self._period()

    def _period(self) -> None:
        steering_angle, speed = np.array(self._lockstep.advance()).T
        self._simulator.step(steering_angle, speed)
        self._topics.publish(self._lockstep.stamps, range(self._simulator.cars), self._lockstep.time_ns, self._period_s)

    def _replace(self, car: int, pose: Sequence[float], stamp: int = 0) -> None:
        if not self._lockstep.replace(car, stamp):
            return
        self._simulator.reset(np.array([car]), np.array([pose]))
        self._newest[car] = NEUTRAL, 0
        self._topics.publish(self._lockstep.stamps, [car], self._lockstep.time_ns, 0.0)

    def _reset_service(self, car: int) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def reset(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                with self._lock:
                    self._replace(car, self._start)
            except DeepRacerError as error:
                # This is not the thread that ends the node.
                self._failure = error
                response.success, response.message = False, str(error)
            else:
                response.success, response.message = True, "at the start line"
            return response

        return reset

    def _change(self, settings: ServerSettings) -> None:
        self._settings = settings

    def _interrupt(self) -> None:
        """End a wait of the simulator's when the node is to end."""
        if self._stop and self._stop.is_set():
            raise KeyboardInterrupt

    def _warn(self, car: int, topic: str, text: str) -> None:
        self.node.get_logger().warning(f"{car_namespace(car)}/{topic}: {text}.")

    def _serve(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()
