"""simulator_node and RosSimulator against each other, with real rclpy and DDS in separate processes."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from deepracer_inference.errors import UserError  # noqa: E402
from deepracer_inference.nodes.messages import from_time, planar_quaternion, pose_to_planar  # noqa: E402
from deepracer_inference.nodes.receiver import Receiver  # noqa: E402
from deepracer_inference.observation import ObservationSpec  # noqa: E402
from deepracer_inference.vehicle import load_vehicle  # noqa: E402
from deepracer_sim.embedded import EmbeddedSimulator  # noqa: E402
from deepracer_sim.nodes.car_topics import INPUT_QOS  # noqa: E402
from deepracer_sim.nodes.ros_simulator import READER_QOS, RosSimulator, RosSimulatorError  # noqa: E402
from deepracer_sim.simulator import CarStates  # noqa: E402
from deepracer_sim.tracks.library import load_track  # noqa: E402

PATIENCE_S = 300.0
"""Guards against hanging; the first start on a machine compiles the kernels."""


class Process:
    """A simulator_node in a process of its own, and what it logs."""

    def __init__(self, *parameters: str) -> None:
        arguments = [each for parameter in parameters for each in ("-p", parameter)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deepracer_sim.nodes.simulator_node", "--ros-args", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.log: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        while not self.log or text not in self.log[-1]:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"the node ended without '{text}': {self.log}"
            self.log.append(line)

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_S)
        self._reader.join()
        while not self._lines.empty():
            if line := self._lines.get():
                self.log.append(line)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(None)


@pytest.fixture(autouse=True)
def domain(ros_domain: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with ros_domain():
        yield


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start simulator nodes; they end with the test."""
    processes: list[Process] = []

    def launch(*parameters: str) -> Process:
        processes.append(Process(*parameters))
        processes[-1].wait_for(" on ")
        return processes[-1]

    yield launch
    for process in processes:
        process.end(signal.SIGKILL)


@pytest.fixture
def connect() -> Iterator[Callable[..., RosSimulator]]:
    """Connect to a simulator node; the connections end with the test."""
    simulators: list[RosSimulator] = []

    def make(cars: int, track: str = "oval", **options: Any) -> RosSimulator:
        simulators.append(RosSimulator(load_track(track), load_vehicle("deepracer"), cars, **options))
        return simulators[-1]

    yield make
    for simulator in simulators:
        simulator.close()


