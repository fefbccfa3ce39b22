"""The car's nodes in processes of their own, with a fake /sys, a fake camera, real rclpy and DDS: what goes wrong."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import TwistStamped  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState, Joy  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from deepracer_inference.action_space import ContinuousActionSpace  # noqa: E402
from deepracer_inference.calibration import Calibration  # noqa: E402
from deepracer_inference.drive.fake_board import CHIP, make_board, read_pulses  # noqa: E402
from deepracer_inference.model_archive import write_model_archive  # noqa: E402
from deepracer_inference.model_store import ModelStore  # noqa: E402
from deepracer_inference.nodes.encoding import command_to_twist  # noqa: E402
from deepracer_inference.nodes.frames import CAMERA_FRAME, COMMAND_QOS, IMAGE_QOS  # noqa: E402
from deepracer_inference.nodes.messages import fill_image, to_time  # noqa: E402
from deepracer_inference.observation import ObservationSpec  # noqa: E402
from deepracer_inference.policy_file import MANIFEST, write_policy  # noqa: E402
from deepracer_inference.vehicle import load_vehicle  # noqa: E402

VEHICLE = load_vehicle("deepracer")
NOMINAL = Calibration.from_vehicle(VEHICLE)
PATIENCE_S = 60.0
"""Guards against hanging. The 100 ms in which the car has to be neutral are held by test_drive_safety.py, where time is
made up, and measured by benchmarks/car.py: this machine may be busy."""
PERIOD_S = 0.02
RETRY_S = 5.0
SPIN_S = 0.005
SECOND_NS = 1_000_000_000


class Process:
    """A node in a process of its own, and what it logs."""

    def __init__(self, program: str, **parameters: object) -> None:
        arguments = [each for name, value in parameters.items() for each in ("-p", f"{name}:={value}")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"deepracer_inference.nodes.{program}", "--ros-args", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.log = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, text: str, since: int = 0) -> None:
        while text not in self.log[since:]:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"the node ended without '{text}': {self.log}"
            self.log += line

    def mark(self) -> int:
        """Return the length of the log so far, for `since`."""
        while not self._lines.empty():
            self.log += self._lines.get() or ""
        return len(self.log)

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal if it is alive, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_S)
        while (line := self._lines.get(timeout=PATIENCE_S)) is not None:
            self.log += line
        self._lines.put(None)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(None)


class Rig:
    """drive_node and inference_node, with the test as camera, as commander, and as whoever breaks things."""

    def __init__(self, folder: Path, policy: Path) -> None:
        self.sysfs = folder / "sys"
        make_board(self.sysfs, VEHICLE.pwm)
        self.policy = str(policy)
        self.drive: Process | None = None
        self.inference: Process | None = None
        context = rclpy.Context()
        context.init()
        self.node = Node("test", context=context)
        self._images = self.node.create_publisher(Image, "camera/image_raw", IMAGE_QOS)
        self.commands = self.node.create_publisher(TwistStamped, "cmd_vel", COMMAND_QOS)
        self.joy = self.node.create_publisher(Joy, "joy", COMMAND_QOS)
        self.joints: list[JointState] = []
        self.node.create_subscription(JointState, "joint_states", self.joints.append, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self.image: Callable[[], Image | None] = lambda: None
        self.command: Callable[[], TwistStamped | None] = lambda: None
        self._over = threading.Event()
        self._streamer = threading.Thread(target=self._stream, daemon=True)
        self._streamer.start()

    def start(self) -> Rig:
        """Start what is not running, and leave nobody commanding."""
        self.silence()
        if self.drive and self.drive.mark() and "]: stopped" in self.drive.log.splitlines()[-1]:
            self.drive.end()  # What an earlier test has left is no business of the next one.
        if self.drive is None or self.drive.process.poll() is not None:
            self.drive = Process(
                "drive_node",
                sysfs=self.sysfs,
                autostart="true",
                enabled="true",
                stop_button=3,
                speed_limit=3.0,
                joystick_timeout=0.0,  # press() speaks once
            )
        if self.inference is None or self.inference.process.poll() is not None:
            self.inference = Process("inference_node", model=self.policy, autostart="true")
        self.drive.wait_for("waiting for the first command")
        self.inference.wait_for("model ")
        self.until(lambda: self.neutral)
        return self

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.drive and self.drive.log, self.inference and self.inference.log)
            self._executor.spin_once(timeout_sec=SPIN_S)

    def call(self, kind: type, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready)
        futures: list[Any] = []
        # A server that does not know the client yet, because the machine is busy, loses its answer.
        while not any(future.done() for future in futures):
            futures.append(client.call_async(request))
            for _ in range(round(RETRY_S / SPIN_S)):
                self._executor.spin_once(timeout_sec=SPIN_S)
                if any(future.done() for future in futures):
                    break
            assert len(futures) < PATIENCE_S / RETRY_S
        future = next(future for future in futures if future.done())
        self.node.destroy_client(client)
        return future.result()

    def trigger(self, name: str) -> Any:
        return self.call(Trigger, f"/drive_node/{name}", Trigger.Request())

    def set(self, node: str, name: str, value: object) -> str | None:
        """Set a parameter; return why that was refused."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        (result,) = self.call(SetParameters, f"/{node}/set_parameters", request).results
        return None if result.successful else str(result.reason)

    def change(self, node: str, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call(ChangeState, f"/{node}/change_state", request).success)

    @property
    def pulses(self) -> tuple[int, int] | None:
        return read_pulses(self.sysfs, VEHICLE.pwm)

    @property
    def neutral(self) -> bool:
        return self.pulses == NOMINAL.neutral

    def press(self, *buttons: int) -> Rig:
        """Send the joystick's buttons once; drive_node may not know the joystick yet."""
        self.joy.publish(Joy(buttons=buttons))
        return self

    def silence(self) -> None:
        self.image, self.command = lambda: None, lambda: None

    def drive_by_images(self) -> None:
        """Stream good images until the wheels turn; the policy drives by them."""
        self.image = image
        self.until(lambda: not self.neutral)

    def drive_by_commands(self) -> None:
        """Stream good commands until the wheels turn."""
        self.command = lambda: twist(0.2, 1.0)
        self.until(lambda: not self.neutral)

    def close(self) -> None:
        self._over.set()
        self._streamer.join()
        for process in (self.drive, self.inference):
            if process:
                process.end(signal.SIGKILL)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.node.context)

    def _stream(self) -> None:
        while not self._over.wait(PERIOD_S):
            if (message := self.image()) is not None:
                self._images.publish(message)
            if (command := self.command()) is not None:
                self.commands.publish(command)


