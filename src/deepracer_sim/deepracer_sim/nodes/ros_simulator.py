"""A simulator in another process, driven over topics in lock-step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, JointState

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.nodes.encoding import command_to_twist, unwrap
from deepracer_inference.nodes.joints import STEERING_JOINT
from deepracer_inference.nodes.messages import from_time, image_to_frame, planar_quaternion, pose_to_planar, to_time
from deepracer_inference.nodes.receiver import Receiver
from deepracer_inference.observation import ObservationSpec, observe
from deepracer_inference.sensors import INPUTS
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.lockstep import LockStepClient, UnexpectedStampError
from deepracer_sim.nodes.car_topics import INPUT_QOS, MAP_FRAME, car_namespace
from deepracer_sim.nodes.peer import UNKNOWN, ask, disagreement, introduced, publishers
from deepracer_sim.objects import Objects
from deepracer_sim.simulator import CarStates, FloatArray, FrameArray, IntArray
from deepracer_sim.tracks.track import Track

PARTS = ((Image, "camera/image_raw"), (Odometry, "odom"), (JointState, "joint_states"))
"""The messages that answer a command; all of them are waited for."""
IMAGE, ODOMETRY, JOINTS = range(3)

READER_QOS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Reliable, and transient local, so that the newest image of a simulator that is waiting already comes at once."""

SLICE_S = 0.1
"""Longest uninterrupted wait: Ctrl-C is noticed within this time."""

RESEND_S = 0.5
"""DDS repeats by itself what a reader misses that had not seen the writer yet, but only after up to 3 s."""

ANSWER_S = 5.0
"""So long a simulator may take to tell its parameters."""


class RosSimulatorError(DeepRacerError):
    """The simulator did not answer, or something else than expected came. The lock-step is lost; connect anew."""