@pytest.fixture
def node() -> Iterator[Node]:
    """Another node in the same domain."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    other = Node("bystander", context=context)
    yield other
    other.destroy_node()
    context.try_shutdown()


def receive(receiver: Receiver, is_enough: Callable[[Any], bool]) -> list[Any]:
    """Collect messages until one satisfies."""
    messages: list[Any] = []
    deadline = time.monotonic() + PATIENCE_S
    while not any(map(is_enough, messages)):
        assert time.monotonic() < deadline, f"{len(messages)} messages came, but not the one that is waited for"
        messages += [message for _, message in receiver.wait(0.1)]
    return messages


def spin_until(node: Node, future: Any) -> Any:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    executor.spin_until_future_complete(future, PATIENCE_S)
    executor.shutdown()
    assert future.done()
    return future.result()


def bits(states: CarStates) -> bytes:
    names = ("x", "y", "yaw", "speed", "lateral_speed", "yaw_rate", "steering_angle")
    return b"".join(getattr(states, name).tobytes() for name in names) + str(states.time_ns).encode()


@pytest.mark.parametrize("spec", [None, ObservationSpec(width=32, height=20, crop_top=0.25)])
def test_states_and_images_equal_those_in_process_bit_by_bit(
    start: Callable[..., Process], connect: Callable[..., RosSimulator], node: Node, spec: ObservationSpec | None
) -> None:
    cars, periods = 3, 300
    options = ["image:=camera"]
    if spec:
        options = [
            "image:=observation",
            f"observation.width:={spec.width}",
            f"observation.height:={spec.height}",
            f"observation.crop_top:={spec.crop_top}",
        ]
    server = start("mode:=lockstep", "track:=oval", f"cars:={cars}", *options)
    simulator = connect(cars, observation=spec)
    track = simulator.track
    twin = EmbeddedSimulator(track, simulator.vehicle, cars, observation=spec)
    witness = Receiver(node, [(Image, "car_1/camera/image_raw")], READER_QOS)
    stamps = [from_time(message.header.stamp) for message in receive(witness, lambda _: True)]
    random = np.random.default_rng(5)
    moved = [0]
    for period in range(periods):
        steering_angle = random.uniform(-0.5, 0.5, cars).astype(np.float32).astype(np.float64)
        speed = random.uniform(0.1, 4.0, cars) * (random.random(cars) > 0.1)
        simulator.step(steering_angle, speed)
        twin.step(steering_angle, speed)
        assert bits(simulator.state()) == bits(twin.state()), f"period {period}"
        assert (simulator.images() == twin.images()).all(), f"period {period}"
        if period % 20 == 19:
            chosen = random.permutation(cars)[:2]
            poses = track.pose_at(random.uniform(0.0, track.length, 2))
            simulator.reset(chosen, poses)
            twin.reset(chosen, poses)
            moved.append(period + 1)
            assert bits(simulator.state()) == bits(twin.state())
            assert (simulator.images() == twin.images()).all()
    assert max(abs(twin.state().yaw)) > 0.0 and simulator.state().time_ns == periods * simulator.period_ns

    # Nothing lost, repeated or out of order for an onlooker either: each image is one period or some ns later.
    stamps += [from_time(message.header.stamp) for message in witness.take_all(0)]
    assert server.process.poll() is None
    steps = np.diff(stamps)
    assert (steps > 0).all()


def test_an_onlooker_sees_every_image_once_and_in_order(
    start: Callable[..., Process], connect: Callable[..., RosSimulator], node: Node
) -> None:
    start("mode:=lockstep", "track:=oval", "cars:=2", "image:=observation")
    simulator = connect(2)
    witness = Receiver(node, [(Image, f"car_{car}/camera/image_raw") for car in range(2)], READER_QOS)
    seen: list[list[int]] = [[], []]

    def look_until(is_enough: Callable[[list[int]], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not all(map(is_enough, seen)):
            assert time.monotonic() < deadline, f"images are missing: {[stamps[-3:] for stamps in seen]}"
            for car, message in witness.wait(0.1):
                seen[car].append(from_time(message.header.stamp))

    look_until(lambda stamps: bool(stamps))
    first = max(stamps[-1] for stamps in seen)
    for period in range(1, 301):
        simulator.step(np.zeros(2), np.ones(2))
        newest = first + period * simulator.period_ns
        look_until(lambda stamps, newest=newest: stamps[-1] >= newest)  # type: ignore[misc]
    for stamps in seen:
        assert stamps[-300:] == [first + period * simulator.period_ns for period in range(1, 301)]
        assert len(stamps) == 301


def test_a_dead_simulator_is_an_error_that_names_topic_and_stamp(
    start: Callable[..., Process], connect: Callable[..., RosSimulator]
) -> None:
    server = start("mode:=lockstep", "track:=oval", "cars:=1")
    simulator = connect(1, timeout_s=1.0)
    server.end(signal.SIGKILL)
    with pytest.raises(RosSimulatorError, match=r"/car_0/camera/image_raw: no message came within 1.0 s") as caught:
        simulator.step(np.zeros(1), np.ones(1))
    assert f"Waiting for the stamp {2 + simulator.period_ns} ns. Publishers seen: " in str(caught.value)
    with pytest.raises(RosSimulatorError, match="no message came"):
        simulator.reset(np.array([0]), np.zeros((1, 3)))


def test_no_simulator_is_an_error(connect: Callable[..., RosSimulator]) -> None:
    with pytest.raises(RosSimulatorError, match=r"Publishers seen: none\. Is a simulator in mode lockstep running"):
        connect(1, connect_timeout_s=0.5)


def test_a_foreign_image_is_an_error_that_names_all_publishers(
    start: Callable[..., Process], connect: Callable[..., RosSimulator], node: Node
) -> None:
    start("mode:=lockstep", "track:=oval", "cars:=1")
    simulator = connect(1)
    publisher = node.create_publisher(Image, "car_0/camera/image_raw", READER_QOS)
    publisher.publish(Image())
    with pytest.raises(RosSimulatorError, match=r"/car_0/camera/image_raw: .*stamp 0 ") as caught:
        while True:
            simulator.step(np.zeros(1), np.ones(1))
    assert "Publishers seen: /bystander, /simulator_node." in str(caught.value)


def test_a_second_driver_is_refused_and_told_about_the_first(
    start: Callable[..., Process], connect: Callable[..., RosSimulator], node: Node
) -> None:
    start("mode:=lockstep", "track:=oval", "cars:=1")
    first = connect(1)
    while not node.count_publishers("car_0/cmd_vel"):
        first.step(np.zeros(1), np.ones(1))
    with pytest.raises(RosSimulatorError, match="/car_0/cmd_vel is already commanded by /ros_simulator"):
        connect(1, node=node, connect_timeout_s=5.0)
    first.step(np.zeros(1), np.ones(1))


def test_a_car_that_somebody_else_moves_is_an_error(
    start: Callable[..., Process], connect: Callable[..., RosSimulator], node: Node
) -> None:
    start("mode:=lockstep", "track:=oval", "cars:=1")
    simulator = connect(1)
    client = node.create_client(Trigger, "car_0/reset")
    assert client.wait_for_service(PATIENCE_S)
    assert spin_until(node, client.call_async(Trigger.Request())).success
    with pytest.raises(RosSimulatorError, match="stamp 3 came instead of"):
        simulator.step(np.zeros(1), np.ones(1))


@pytest.mark.parametrize(
    ("parameters", "cars", "message"),
    [
        (("mode:=realtime", "track:=oval"), 1, "its mode is realtime: start it with mode:=lockstep"),
        (("mode:=lockstep", "track:=oval_cw"), 1, "its track is oval_cw, but oval is to be driven"),
        (("mode:=lockstep", "track:=oval", "cars:=2"), 1, "1 cars are to be driven, but the simulator has more"),
    ],
)
def test_a_simulator_that_does_not_fit_is_refused(
    start: Callable[..., Process],
    connect: Callable[..., RosSimulator],
    parameters: tuple[str, ...],
    cars: int,
    message: str,
) -> None:
    start(*parameters)
    with pytest.raises((UserError, RosSimulatorError), match=message):
        connect(cars, connect_timeout_s=10.0)


def test_commands_out_of_step_are_ignored_with_one_warning(
    start: Callable[..., Process], connect: Callable[..., RosSimulator], node: Node
) -> None:
    server = start("mode:=lockstep", "track:=oval", "cars:=1")
    simulator = connect(1)
    intruder = node.create_publisher(TwistStamped, "car_0/cmd_vel", 10)
    while not intruder.get_subscription_count():
        simulator.step(np.zeros(1), np.ones(1))
    witness = Receiver(node, [(TwistStamped, "car_0/cmd_vel")], INPUT_QOS)
    while not (heard := witness.take_all(0)):
        simulator.step(np.zeros(1), np.ones(1))
    before = simulator.state().time_ns
    # A driver that has waited for long sends its command again; that is worth no warning.
    intruder.publish(heard[-1])
    for _ in range(3):
        intruder.publish(TwistStamped())
    server.wait_for("/cmd_vel: ignored a command with the stamp 0 ns, because it carries a stamp that no image has had")
    for _ in range(5):
        simulator.step(np.zeros(1), np.ones(1))
    assert simulator.state().time_ns == before + 5 * simulator.period_ns
    assert server.end() == 0
    assert sum("cmd_vel: ignored" in line for line in server.log) == 1


def test_colour_images_are_made_grey(start: Callable[..., Process], connect: Callable[..., RosSimulator]) -> None:
    start("mode:=lockstep", "track:=oval", "cars:=1", "encoding:=rgb8")
    simulator = connect(1)
    twin = EmbeddedSimulator(simulator.track, simulator.vehicle, 1)
    assert simulator.frame_shape == (120, 160)
    difference = simulator.images().astype(int) - twin.images()
    assert np.abs(difference).max() <= 2
    del simulator


def test_real_time_follows_the_wall_clock_at_the_given_factor(start: Callable[..., Process], node: Node) -> None:
    factor = 4.0
    start("track:=oval", f"real_time_factor:={factor}")
    receiver = Receiver(node, [(Image, "car_0/camera/image_raw")], READER_QOS)
    stamps = [from_time(receive(receiver, lambda _: True)[0].header.stamp)]
    times = [time.monotonic()]
    rate = 0.0
    # A busy machine keeps up at times only, but it never runs ahead.
    while rate < 0.4 * factor:
        assert time.monotonic() < times[0] + PATIENCE_S, f"{rate} simulated seconds per second"
        past = stamps[-1] + 4e9
        messages = receive(receiver, lambda m, past=past: from_time(m.header.stamp) > past)  # type: ignore[misc]
        stamps += [from_time(message.header.stamp) for message in messages]
        times.append(time.monotonic())
        rate = max(rate, 4.0 / (times[-1] - times[-2]))
    # One period of play at both ends.
    assert 1e-9 * (stamps[-1] - stamps[0]) <= factor * (times[-1] - times[0]) + 2 * 0.067
    assert not (np.diff(stamps) % load_vehicle("deepracer").control_period_ns).any()


def test_real_time_drives_the_newest_command_and_stops_without_one(start: Callable[..., Process], node: Node) -> None:
    start("track:=oval", "real_time_factor:=10.0", "command_timeout:=1.0")
    receiver = Receiver(node, [(Odometry, "car_0/odom"), (JointState, "car_0/joint_states")], READER_QOS)
    receive(receiver, lambda _: True)
    publisher = node.create_publisher(TwistStamped, "car_0/cmd_vel", 1)
    command = TwistStamped()
    command.twist.linear.x, command.twist.angular.z = 1.0, 2.0
    top = 0.0
    deadline = time.monotonic() + PATIENCE_S
    while top < 0.8 and time.monotonic() < deadline:
        publisher.publish(command)
        odometry = [m for _, m in receiver.wait(0.1) if isinstance(m, Odometry)]
        top = max([top, *(m.twist.twist.linear.x for m in odometry)])
    assert top >= 0.8
    stopped = receive(receiver, lambda m: isinstance(m, Odometry) and abs(m.twist.twist.linear.x) < 1e-3)
    joints = [m for m in stopped if isinstance(m, JointState)]
    # tan(angle) = yaw rate * wheelbase / speed.
    assert max(m.position[0] for m in joints) == pytest.approx(np.arctan(2.0 * 0.163974), abs=0.05)
    assert max(abs(m.velocity[-1]) for m in joints) > 0.5 / 0.03


def test_initialpose_and_reset_put_the_car_down(start: Callable[..., Process], node: Node) -> None:
    start("track:=oval", "real_time_factor:=5.0")
    receiver = Receiver(node, [(Odometry, "car_0/odom")], READER_QOS)
    first = receive(receiver, lambda _: True)[0]
    publisher = node.create_publisher(PoseWithCovarianceStamped, "car_0/initialpose", 1)
    while not publisher.get_subscription_count():
        receiver.wait(0.05)
    pose = PoseWithCovarianceStamped()
    pose.header.frame_id = "map"
    pose.pose.pose.position.x, pose.pose.pose.position.y = 1.25, -0.5
    pose.pose.pose.orientation = planar_quaternion(3.0)
    publisher.publish(pose)
    receive(receiver, lambda m: pose_to_planar(m.pose.pose) == (1.25, -0.5, 3.0))
    client = node.create_client(Trigger, "car_0/reset")
    assert client.wait_for_service(PATIENCE_S)
    assert spin_until(node, client.call_async(Trigger.Request())).success
    receive(receiver, lambda m: pose_to_planar(m.pose.pose) == pose_to_planar(first.pose.pose))


def test_parameters_are_described_ranged_and_checked(start: Callable[..., Process], node: Node) -> None:
    start("track:=oval")
    client = AsyncParameterClient(node, "simulator_node")
    assert client.wait_for_services(PATIENCE_S)
    names = spin_until(node, client.list_parameters([], 10)).result.names
    ours = [name for name in names if not name.startswith(("use_sim_time", "start_type_description"))]
    assert {"track", "vehicle", "cars", "mode", "observation.width", "seed"} <= set(ours)
    described = {each.name: each for each in spin_until(node, client.describe_parameters(ours)).descriptors}
    assert all(each.description for each in described.values())
    assert (described["cars"].integer_range[0].from_value, described["cars"].integer_range[0].to_value) == (1, 64)
    assert described["real_time_factor"].floating_point_range[0].to_value == 100.0
    assert described["mode"].additional_constraints == "one of realtime, lockstep"
    assert described["track"].read_only and not described["real_time_factor"].read_only

    def set_to(name: str, value: Any) -> Any:
        return spin_until(node, client.set_parameters([Parameter(name, value=value)])).results[0]

    assert set_to("real_time_factor", 2.5).successful
    assert not set_to("real_time_factor", 0.0).successful
    assert not set_to("track", "bean").successful


def test_the_track_and_the_cars_are_there_for_rviz(start: Callable[..., Process], node: Node) -> None:
    start("track:=oval", "cars:=2")
    topics = [(MarkerArray, "track_markers"), (MarkerArray, "car_markers"), (CameraInfo, "car_1/camera/camera_info")]
    receiver = Receiver(node, topics, READER_QOS)
    found: dict[int, Any] = {}
    while len(found) < 3:
        found |= dict(receiver.wait(1.0))
    road, cars = found[0].markers, found[1].markers
    kinds = {marker.ns: marker.type for marker in road}
    assert kinds == {
        "surface": Marker.TRIANGLE_LIST,
        "left border": Marker.LINE_STRIP,
        "right border": Marker.LINE_STRIP,
        "center line": Marker.LINE_LIST,
    }
    track = load_track("oval")
    assert len(road[0].points) == 6 * len(track.center)
    assert {marker.header.frame_id for marker in [*road, *cars]} == {"map"} and len(cars) == 2
    focal = 80.0 / np.tan(0.565)
    assert np.allclose(found[2].k, [focal, 0, 79.5, 0, focal, 59.5, 0, 0, 1])


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("track:=ovall", "There is no track 'ovall' (did you mean 'oval'?)"),
        ("vehicle:=deepracr", "There is no vehicle 'deepracr' (did you mean 'deepracer'?)"),
        ("cars:=0", "cars is 0, but a value of at least 1 is expected"),
        ("carz:=2", "unknown key 'carz'; did you mean 'cars'?"),
        ("mode:=5", "mode is 5, but 'realtime' or 'lockstep' is expected"),
    ],
)
def test_bad_parameters_are_one_clear_line(parameter: str, message: str) -> None:
    process = Process(parameter)
    process.wait_for(message)
    assert process.process.wait(timeout=PATIENCE_S) == 2
    assert len(process.log) == 1
    process.end()


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_node_quietly(start: Callable[..., Process], mode: str, number: int) -> None:
    process = start(f"mode:={mode}", "track:=oval")
    assert process.end(number) == 0
    assert not any("Traceback" in line or "rror" in line for line in process.log)
