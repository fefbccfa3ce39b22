"""A model trained in the embedded simulator laps through the car's own nodes, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

from deepracer_inference.nodes.messages import pose_to_planar  # noqa: E402
from deepracer_sim.tracks.library import load_track  # noqa: E402
from deepracer_training.models.config import preset_config  # noqa: E402
from deepracer_training.models.folder import ModelFolder  # noqa: E402
from deepracer_training.rewards.library import DEFAULT_EXAMPLE, example_source  # noqa: E402
from deepracer_training.training import train  # noqa: E402

TRACK = "oval"
STEPS = 24_000
PATIENCE_S = 180.0


@pytest.fixture(autouse=True)
def environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ros_domain: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """A domain for this test alone, on this machine only, and models of its own."""
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    with ros_domain():
        yield


@pytest.fixture
def policy() -> Path:
    """The policy of a short training."""
    folder = ModelFolder.create("m", preset_config("fast", name="m", track=TRACK), example_source(DEFAULT_EXAMPLE))
    train(folder, steps=STEPS)
    return folder.policy


@pytest.fixture
def nodes(policy: Path, tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All five nodes; what they log goes to files beside the board."""
    board = tmp_path / "board"
    parameters: dict[str, dict[str, object]] = {
        "deepracer_sim.nodes.simulator_node": {"track": TRACK, "mode": "lockstep"},
        "deepracer_sim.nodes.board_node": {"sysfs": board},
        "deepracer_inference.nodes.camera_node": {"source": "topic:/car_0/camera/image_raw", "encoding": "mono8"},
        "deepracer_inference.nodes.inference_node": {"model": policy, "autostart": "true"},
        "deepracer_inference.nodes.drive_node": {
            **{"sysfs": board, "board_timeout": 60.0, "autostart": "true", "enabled": "true"},
            # A busy machine is no reason to stop here; the usual limits are tested elsewhere.
            **{"command_timeout": 0.3, "image_timeout": 0.3},
        },
    }
    processes = {}
    for module, values in parameters.items():
        arguments = [each for name, value in values.items() for each in ("-p", f"{name}:={value}")]
        name = module.rpartition(".")[2]
        with open(tmp_path / f"{name}.log", "w") as log:
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
    yield processes
    for process in processes.values():
        process.kill()
        process.wait()


def test_a_trained_model_laps(nodes: dict[str, subprocess.Popen[str]], tmp_path: Path) -> None:
    track = load_track(TRACK)
    driven, last, on_road = 0.0, None, True

    def follow(odometry: Odometry) -> None:
        nonlocal driven, last, on_road
        x, y, _ = pose_to_planar(odometry.pose.pose)
        arc = float(track.project(np.array([[x, y]])).arc_length[0])
        if last is not None:
            driven += (arc - last + 0.5 * track.length) % track.length - 0.5 * track.length
        last, on_road = arc, on_road and bool(track.on_road(np.array([[x, y]]))[0])

    context = rclpy.Context()
    context.init()
    node = Node("follower", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.create_subscription(Odometry, "car_0/odom", follow, 10)
    deadline = time.monotonic() + PATIENCE_S
    while driven < track.length:
        logs = {path.stem: path.read_text() for path in tmp_path.glob("*.log")} if time.monotonic() > deadline else {}
        assert not logs, (driven, logs)
        executor.spin_once(timeout_sec=0.1)
        assert all(process.poll() is None for process in nodes.values())
    assert on_road
    node.destroy_node()
    context.shutdown()
