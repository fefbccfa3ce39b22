"""gazebo_node over real topics: a stand-in for world and bridge on one side, `RosSimulator` on the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import pytest
from numpy.typing import NDArray

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from geometry_msgs.msg import PoseStamped, TwistStamped  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

from deepracer_inference.nodes.encoding import twist_to_command  # noqa: E402
from deepracer_inference.nodes.messages import fill_image, planar_quaternion, to_time  # noqa: E402
from deepracer_inference.nodes.receiver import Receiver  # noqa: E402
from deepracer_inference.vehicle import Vehicle, load_vehicle  # noqa: E402
from deepracer_sim.gazebo.lockstep import GazeboError  # noqa: E402
from deepracer_sim.gazebo.simulator import GazeboSimulator  # noqa: E402
from deepracer_sim.gazebo.transport import Pose  # noqa: E402
from deepracer_sim.gazebo.world import STEP_NS, STEPS_PER_PERIOD  # noqa: E402
from deepracer_sim.nodes.gazebo_server import refuse_company  # noqa: E402
from deepracer_sim.nodes.gazebo_transport import GazeboTransport, single_track_angle  # noqa: E402
from deepracer_sim.nodes.ros_simulator import RosSimulator  # noqa: E402
from deepracer_sim.nodes.simulator_server import SimulatorServer  # noqa: E402
from deepracer_sim.nodes.simulator_settings import GazeboSettings  # noqa: E402
from deepracer_sim.tracks.library import load_track  # noqa: E402
from deepracer_sim.tracks.track import Track  # noqa: E402

QOS = QoSProfile(depth=10)
CARS = 2
WHEELBASE = 0.163974


class World(threading.Thread):
    """A world of point-like cars, with what ros_gz_bridge would publish of it; its services are called directly."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        node = Node("gazebo_bridge", context=self.context)
        self.stop = threading.Event()
        self.time_ns, self.pending, self.triggers = 0, 0, 0
        self.poses: list[Pose] = [(0.0, 0.0, 0.0)] * CARS
        self.commands = [(0.0, 0.0)] * CARS
        self._lock = threading.Lock()
        self._clock = node.create_publisher(Clock, "/gazebo/clock", QOS)
        kinds = (
            (Image, "image"),
            (Odometry, "odom"),
            (JointState, "joint_states"),
            (PoseStamped, "placed"),
            (TwistStamped, "commanded"),
        )
        self._cars = [
            [node.create_publisher(kind, f"/gazebo/car_{i}/{name}", QOS) for kind, name in kinds] for i in range(CARS)
        ]
        inputs = [(TwistStamped, f"/gazebo/car_{i}/cmd_vel") for i in range(CARS)]
        self._inbox = Receiver(node, [*inputs, (Bool, "/gazebo/camera_trigger")], QOS)

    def run(self) -> None:
        while not self.stop.is_set():
            with self._lock:
                if self.pending:
                    self._step()
                self._clock.publish(Clock(clock=to_time(self.time_ns)))
            for index, message in self._inbox.wait(0.0 if self.pending else 0.002):
                with self._lock:
                    if isinstance(message, Bool):
                        self._render()
                    else:
                        twist = message.twist
                        self.commands[index] = twist_to_command(twist.linear.x, twist.angular.z, WHEELBASE)
                        self._cars[index][4].publish(message)

    def pause(self) -> None:
        with self._lock:
            self.pending = 0

    def multi_step(self, steps: int) -> None:
        with self._lock:
            self.pending += steps

    def set_pose(self, model: str, pose: Pose) -> None:
        car = int(model.removeprefix("car_"))
        with self._lock:
            self.poses[car] = pose
            message = PoseStamped()
            message.pose.position.x, message.pose.position.y = pose[:2]
            message.pose.orientation = planar_quaternion(pose[2])
            self._cars[car][3].publish(message)

    def _step(self) -> None:
        self.pending -= 1
        self.time_ns += STEP_NS
        for car, (x, y, yaw) in enumerate(self.poses):
            self.poses[car] = x + self.commands[car][1] * STEP_NS * 1e-9, y, yaw
        if self.time_ns % (STEPS_PER_PERIOD * STEP_NS):
            return
        for car, (x, y, yaw) in enumerate(self.poses):
            odometry, joints = Odometry(), JointState()
            odometry.header.stamp = joints.header.stamp = to_time(self.time_ns)
            odometry.pose.pose.position.x, odometry.pose.pose.position.y = x, y
            odometry.pose.pose.orientation = planar_quaternion(yaw)
            odometry.twist.twist.linear.x = self.commands[car][1]
            joints.name = ["right_steering_hinge_joint", "wheel", "left_steering_hinge_joint"]
            joints.position = [self.commands[car][0], 9.0, self.commands[car][0]]
            self._cars[car][1].publish(odometry)
            self._cars[car][2].publish(joints)

    def _render(self) -> None:
        self.triggers += 1
        for car, pose in enumerate(self.poses):
            message = Image()
            message.header.stamp = to_time(self.time_ns)
            fill_image(message, picture(car, pose))
            self._cars[car][0].publish(message)