class RosSimulator:
    """Implements `deepracer_sim.simulator.Simulator` over topics.

    With the same commands, states (and images, if the other side renders the same) equal those of an
    `EmbeddedSimulator` bit by bit; see `encoding`. Steering angles travel in single precision. Simulated time counts
    from the start of this object.
    """

    def __init__(
        self,
        track: Track,
        vehicle: Vehicle,
        cars: int,
        *,
        observation: ObservationSpec | None = None,
        node: Node | None = None,
        timeout_s: float = 5.0,
        connect_timeout_s: float = 30.0,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect, and put all cars down at the start line.

        Args:
            track: The road that the simulator has.
            vehicle: The car that it has.
            cars: Number of its cars, N.
            observation: What images are reduced to, unless they come in that size; without it they stay as they come.
            node: Owner of publishers and subscriptions; an executor may spin it. Without one, this object has a node
                and a ROS context of its own.
            timeout_s: An answer that takes longer is an error.
            connect_timeout_s: Same for the simulator to appear.
            interrupt: Called every `SLICE_S` while waiting; ends the wait by raising.

        Raises:
            RosSimulatorError: No such simulator appears, or another node drives it.
            UserError: Its track, vehicle or mode is another one.
        """
        if observation is not None and not observation.front_camera_only:
            raise UserError(
                f"the model has the sensors {', '.join(observation.sensors)}, but a simulator over topics has the "
                "front camera only; use the embedded simulator, that is train and evaluate without ROS"
            )
        self.track, self.vehicle, self.cars = track, vehicle, cars
        self.period_ns = vehicle.control_period_ns
        self._observation, self._timeout_s, self._interrupt = observation, timeout_s, interrupt
        self._own_context: Context | None = None
        if node is None:
            self._own_context = Context()
            rclpy.init(args=[], context=self._own_context)
            node = Node("ros_simulator", context=self._own_context)
        self._node = node
        names = [car_namespace(car) for car in range(cars)]
        self._inbox = Receiver(node, [(kind, f"{name}/{topic}") for name in names for kind, topic in PARTS], READER_QOS)
        self._commands: list[Publisher] = []
        self._poses: list[Publisher] = []
        self._lockstep = LockStepClient(cars, len(PARTS), self.period_ns)
        self._time_ns = 0
        self._images: FrameArray = np.zeros((cars, 0, 0), np.uint8)
        self._lost: RosSimulatorError | None = None
        self._states = CarStates(*np.zeros((7, cars)), time_ns=0)  # type: ignore[misc]
        try:
            self._join(time.monotonic() + connect_timeout_s)
            self.objects: Objects | None = None
            self.frame_shape: tuple[int, int] = (self._images.shape[1], self._images.shape[2])
            self.reset(np.arange(cars), np.repeat(track.pose_at(0.0).reshape(1, 3), cars, axis=0))
        except BaseException:
            self.close()
            raise

    def reset(self, cars: IntArray, poses: FloatArray) -> None:
        """Put cars down at standstill; see `Simulator.reset`.

        Raises:
            RosSimulatorError: No answer, or a wrong one.
        """
        self._check_alive()
        chosen = [int(car) for car in cars]
        if not chosen:
            return
        rows = dict(zip(chosen, np.asarray(poses, np.float64).tolist(), strict=True))
        message = PoseWithCovarianceStamped()
        message.header.frame_id = MAP_FRAME

        def put_down(car: int) -> None:
            position = message.pose.pose.position
            message.header.stamp = to_time(self._lockstep.stamps[car])
            position.x, position.y, yaw = rows[car]
            message.pose.pose.orientation = planar_quaternion(yaw)
            self._poses[car].publish(message)
            self._states.yaw[car] = yaw

        self._lockstep.expect_replacement(chosen)
        self._ask(put_down, chosen)
        got = np.stack([self._states.x, self._states.y, self._states.yaw], axis=1)[chosen]
        wrong = np.flatnonzero((got != poses).any(axis=1))
        if len(wrong):
            car, row = chosen[wrong[0]], wrong[0]
            raise self._lose(
                car, ODOMETRY, f"the car was to stand at {poses[row].tolist()}, but is at {got[row].tolist()}"
            )

    def step(self, steering_angle: FloatArray, speed: FloatArray) -> None:
        """Drive all cars for one control period; see `Simulator.step`.

        Raises:
            RosSimulatorError: No answer, or a wrong one.
        """
        self._check_alive()
        wheelbase = self.vehicle.geometry.wheelbase
        message = TwistStamped()

        def command(car: int) -> None:
            message.header.stamp = to_time(self._lockstep.stamps[car])
            message.header.frame_id = f"{car_namespace(car)}/base_link"
            message.twist.linear.x, message.twist.angular.z = command_to_twist(
                float(steering_angle[car]), float(speed[car]), wheelbase
            )
            self._commands[car].publish(message)

        self._lockstep.expect_period()
        self._ask(command, range(self.cars))
        self._time_ns += self.period_ns

    def images(self) -> FrameArray:
        """Return what the cameras see now; see `Simulator.images`."""
        return self._images

    def readings(self) -> dict[str, NDArray[Any]]:
        """Return the images as the network takes them; see `Simulator.readings`."""
        return {INPUTS["FRONT_FACING_CAMERA"]: self._images[..., np.newaxis]}

    def state(self) -> CarStates:
        """Return the motion of all cars now; see `Simulator.state`."""
        states = self._states.copy()
        states.time_ns = self._time_ns
        return states

    def close(self) -> None:
        """Unsubscribe; the simulator waits for whoever connects next."""
        self._inbox.close()
        for publisher in (*self._commands, *self._poses):
            self._node.destroy_publisher(publisher)
        if self._own_context is not None:
            self._node.destroy_node()
            self._own_context.try_shutdown()
            self._own_context = None

    def _join(self, deadline: float) -> None:
        """Wait for the newest answer of every car, and for the simulator to be there for us alone."""
        newest: dict[tuple[int, int], Any] = {}
        self._lockstep.missing = {(car, part) for car in range(self.cars) for part in range(len(PARTS))}
        while (problem := self._unready()) or self._lockstep.missing:
            if time.monotonic() > deadline:
                missing = min(self._lockstep.missing, default=(0, IMAGE))
                raise self._lose(*missing, problem or "no message came")
            self._interrupt()
            for index, message in self._inbox.wait(SLICE_S):
                car, part = divmod(index, len(PARTS))
                self._lockstep.join(car, part, from_time(message.header.stamp))
                newest[car, part] = message
        # Only now, because who drives already would be disturbed by a second sender.
        for car in range(self.cars):
            commands, poses = self._inputs(car)
            self._commands.append(self._node.create_publisher(TwistStamped, commands, INPUT_QOS))
            self._poses.append(self._node.create_publisher(PoseWithCovarianceStamped, poses, INPUT_QOS))
        simulator = publishers(self._node, self._topic(0, IMAGE))[0]
        given = ask(self._node.context, simulator, ANSWER_S)
        if problem := disagreement(given, self.track, self.vehicle):
            raise UserError(f"The simulator {simulator} does not fit: {problem}")
        if isinstance(period_ns := given.get("period_ns"), int):
            # Gazebo's period is a whole number of physics steps, a few ns off the camera's rate.
            self.period_ns = self._lockstep.period_ns = period_ns
        for (car, part), message in newest.items():
            self._take(car, part, message)

    def _unready(self) -> str | None:
        """Say what keeps this object from driving the simulator, in words."""
        for index, subscription in enumerate(self._inbox.subscriptions):
            senders = self._node.count_publishers(subscription.topic_name)
            if senders != 1:
                return f"one publisher is expected on {self._topic(*divmod(index, len(PARTS)))}"
        if any(UNKNOWN in name for name in publishers(self._node, self._topic(0, IMAGE))):
            return "the simulator's node has not been discovered yet"
        beyond = self._resolved(f"{car_namespace(self.cars)}/camera/image_raw")
        if self._node.count_publishers(beyond):
            return f"{self.cars} cars are to be driven, but the simulator has more: {beyond} exists"
        for car in range(self.cars):
            commands, poses = self._inputs(car)
            if publishers(self._node, commands):
                return f"{commands} is already commanded by {introduced(self._node, commands)}"
            if not self._node.count_subscribers(commands) or not self._node.count_subscribers(poses):
                return f"no simulator listens to {commands} and {poses}"
        return None

    def _ask(self, send: Callable[[int], None], cars: Iterable[int]) -> None:
        """Send each car its message, and take all answers; what is not answered is sent again, which does no harm."""
        for car in cars:
            send(car)
        now = time.monotonic()
        deadline, again = now + self._timeout_s, now + RESEND_S
        while self._lockstep.missing:
            now = time.monotonic()
            if now >= deadline:
                raise self._lose(*min(self._lockstep.missing), self._silence())
            self._interrupt()
            if now >= again:
                again = now + RESEND_S
                for car in sorted({car for car, _ in self._lockstep.missing}):
                    send(car)
            for index, message in self._inbox.wait(min(deadline - now, SLICE_S)):
                car, part = divmod(index, len(PARTS))
                try:
                    self._lockstep.offer(car, part, from_time(message.header.stamp))
                except UnexpectedStampError as error:
                    raise self._lose(car, part, str(error)) from error
                self._take(car, part, message)

    def _silence(self) -> str:
        text = f"no message came within {self._timeout_s} s"
        more = len(self._lockstep.missing) - 1
        return f"{text} (as on {more} other topics)" if more else text

    def _take(self, car: int, part: int, message: Any) -> None:
        if part == IMAGE:
            self._take_image(car, message)
        elif part == ODOMETRY:
            states, twist = self._states, message.twist.twist
            states.x[car], states.y[car], yaw = pose_to_planar(message.pose.pose)
            states.yaw[car] = unwrap(yaw, states.yaw[car])
            states.speed[car], states.yaw_rate[car] = twist.linear.x, twist.angular.z
            states.lateral_speed[car] = twist.linear.y + self.vehicle.geometry.origin_to_cg * twist.angular.z
        else:
            if STEERING_JOINT not in message.name:
                raise self._lose(car, part, f"there is no '{STEERING_JOINT}' among the joints {list(message.name)}")
            self._states.steering_angle[car] = message.position[message.name.index(STEERING_JOINT)]

    def _take_image(self, car: int, message: Image) -> None:
        try:
            frame = image_to_frame(message)
        except DeepRacerError as error:
            raise self._lose(car, IMAGE, str(error)) from error
        spec = self._observation
        if frame.ndim == 3 or (spec is not None and frame.shape != spec.shape[:2]):
            full = ObservationSpec(width=frame.shape[1], height=frame.shape[0], crop_top=0.0)
            frame = observe(frame, spec or full)[..., 0]
        if not self._images.size:
            self._images = np.zeros((self.cars, *frame.shape), np.uint8)
        if frame.shape != self._images.shape[1:]:
            raise self._lose(car, IMAGE, f"an image of {frame.shape} came instead of {self._images.shape[1:]} px")
        self._images[car] = frame

    def _check_alive(self) -> None:
        if self._lost:
            raise self._lost

    def _lose(self, car: int, part: int, what: str) -> RosSimulatorError:
        """Return the error to raise; every later call raises it as well."""
        topic = self._topic(car, part)
        seen = introduced(self._node, topic) or "none"
        waited = f" Waiting for the stamp {self._lockstep.awaited()}." if self._lockstep.stamps[car] else ""
        hint = ""
        if seen == "none":
            hint = " Is a simulator in mode lockstep running, with the same ROS_DOMAIN_ID?"
        self._lost = RosSimulatorError(f"{topic}: {what}.{waited} Publishers seen: {seen}.{hint}")
        return self._lost

    def _inputs(self, car: int) -> tuple[str, str]:
        name = car_namespace(car)
        return self._resolved(f"{name}/cmd_vel"), self._resolved(f"{name}/initialpose")

    def _topic(self, car: int, part: int) -> str:
        return self._resolved(f"{car_namespace(car)}/{PARTS[part][1]}")

    def _resolved(self, name: str) -> str:
        return str(self._node.resolve_topic_name(name))
