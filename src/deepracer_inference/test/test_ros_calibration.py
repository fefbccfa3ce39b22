"""calibration_node with real rclpy and a folder that looks like /sys."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from deepracer_inference.calibrate.bench import BoardBench  # noqa: E402
from deepracer_inference.calibrate.points import MEASURED  # noqa: E402
from deepracer_inference.calibration import calibration_path, load_calibration  # noqa: E402
from deepracer_inference.drive.fake_board import make_board, read_pulses  # noqa: E402
from deepracer_inference.errors import UserError  # noqa: E402
from deepracer_inference.nodes.calibration import CalibrationNode  # noqa: E402
from deepracer_inference.vehicle import load_vehicle  # noqa: E402

VEHICLE = load_vehicle("deepracer")
PATIENCE_S = 60.0

READINGS = {
    "right_deg": -27.5,
    "half_right_deg": -14.0,
    "half_left_deg": 13.5,
    "left_deg": 26.0,
    "forward_1_speed": 0.7,
    "forward_2_speed": 1.7,
    "forward_3_speed": 3.0,
    "reverse_1_speed": 1.2,
}


@pytest.fixture
def domain(ros_domain: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with ros_domain():
        yield


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain: None) -> Iterator[Path]:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    make_board(tmp_path / "sys", VEHICLE.pwm)
    rclpy.init(args=["--ros-args", "-p", f"sysfs:={tmp_path / 'sys'}"])
    yield tmp_path / "sys"
    rclpy.try_shutdown()


@pytest.fixture
def client(sysfs: Path) -> Iterator[Callable[..., Any]]:
    """A running node; call with a service's name, or with parameters to set."""
    node, stop = CalibrationNode("calibration_node"), threading.Event()
    thread = threading.Thread(target=node.run, args=(stop,))
    thread.start()
    other = Node("client", cli_args=["--ros-args"], use_global_arguments=False)
    executor = SingleThreadedExecutor()
    executor.add_node(other)
    parameters = AsyncParameterClient(other, "calibration_node")
    assert parameters.wait_for_services(PATIENCE_S)
    services = {name: other.create_client(Trigger, f"calibration_node/{name}") for name in ("test", "save", "undo")}
    assert all(service.wait_for_service(PATIENCE_S) for service in services.values())

    def call(service: str = "", **values: Any) -> Any:
        future = (
            services[service].call_async(Trigger.Request())
            if service
            else parameters.set_parameters([Parameter(name, value=value) for name, value in values.items()])
        )
        executor.spin_until_future_complete(future, PATIENCE_S)
        return future.result()

    yield call
    stop.set()
    thread.join()
    node.close()
    executor.shutdown()
    other.destroy_node()


def test_sliders_move_the_wheels_and_only_a_test_runs_the_motor(client: Callable[..., Any], sysfs: Path) -> None:
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_450_000, 1_446_000)
    assert client(centre_us=1460).results[0].successful
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_460_000, 1_446_000)
    assert client(hold="half_left", left_us=1680).results[0].successful
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_570_000, 1_446_000)
    assert client(run="forward_3", run_s=0.5).results[0].successful
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_570_000, 1_446_000), "choosing a throttle does not run it"
    seen: set[Any] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.add(read_pulses(sysfs, VEHICLE.pwm))

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(10):
        answer = client("test")
        if "this computer stood still" not in answer.message:
            break  # A busy machine makes the guard stop the motor, and the node refuse the run.
    over.set()
    thread.join()
    assert answer.success, answer.message
    # 80 % of the way from 1446 to 1311 us.
    assert (1_570_000, 1_338_000) in seen
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_570_000, 1_446_000)


def test_no_slider_but_a_test_runs_the_motor(client: Callable[..., Any], sysfs: Path) -> None:
    assert client(neutral_us=1300).results[0].successful
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_450_000, 1_446_000), "outside of the dead band, which is a point yet"
    assert client(forward_from_us=1420, reverse_from_us=1470).results[0].successful
    assert client(neutral_us=1440).results[0].successful
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_450_000, 1_440_000)


def test_a_board_that_is_unplugged_refuses_the_slider(
    client: Callable[..., Any], sysfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> int:
        raise OSError(121, "Remote I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", gone)
        result = client(hold="left").results[0]
    assert not result.successful and "does not answer" in result.reason
    assert client(hold="right").results[0].successful, "the node is still there"
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_200_000, 1_446_000)


def test_the_end_of_the_node_ends_a_run(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Long(BoardBench):
        def run(self, steering_ns: int, throttle_ns: int, seconds: float) -> None:
            super().run(steering_ns, throttle_ns, 100.0 * PATIENCE_S)

    monkeypatch.setattr("deepracer_inference.nodes.calibration.BoardBench", Long)
    monkeypatch.setattr("deepracer_inference.calibrate.bench.LONGEST_RUN_S", 100.0 * PATIENCE_S)
    node, stop = CalibrationNode("calibration_node"), threading.Event()
    thread = threading.Thread(target=node.run, args=(stop,), daemon=True)
    thread.start()
    other = Node("client", cli_args=["--ros-args"], use_global_arguments=False)
    test = other.create_client(Trigger, "calibration_node/test")
    assert test.wait_for_service(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while read_pulses(sysfs, VEHICLE.pwm) == (1_450_000, 1_446_000):
        assert time.monotonic() < deadline
        test.call_async(Trigger.Request())
        stop.wait(0.1)
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert read_pulses(sysfs, VEHICLE.pwm) == (1_450_000, 1_446_000)
    node.close()
    other.destroy_node()


def test_saving_wants_every_reading_and_undo_brings_the_one_before_back(client: Callable[..., Any]) -> None:
    assert set(READINGS) == set(MEASURED)
    refused = client("save")
    assert not refused.success
    assert "still to measure: right_deg" in refused.message
    assert not calibration_path().exists()
    client(**READINGS)
    assert client("save").success
    first = load_calibration(VEHICLE)
    assert first.is_measured
    assert first.steering_range == pytest.approx((-0.47997, 0.45379), abs=1e-4)
    assert not client("undo").success, "there is none before"
    client(left_deg=20.0)
    assert client("save").success
    assert client("undo").success
    assert load_calibration(VEHICLE) == first


def test_contradictions_are_refused_with_their_reason(client: Callable[..., Any]) -> None:
    client(**{**READINGS, "left_deg": 5.0})
    answer = client("save")
    assert not answer.success
    assert "must all grow or all shrink" in answer.message
    wrong = client(left_us=9000).results[0]
    assert not wrong.successful
    assert not client(hold="middle").results[0].successful


def test_a_missing_board_is_named(sysfs: Path, tmp_path: Path) -> None:
    (tmp_path / "sys" / "class" / "pwm" / "pwmchip0").unlink()
    with pytest.raises(UserError, match="There is no PWM chip"):
        CalibrationNode("calibration_node")