def image(frame: Any = None, age_ns: int = 0, **fields: Any) -> Image:
    """An image of middling brightness, by which the policy drives straight on at 2 m/s."""
    message = Image()
    fill_image(message, np.full((120, 160), 128, np.uint8) if frame is None else frame)
    message.header.frame_id, message.header.stamp = CAMERA_FRAME, to_time(max(0, time.monotonic_ns() - age_ns))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def twist(steering_angle: float, speed: float, age_ns: int = 0, frame: str = CAMERA_FRAME) -> TwistStamped:
    message = TwistStamped()
    message.header.frame_id, message.header.stamp = frame, to_time(max(0, time.monotonic_ns() - age_ns))
    linear, angular = command_to_twist(steering_angle, speed, VEHICLE.geometry.wheelbase)
    message.twist.linear.x, message.twist.angular.z = linear, angular
    return message


def raw_twist(linear: float, angular: float) -> TwistStamped:
    message = twist(0.0, 0.0)
    message.twist.linear.x, message.twist.angular.z = linear, angular
    return message


@pytest.fixture(scope="module", autouse=True)
def environment(
    tmp_path_factory: pytest.TempPathFactory, ros_domain: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """A domain for this module alone, on this machine only, and no models or calibration of the user."""
    with ros_domain(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPRACER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def the_rig(tmp_path_factory: pytest.TempPathFactory, write_discrete: Callable[[Path], Path]) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("rig")
    rig = Rig(folder, write_discrete(folder / "policy"))
    yield rig
    rig.close()


@pytest.fixture
def rig(the_rig: Rig) -> Rig:
    return the_rig.start()


def test_images_become_pulses_and_joints(rig: Rig) -> None:
    rig.drive_by_images()
    # The policy's table: middling light means straight on at 2 m/s.
    rig.until(lambda: rig.pulses == NOMINAL.pulses(0.0, 2.0))
    rig.image = lambda: image(np.full((120, 160), 250, np.uint8))
    angle = math.radians(30.0)
    rig.until(lambda: abs(rig.pulses[0] - NOMINAL.pulses(angle, 1.0)[0]) <= 1 if rig.pulses else False)
    rig.joints.clear()
    rig.until(lambda: bool(rig.joints))
    joints = dict(zip(rig.joints[-1].name, rig.joints[-1].position, strict=True))
    assert abs(joints["steering_joint"]) == pytest.approx(angle, abs=1e-3)
    assert rig.joints[-1].velocity[-1] == pytest.approx(1.0 / VEHICLE.geometry.wheel_radius)


IMAGE_FAULTS: dict[str, tuple[Callable[[], Image | None], str]] = {
    "camera stops": (lambda: None, ""),
    "wrong size": (lambda: image(np.full((60, 80), 128, np.uint8)), "the image has 80 x 60 px"),
    "unknown encoding": (lambda: image(encoding="bayer_rggb8"), "the encoding is 'bayer_rggb8'"),
    "half an image": (lambda: image(height=240), "do not make 160 x 240 px"),
    "late images": (lambda: image(age_ns=SECOND_NS), "the image is not from the last 100 ms of the monotonic clock"),
    "clock jumps back": (lambda: image(age_ns=3600 * SECOND_NS), "the image is not from the last 100 ms"),
    "clock jumps ahead": (lambda: image(age_ns=-3600 * SECOND_NS), "the image is not from the last 100 ms"),
    "stamps of the wall clock": (
        lambda: image(age_ns=time.monotonic_ns() - time.time_ns()),
        "the image is not from the last 100 ms",
    ),
}


@pytest.mark.parametrize("fault", IMAGE_FAULTS)
def test_without_good_images_the_car_is_neutral_and_says_why(rig: Rig, fault: str) -> None:
    assert rig.drive and rig.inference
    rig.drive_by_images()
    drive_log, inference_log = rig.drive.mark(), rig.inference.mark()
    rig.image, line = IMAGE_FAULTS[fault]
    rig.until(lambda: rig.neutral)
    rig.drive.wait_for("commands stopped: none came for 85 ms", drive_log)
    rig.inference.wait_for(line, inference_log)
    assert not line or rig.inference.log.count(line, inference_log) == 1, "once, not for every image"
    rig.drive_by_images()


COMMAND_FAULTS: dict[str, tuple[Callable[[], TwistStamped | None], str]] = {
    "commands stop": (lambda: None, "commands stopped: none came for 85 ms"),
    "NaN speed": (lambda: raw_twist(math.nan, 0.0), "command rejected: it is not finite"),
    "NaN yaw rate": (lambda: raw_twist(1.0, math.nan), "command rejected: it is not finite"),
    "infinite speed": (lambda: raw_twist(math.inf, 0.0), "command rejected: it is not finite"),
    "too fast": (lambda: twist(0.0, 4.5), "command rejected: a speed beyond 4.00 m/s (4.50 m/s)"),
    "steering too far": (lambda: twist(0.6, 1.0), "command rejected: a steering angle beyond 0.524 rad (0.600 rad)"),
    "late commands": (lambda: twist(0.2, 1.0, SECOND_NS), "command rejected: its image is older than 100 ms"),
    "commands from the future": (lambda: twist(0.2, 1.0, -SECOND_NS), "command rejected: its image is from the future"),
}


@pytest.mark.parametrize("fault", COMMAND_FAULTS)
def test_wrong_commands_mean_neutral_and_one_line(rig: Rig, fault: str) -> None:
    assert rig.drive
    rig.drive_by_commands()
    log = rig.drive.mark()
    rig.command, line = COMMAND_FAULTS[fault]
    rig.until(lambda: rig.neutral)
    rig.drive.wait_for(line, log)
    assert rig.drive.log.count(line, log) == 1
    rig.drive_by_commands()


def test_a_policy_that_returns_nan_commands_nothing(
    rig: Rig,
    tmp_path: Path,
    build_continuous: Callable[..., bytes],
    continuous: ContinuousActionSpace,
    observation: ObservationSpec,
) -> None:
    assert rig.inference
    folder = tmp_path / "nan"
    write_policy(
        folder,
        build_continuous(),
        observation=observation,
        action_space=continuous,
        neural_network="compact",
        vehicle="deepracer",
        control_period_s=1.0 / 15.0,
        provenance={},
    )
    rig.drive_by_images()
    assert rig.set("inference_node", "model", str(folder)) is None
    # A first pixel of 128 means 2.128 m/s; one of 255 divides 0 by 0.
    wanted = NOMINAL.pulses(0.128, 2.128)
    rig.until(lambda: rig.pulses is not None and abs(rig.pulses[1] - wanted[1]) <= 1)
    log = rig.inference.mark()
    rig.image = lambda: image(np.full((120, 160), 255, np.uint8))
    rig.until(lambda: rig.neutral)
    rig.inference.wait_for("that is not a finite number; its weights are broken", log)
    rig.silence()
    assert rig.set("inference_node", "model", rig.policy) is None


def test_another_model_that_does_not_fit_is_refused_while_the_old_one_drives(
    rig: Rig, tmp_path: Path, policy_folder: Path
) -> None:
    rig.drive_by_images()
    reason = rig.set("inference_node", "model", str(broken_places(tmp_path, policy_folder)["other_rate"]))
    assert reason and "does not fit this AWS DeepRacer" in reason
    rig.silence()
    rig.until(lambda: rig.neutral)
    rig.drive_by_images()


def test_the_selected_model_is_followed(tmp_path: Path, policy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    store = ModelStore()
    for name, change in (("first", {}), ("second", {}), ("slow", {"control_period_s": 0.2})):
        copy = tmp_path / name
        shutil.copytree(policy_folder, copy)
        manifest = json.loads((copy / MANIFEST).read_text())
        (copy / MANIFEST).write_text(json.dumps({**manifest, "provenance": {"name": name}, **change}))
        write_model_archive(tmp_path / f"{name}.tar.gz", name, copy, VEHICLE)
        store.install(tmp_path / f"{name}.tar.gz")
    store.select("first")
    node = Process("inference_node", autostart="true")
    node.wait_for("model first@")
    store.select("second")
    node.wait_for("model second@")
    store.select("slow")
    node.wait_for("still driving with second@")
    store.select("first")
    log = node.mark()
    node.wait_for("model first@", log)
    assert node.log.count("still driving with") == 1
    log = node.mark()
    selection = tmp_path / "home" / "car" / "selection.yaml"
    selection.write_text("current: [")
    node.wait_for("still driving with first@", log)
    selection.unlink()
    store.select("second")
    node.wait_for("model second@", log)
    assert node.end() == 0


def test_joint_commands_of_ros2_control_drive_the_car(rig: Rig, tmp_path: Path) -> None:
    make_board(tmp_path / "sys", VEHICLE.pwm)
    node = Process(
        "drive_node",
        input="joint_commands",
        sysfs=tmp_path / "sys",
        autostart="true",
        enabled="true",
        vehicle="deepracer",
    )
    node.wait_for("waiting for the first command")
    publisher = rig.node.create_publisher(JointState, "joint_commands", COMMAND_QOS)
    reference: list[TwistStamped] = [twist(0.2, 1.0, frame="base_link")]
    # Hinges whose cotangents lie symmetrically about that of 0.2 rad, and wheels that roll at 1 m/s on the mean.
    cotangent, apart = 1.0 / math.tan(0.2), 0.5 * VEHICLE.geometry.track_front / VEHICLE.geometry.wheelbase
    rate = 1.0 / VEHICLE.geometry.wheel_radius
    message = JointState(
        name=[
            *("right_rear_wheel_joint", "left_rear_wheel_joint"),
            *("right_steering_hinge_joint", "left_steering_hinge_joint"),
        ],
        position=[math.nan, math.nan, math.atan(1.0 / (cotangent + apart)), math.atan(1.0 / (cotangent - apart))],
        velocity=[1.1 * rate, 0.9 * rate, math.nan, math.nan],
    )
    wanted = NOMINAL.pulses(0.2, 1.0)

    def send() -> tuple[int, int] | None:
        # Joint commands come all the time, whether or not anybody commands the controllers.
        for command in reference:
            rig.commands.publish(command)
        publisher.publish(message)
        return read_pulses(tmp_path / "sys", VEHICLE.pwm)

    def driven() -> bool:
        pulses = send()
        return pulses is not None and max(abs(a - b) for a, b in zip(pulses, wanted, strict=True)) <= 1

    rig.until(driven)
    for silence in ([], [raw_twist(math.nan, 0.0)]):
        log, reference[:] = node.mark(), silence
        rig.until(lambda: send() == NOMINAL.neutral)
        node.wait_for("commands stopped: none came for 85 ms", log)
        reference[:] = [twist(0.2, 1.0, frame="base_link")]
        rig.until(driven)
    whole = message.position
    for wrong in (math.nan, math.inf):
        log = node.mark()
        message.position = [wrong] * 4
        rig.until(lambda: send() == NOMINAL.neutral)
        node.wait_for("command rejected: it is not finite", log)
        message.position = whole
        rig.until(driven)
    assert node.end() == 0
    rig.node.destroy_publisher(publisher)


def test_a_flood_of_commands_is_survived(rig: Rig) -> None:
    rig.drive_by_commands()
    rig.silence()
    for step in range(3000):
        rig.commands.publish(twist(0.0001 * (step % 1000), 0.5))
    last = twist(-0.3, 1.5)
    wanted = NOMINAL.pulses(-0.3, 1.5)
    seen = False
    deadline = time.monotonic() + PATIENCE_S
    while not seen and time.monotonic() < deadline:
        last.header.stamp = to_time(time.monotonic_ns())
        rig.commands.publish(last)
        seen = rig.pulses is not None and max(abs(a - b) for a, b in zip(rig.pulses, wanted, strict=True)) <= 1
        time.sleep(0.005)
    assert seen, "the newest command counts"
    rig.until(lambda: rig.neutral)


def test_a_persons_commands_are_clipped_at_full_lock(rig: Rig) -> None:
    rig.command = lambda: twist(1.0, 0.5, frame="manual")
    wanted = NOMINAL.pulses(VEHICLE.steering.limit, 0.5)
    rig.until(lambda: rig.pulses is not None and abs(rig.pulses[0] - wanted[0]) <= 1)
    rig.command = lambda: twist(0.0, 3.9, frame="manual")
    governed = NOMINAL.pulses(0.0, 3.0)[1]
    rig.until(lambda: rig.pulses is not None and abs(rig.pulses[1] - governed) <= 1)


def test_inference_killed_with_9(rig: Rig) -> None:
    assert rig.inference
    rig.drive_by_images()
    rig.inference.end(signal.SIGKILL)
    rig.until(lambda: rig.neutral)


def test_drive_killed_with_9(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    rig.drive.process.kill()
    rig.until(lambda: rig.neutral)
    assert rig.drive.end() == -signal.SIGKILL
    assert rig.drive.log.count("[guard] the driver has died: neutral") == 1


def test_drive_hangs(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    log = rig.drive.mark()
    rig.drive.process.send_signal(signal.SIGSTOP)
    rig.until(lambda: rig.neutral)
    rig.drive.wait_for("[guard] no sign of life for 80 ms: neutral", log)
    rig.drive.process.send_signal(signal.SIGCONT)
    rig.until(lambda: not rig.neutral)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drive_ends(rig: Rig, number: int) -> None:
    assert rig.drive
    rig.drive_by_images()
    assert rig.drive.end(number) == 0
    assert rig.neutral
    assert "[guard]" not in rig.drive.log.split("driving")[-1], "this end was meant"


def test_the_guard_is_killed(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    log = rig.drive.mark()
    old = guard_of(rig.drive.process.pid)
    os.kill(old, signal.SIGKILL)
    rig.until(lambda: rig.neutral)
    rig.drive.wait_for("stopped: The guard of the servo board has died", log)
    assert rig.trigger("enable").success
    rig.until(lambda: not rig.neutral)
    assert guard_of(rig.drive.process.pid) not in (0, old)


def test_the_board_is_unplugged_and_comes_back(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    log = rig.drive.mark()
    # Every write to a file fails from now on, as every write to a chip that no longer answers on its bus.
    pid = rig.drive.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    rig.drive.wait_for("stopped: The servo board does not answer", log)
    for _ in range(2):
        answer = rig.trigger("enable")
        assert not answer.success and "does not answer" in answer.message
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    rig.until(lambda: rig.neutral)
    assert rig.trigger("enable").success
    rig.until(lambda: not rig.neutral)


def test_deactivated_is_neutral_until_activated(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    assert rig.change("drive_node", Transition.TRANSITION_DEACTIVATE)
    assert rig.neutral
    assert rig.change("drive_node", Transition.TRANSITION_CLEANUP)
    assert rig.change("drive_node", Transition.TRANSITION_CONFIGURE)
    assert rig.neutral
    assert rig.change("drive_node", Transition.TRANSITION_ACTIVATE)
    rig.until(lambda: not rig.neutral)


def test_inference_deactivated_is_neutral(rig: Rig) -> None:
    rig.drive_by_images()
    assert rig.change("inference_node", Transition.TRANSITION_DEACTIVATE)
    rig.until(lambda: rig.neutral)
    assert rig.change("inference_node", Transition.TRANSITION_ACTIVATE)
    rig.until(lambda: not rig.neutral)


def test_stop_beats_images_and_stick_until_enabled(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    log = rig.drive.mark()
    assert rig.trigger("emergency_stop").success
    assert rig.neutral
    rig.drive.wait_for("stopped: emergency stop", log)
    rig.command = lambda: twist(0.1, 1.0, frame="manual")
    rig.joints.clear()
    rig.until(lambda: len(rig.joints) > 10)
    assert rig.neutral
    assert rig.trigger("enable").success
    rig.until(lambda: not rig.neutral)


def test_the_stop_button_stops(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    log = rig.drive.mark()
    rig.press(1, 1, 1, 0)
    assert "stopped" not in rig.drive.log[log : rig.drive.mark()]
    rig.until(lambda: rig.press(0, 0, 0, 1).neutral)
    rig.drive.wait_for("stopped: the stop button was pressed", log)
    rig.trigger("enable")


def test_a_joystick_that_goes_silent_stops_the_car_until_it_is_enabled(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    assert rig.set("drive_node", "joystick_timeout", 0.2) is None
    log = rig.drive.mark()
    spoken = -math.inf

    def has_noticed() -> bool:
        nonlocal spoken
        if time.monotonic() - spoken > 0.5:  # once is not enough if drive_node does not know the joystick yet
            rig.press(0, 0, 0, 0)
            spoken = time.monotonic()
        assert rig.drive
        return "silent for 0.2 s" in rig.drive.log[log : rig.drive.mark()]

    rig.until(has_noticed)
    rig.until(lambda: rig.neutral)
    assert rig.trigger("enable").success
    rig.until(lambda: not rig.neutral)
    assert rig.set("drive_node", "joystick_timeout", 0.0) is None


def test_a_stop_outlives_a_new_configuration(rig: Rig) -> None:
    assert rig.drive
    rig.drive_by_images()
    log = rig.drive.mark()
    rig.until(lambda: rig.press(0, 0, 0, 1).neutral)
    rig.drive.wait_for("stopped: the stop button was pressed", log)
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert rig.change("drive_node", transition)
    chip = rig.sysfs / "class" / "pwm" / CHIP
    chip.rename(chip.with_name("gone"))
    log = rig.drive.mark()
    assert not rig.change("drive_node", Transition.TRANSITION_CONFIGURE)
    rig.drive.wait_for("There is no PWM chip", log)
    chip.with_name("gone").rename(chip)
    assert rig.change("drive_node", Transition.TRANSITION_CONFIGURE)
    log = rig.drive.mark()
    assert rig.change("drive_node", Transition.TRANSITION_ACTIVATE)
    rig.drive.wait_for("stopped: not enabled yet", log)
    assert rig.neutral
    assert rig.trigger("enable").success
    rig.until(lambda: not rig.neutral)


def test_ctrl_c_while_the_board_is_waited_for_is_no_error(tmp_path: Path) -> None:
    node = Process("drive_node", sysfs=tmp_path, board_timeout=60.0, autostart="true")
    node.wait_for("this car is not calibrated")
    assert node.end() == 0, node.log
    assert "FATAL" not in node.log


def test_commands_for_ros2_control_carry_ros_time(
    rig: Rig, policy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rig.inference
    rig.inference.end()
    monkeypatch.setenv("HOME", str(policy_folder.parent))
    node = Process("inference_node", model=f"~/{policy_folder.name}", stamp="now", autostart="true")
    commands: list[TwistStamped] = []
    subscription = rig.node.create_subscription(TwistStamped, "cmd_vel", commands.append, COMMAND_QOS)
    rig.image = image
    rig.until(lambda: bool(commands))
    header = commands[-1].header
    assert 0.0 <= time.time() - header.stamp.sec - header.stamp.nanosec * 1e-9 < PATIENCE_S
    assert header.frame_id != CAMERA_FRAME, "drive_node would look for its image"
    assert node.end() == 0
    rig.node.destroy_subscription(subscription)


def test_the_governor_is_a_parameter_that_rqt_can_move(rig: Rig) -> None:
    rig.command = lambda: twist(0.0, 2.5)
    rig.until(lambda: rig.pulses == NOMINAL.pulses(0.0, 2.5))
    assert rig.set("drive_node", "speed_limit", 0.5) is None
    rig.until(lambda: rig.pulses == NOMINAL.pulses(0.0, 0.5))
    assert "11.0" in str(rig.set("drive_node", "speed_limit", 11.0))
    assert "5.0" in str(rig.set("drive_node", "command_timeout", 5.0))
    assert rig.set("drive_node", "speed_limit", 3.0) is None


def test_diagnostics_tell_the_stages(rig: Rig) -> None:
    statuses: dict[str, Any] = {}
    subscription = rig.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda array: statuses.update({s.name: s for s in array.status}), 10
    )
    rig.drive_by_images()
    wanted = {"inference_node: deepracer": "driving", "drive_node: deepracer": "driving"}
    stages = ("image age", "observation", "network", "image to command", "command to PWM", "image to PWM")
    values: dict[str, str] = {}

    def told() -> bool:
        # A node is active, and says that it drives, a moment before it has measured anything.
        values.update({each.key: each.value for status in statuses.values() for each in status.values})
        drives = all(name in statuses and statuses[name].message == text for name, text in wanted.items())
        return drives and all(f"{stage} p50" in values for stage in stages)

    rig.until(told)
    for stage in stages:
        assert float(values[f"{stage} p50"].split()[0]) <= float(values[f"{stage} p99"].split()[0])
    rig.node.destroy_subscription(subscription)


REFUSALS: dict[str, tuple[str, dict[str, object], str]] = {
    "no PWM chip": ("drive_node", {"sysfs": "{empty}"}, "There is no PWM chip in"),
    "wrong bus": ("drive_node", {"sysfs": "{wrong_bus}"}, "No PWM chips in .* on bus i2c-0"),
    "board without power": ("drive_node", {"sysfs": "{dead}"}, "The servo board does not answer at"),
    "unknown vehicle": ("drive_node", {"vehicle": "deepraser"}, "There is no vehicle 'deepraser'"),
    "limit out of range": ("drive_node", {"speed_limit": 99.0}, "speed_limit is 99.0"),
    "no model": ("inference_node", {}, "No model is selected on this car"),
    "no such policy": ("inference_node", {"model": "{empty}/nothing"}, "There is no policy folder"),
    "changed weights": ("inference_node", {"model": "{damaged}"}, "has been changed or damaged"),
    "other rate": ("inference_node", {"model": "{other_rate}"}, "does not fit this AWS DeepRacer"),
    "no camera": ("camera_node", {"source": "/dev/video77"}, "There is no camera /dev/video77"),
    "empty folder": ("camera_node", {"source": "{empty}"}, "holds no images"),
    "no GStreamer": ("camera_node", {"source": "videotestsrc ! appsink"}, "This OpenCV has no GStreamer"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_what_cannot_work_refuses_to_start(tmp_path: Path, policy_folder: Path, fault: str) -> None:
    program, parameters, message = REFUSALS[fault]
    if fault == "no GStreamer" and "GStreamer:                   YES" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has GStreamer")
    places = broken_places(tmp_path, policy_folder)
    given = {name: str(value).format(**places) for name, value in parameters.items()}
    node = Process(program, **({} if program == "camera_node" else {"autostart": "true"}), **given)
    code = node.process.wait(timeout=PATIENCE_S)
    node.end()
    lines = [line for line in node.log.splitlines() if "[FATAL]" in line]
    assert code == (1 if fault == "board without power" else 2), node.log
    assert len(lines) == 1 and "Traceback" not in node.log, node.log
    assert re.search(message, lines[0]), node.log


def broken_places(tmp_path: Path, policy_folder: Path) -> dict[str, Path]:
    empty, wrong_bus, dead = (tmp_path / name for name in ("empty", "wrong_bus", "dead"))
    empty.mkdir()
    make_board(wrong_bus, VEHICLE.pwm.model_copy(update={"bus": "i2c-7"}))
    make_board(dead, VEHICLE.pwm)
    duty_cycle = dead / "class" / "pwm" / CHIP / "pwm0" / "duty_cycle"
    duty_cycle.unlink()
    duty_cycle.symlink_to("/dev/full")  # Every write fails.
    damaged, other_rate = tmp_path / "damaged", tmp_path / "other_rate"
    for copy in (damaged, other_rate):
        copy.mkdir()
        for file in policy_folder.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
    weights = bytearray((damaged / "policy.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (damaged / "policy.onnx").write_bytes(weights)
    manifest = json.loads((other_rate / MANIFEST).read_text())
    manifest["control_period_s"] = 0.2
    (other_rate / MANIFEST).write_text(json.dumps(manifest))
    return {
        "empty": empty,
        "wrong_bus": wrong_bus,
        "dead": dead,
        "damaged": damaged,
        "other_rate": other_rate,
    }


def guard_of(pid: int) -> int:
    """Return the process that guards a driver, 0 if there is none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid and "guard_process" in (stat.parent / "cmdline").read_text():
                return int(stat.parent.name)
    return 0


def test_camera_node_publishes_a_folder_of_images(rig: Rig, tmp_path: Path) -> None:
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[:, :320] = (0, 0, 255)  # The left half is red, in OpenCV's order.
    cv2.imwrite(str(tmp_path / "0.png"), frame)
    images: list[Image] = []
    infos: list[CameraInfo] = []
    subscriptions = [
        rig.node.create_subscription(Image, "camera/image_raw", images.append, IMAGE_QOS),
        rig.node.create_subscription(CameraInfo, "camera/camera_info", infos.append, IMAGE_QOS),
    ]
    camera = Process("camera_node", source=tmp_path, lens="none")
    rig.until(lambda: len(images) > 2 and len(infos) > 2)
    newest = images[-1]
    assert (newest.width, newest.height, newest.encoding) == (160, 120, "rgb8")
    assert newest.header.frame_id == CAMERA_FRAME
    assert bytes(newest.data[:3]) == b"\xff\x00\x00" and bytes(newest.data[477:480]) == b"\x00\x00\x00"
    age = time.monotonic_ns() - (newest.header.stamp.sec * SECOND_NS + newest.header.stamp.nanosec)
    assert 0 < age < PATIENCE_S * SECOND_NS, "the stamp is the monotonic clock's"
    assert infos[-1].k[0] == pytest.approx(80.0 / math.tan(0.5 * VEHICLE.camera.horizontal_fov))
    assert camera.end() == 0
    for subscription in subscriptions:
        rig.node.destroy_subscription(subscription)


def test_a_picture_of_other_proportions_is_told_once(rig: Rig, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.tile(np.arange(160, dtype=np.uint8), (90, 1)))
    camera = Process("camera_node", source=tmp_path, lens="none")
    camera.wait_for("no image: The camera's image has 160 x 90 px")
    assert camera.end() == 0
    assert camera.log.count("no image") == 1 and "images again" not in camera.log


def test_a_camera_that_is_silent_is_told(rig: Rig) -> None:
    camera = Process("camera_node", source="topic:/nobody", lens="none")
    camera.wait_for("no image: none has come for 2 s")
    assert camera.end() == 0


def test_blank_frames_are_not_published(rig: Rig, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.full((480, 640, 3), 7, np.uint8))
    camera = Process("camera_node", source=tmp_path, lens="none")
    camera.wait_for("no image: the image is blank")
    assert rig.neutral
    assert camera.end() == 0
    assert camera.log.count("the image is blank") == 1