def picture(car: int, pose: Pose) -> NDArray[np.uint8]:
    frame = np.full((120, 160, 3), 50 + car, np.uint8)
    frame[60:] = round(abs(pose[0]) * 100.0) % 256
    return frame


@pytest.fixture
def domain(ros_domain: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with ros_domain():
        yield


@pytest.fixture
def world(domain: None) -> Iterator[World]:
    """A world of two cars and a gazebo_node that serves it in lock-step."""
    world = World()
    world.start()
    rclpy.init(args=["--ros-args", "-p", "track:=oval", "-p", f"cars:={CARS}", "-p", "mode:=lockstep"])

    def build(
        node: Node, settings: GazeboSettings, track: Track, vehicle: Vehicle, interrupt: object
    ) -> GazeboSimulator:
        transport = GazeboTransport(node, settings.cars, vehicle.geometry.wheelbase, world)
        return GazeboSimulator(track, vehicle, settings.cars, transport, connect_timeout_s=settings.connect_timeout)

    server = SimulatorServer("gazebo_node", GazeboSettings, build)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    yield world
    stop.set()
    thread.join(10.0)
    server.close()
    world.stop.set()
    world.join(10.0)
    rclpy.try_shutdown()
    world.context.try_shutdown()


def test_a_client_of_the_embedded_simulator_drives_gazebo(world: World) -> None:
    track, vehicle = load_track("oval"), load_vehicle("deepracer")
    simulator = RosSimulator(track, vehicle, CARS, timeout_s=30.0)
    try:
        assert simulator.period_ns == 66_666_660 != vehicle.control_period_ns
        began = world.time_ns
        speeds, angles = np.array([1.0, 2.0]), np.array([0.25, -0.125])
        for number in range(1, 31):
            simulator.step(angles, speeds)
            # Exactly one period for each step, and nothing in between.
            assert world.time_ns - began == number * 66_666_660
            states = simulator.state()
            assert states.x.tolist() == [pose[0] for pose in world.poses]
            assert states.speed.tolist() == [1.0, 2.0] and states.steering_angle.tolist() == angles.tolist()
            for car in range(CARS):
                shown = simulator.images()[car]
                expected = picture(car, world.poses[car])[:, :, 0]
                assert shown.shape == (120, 160) and np.array_equal(shown[::119], expected[::119])
        assert simulator.state().time_ns == 30 * 66_666_660
        other = world.poses[0]
        simulator.reset(np.array([1]), np.array([[0.5, 0.25, -3.0]]))
        assert world.time_ns - began == 30 * 66_666_660 and world.poses[0] == other
        states = simulator.state()
        assert (states.x[1], states.y[1], states.yaw[1]) == (0.5, 0.25, -3.0)
        assert (states.speed[1], states.steering_angle[1], states.speed[0]) == (0.0, 0.0, 1.0)
        assert simulator.images()[1][-1, 0] == 50
    finally:
        simulator.close()


def test_the_angle_of_the_single_track_lies_between_those_of_the_wheels() -> None:
    # Axles meet 0.5 m left of the middle: cot is 0.5 / L there, and half the track more or less at the wheels.
    left, middle, right = (np.arctan(WHEELBASE / (0.5 + shift)) for shift in (-0.08, 0.0, 0.08))
    assert single_track_angle(left, right) == pytest.approx(middle, abs=1e-12)
    assert single_track_angle(-right, -left) == pytest.approx(-middle, abs=1e-12)
    assert single_track_angle(0.0, 0.0) == 0.0 and single_track_angle(0.01, -0.01) == 0.0


def test_a_world_that_is_driven_already_is_left_alone(world: World) -> None:
    context = Context()
    rclpy.init(args=[], context=context)
    newcomer = Node("newcomer", context=context)
    try:
        # Nodes announce themselves twice a second, but those of this test, which no `process.run` has started, do not.
        deadline = time.monotonic() + 60.0
        while "gazebo_node" not in newcomer.get_node_names():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(GazeboError, match=r"driven already, by /.*gazebo_node"):
            refuse_company(newcomer, lambda: None)
    finally:
        newcomer.destroy_node()
        context.try_shutdown()
