"""trainer_node and evaluation_node in processes of their own, with real rclpy and DDS."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from nav_msgs.msg import Path as PathMessage  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Float64  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from visualization_msgs.msg import MarkerArray  # noqa: E402

from deepracer_inference.policy_file import load_policy  # noqa: E402
from deepracer_training.checkpoint import CheckpointFolder  # noqa: E402
from deepracer_training.evaluation import EvaluationResult, evaluate  # noqa: E402
from deepracer_training.models.config import ModelConfig, preset_config  # noqa: E402
from deepracer_training.models.folder import ModelFolder  # noqa: E402
from deepracer_training.training import train  # noqa: E402

REWARD = """
def reward_function(params):
    return params["speed"] if params["all_wheels_on_track"] else 0.0
"""
UPDATE = 8 * 16
"""Steps of one update of the models here."""
PATIENCE_S = 300.0
"""Guards against hanging; the first start on a machine compiles the kernels."""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Process:
    """A node in a process of its own, and what it logs."""

    def __init__(self, program: str, **parameters: object) -> None:
        arguments = [each for name, value in parameters.items() for each in ("-p", f"{name}:={value}")]
        package = "deepracer_sim" if program == "simulator_node" else "deepracer_training"
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{package}.nodes.{program}", "--ros-args", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.log = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        while text not in self.log:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"the node ended without '{text}': {self.log}"
            self.log += line

    def end(self, number: int | None = signal.SIGINT) -> int:
        """Send a signal unless it is None, and return the exit code."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_S)
        self._reader.join()
        while (line := self._lines.get()) is not None:
            self.log += line
        self._lines.put(None)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(None)


@pytest.fixture(autouse=True)
def environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ros_domain: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """A domain for each test alone, on this machine only, and models of its own."""
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    with ros_domain():
        yield


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start nodes; they end with the test."""
    processes: list[Process] = []

    def launch(program: str, **parameters: object) -> Process:
        processes.append(Process(program, **parameters))
        return processes[-1]

    yield launch
    for process in processes:
        process.end(signal.SIGKILL)


class Listener:
    """Another node in the same domain, which hears and asks."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.heard: dict[str, list[Any]] = {}
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)

    def listen(self, kind: type, topic: str) -> None:
        messages = self.heard.setdefault(topic, [])
        self.node.create_subscription(kind, topic, messages.append, LATCHED if kind is not DiagnosticArray else 10)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, {topic: len(messages) for topic, messages in self.heard.items()}
            self._executor.spin_once(timeout_sec=0.1)

    def result(self, future: Any) -> Any:
        self.until(future.done)
        return future.result()

    def call(self, service: str) -> str:
        client = self.node.create_client(Trigger, service)
        self.until(client.service_is_ready)
        response = self.result(client.call_async(Trigger.Request()))
        assert response.success
        return str(response.message)

    def value(self, topic: str) -> float:
        self.until(lambda: bool(self.heard[topic]))
        return float(self.heard[topic][-1].data)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A bystander."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = Node("bystander", context=context)
    yield Listener(node)
    node.destroy_node()
    context.try_shutdown()


def create(name: str = "m", **training: object) -> ModelFolder:
    """Make a model with small updates."""
    config = preset_config("fast", name=name, track="riverside").model_dump()
    config["hyperparameters"]["batch_size"] = 64
    config["training"].update({"cars": 8, "horizon_steps": 16, **training})
    return ModelFolder.create(name, ModelConfig.model_validate(config), REWARD)


def last_update(folder: ModelFolder) -> int:
    return int(CheckpointFolder(folder.checkpoints).load("last").state.counters.update)


def rows(folder: ModelFolder) -> list[dict[str, object]]:
    """Metrics without those that the wall clock decides."""
    lines = map(json.loads, folder.metrics_jsonl.read_text().splitlines())
    return [{key: value for key, value in row.items() if key not in ("wall_s", "steps_per_s")} for row in lines]


def test_the_node_trains_as_the_command_line_does_and_publishes_what_it_reaches(
    start: Callable[..., Process], listener: Listener
) -> None:
    folder, twin = create(), create("twin")
    for topic in ("progress", "episode_reward", "policy_loss", "value_loss", "steps_per_s", "budget_used", "steps"):
        listener.listen(Float64, f"/trainer_node/{topic}")
    for kind, topic in ((Image, "camera/image_raw"), (Odometry, "odom"), (PathMessage, "path")):
        listener.listen(kind, f"/car_0/{topic}")
    listener.listen(MarkerArray, "/track_markers")
    listener.listen(DiagnosticArray, "/diagnostics")
    trainer = start("trainer_node", model="m", steps=60 * UPDATE, seed=3)
    listener.until(lambda: trainer.process.poll() is not None)
    assert trainer.end(None) == 0
    assert "Finished after 7,680 steps, checkpoint 60" in trainer.log
    train(twin, steps=60 * UPDATE, seed=3)
    assert rows(folder) == rows(twin)
    assert all(listener.heard.values()), {topic: len(messages) for topic, messages in listener.heard.items()}
    updates = [row["steps"] for row in rows(folder)]
    assert {message.data for message in listener.heard["/trainer_node/steps"]} <= set(updates)
    image = listener.heard["/car_0/camera/image_raw"][-1]
    assert (image.width, image.height, image.encoding) == (160, 120, "rgb8")
    assert max(len(message.poses) for message in listener.heard["/car_0/path"]) > 0
    status = listener.heard["/diagnostics"][-1].status[0]
    assert status.name == "trainer_node: training of m"
    assert {"progress", "steps_per_s"} <= {value.key for value in status.values}


def test_parameters_are_described_ranged_and_only_changeable_where_that_has_an_effect(
    start: Callable[..., Process], listener: Listener
) -> None:
    create()
    trainer = start("trainer_node", model="m", minutes=10)
    client = AsyncParameterClient(listener.node, "trainer_node")
    listener.until(client.services_are_ready)
    names = [name for name in listener.result(client.list_parameters()).result.names if name != "use_sim_time"]
    names = [name for name in names if name != "start_type_description_service"]
    assert {"model", "minutes", "steps", "seed", "resume", "simulator", "cars", "timeout", "publish_rate"} <= set(names)
    for descriptor in listener.result(client.describe_parameters(names)).descriptors:
        assert descriptor.description
        assert descriptor.read_only == (descriptor.name != "publish_rate")
        numeric = descriptor.name not in ("model", "resume", "simulator")
        assert numeric == bool(descriptor.floating_point_range or descriptor.integer_range), descriptor.name

    def set_to(name: str, value: object) -> Any:
        return listener.result(client.set_parameters([Parameter(name, value=value)])).results[0]

    assert set_to("publish_rate", 5.0).successful
    assert not set_to("publish_rate", 1000.0).successful
    assert not set_to("minutes", 1.0).successful
    assert trainer.end() == 0


def test_services_pause_resume_checkpoint_and_stop_while_a_second_trainer_is_refused(
    start: Callable[..., Process], listener: Listener
) -> None:
    folder = create()
    trainer = start("trainer_node", model="m", minutes=10)
    listener.listen(Float64, "/trainer_node/steps")
    listener.listen(DiagnosticArray, "/diagnostics")
    listener.value("/trainer_node/steps")

    assert "rests" in listener.call("/trainer_node/pause")
    listener.until(lambda: listener.heard["/diagnostics"][-1].status[0].message == "paused")
    resting: list[float] = []
    while len(resting) < 2 or resting[-1] != resting[-2]:
        count = len(listener.heard["/diagnostics"])
        # Two diagnostics are a second apart, dozens of updates when training goes on.
        listener.until(lambda count=count: len(listener.heard["/diagnostics"]) >= count + 2)  # type: ignore[misc]
        resting.append(listener.value("/trainer_node/steps"))

    second = start("trainer_node", model="m")
    assert second.end(None) == 1
    (line,) = [line for line in second.log.splitlines() if "FATAL" in line]
    assert "is being trained by another process" in line
    assert "Traceback" not in second.log

    listener.call("/trainer_node/checkpoint")
    assert "goes on" in listener.call("/trainer_node/resume")
    listener.until(lambda: listener.value("/trainer_node/steps") > resting[-1])
    listener.until(lambda: bool(CheckpointFolder(folder.checkpoints).index()))

    listener.call("/trainer_node/stop")
    assert trainer.end(None) == 0
    assert "Stopped after" in trainer.log
    assert last_update(folder) == rows(folder)[-1]["update"]
    assert load_policy(folder.policy)


def test_ctrl_c_drops_even_a_long_update_and_leaves_the_model_as_it_was(
    start: Callable[..., Process], listener: Listener
) -> None:
    folder = create()
    train(folder, steps=UPDATE)
    before = folder.metrics_jsonl.read_bytes()
    config = folder.config_path.read_text().replace("horizon_steps: 16", "horizon_steps: 2048")
    folder.config_path.write_text(config.replace("cars: 8", "cars: 64"))
    trainer = start("trainer_node", model="m", minutes=10, resume=True)
    listener.listen(PathMessage, "/car_0/path")
    listener.until(lambda: bool(listener.heard["/car_0/path"]))
    assert trainer.end() == 0
    assert "the model is as it was" in trainer.log
    assert "Traceback" not in trainer.log
    assert folder.metrics_jsonl.read_bytes() == before
    assert last_update(folder) == 1
    assert load_policy(folder.policy)


def test_ctrl_c_before_the_first_update_leaves_the_model_as_it_was(start: Callable[..., Process]) -> None:
    folder = create()
    train(folder, steps=UPDATE)
    before = folder.metrics_jsonl.read_bytes()
    trainer = start("trainer_node", model="m", simulator="ros", cars=2, timeout=100)
    trainer.wait_for("Waiting for a simulator")
    assert trainer.end() == 0
    assert "the model is as it was" in trainer.log
    assert "Traceback" not in trainer.log
    assert folder.metrics_jsonl.read_bytes() == before


@pytest.mark.parametrize(
    ("program", "parameters", "code", "words"),
    [
        ("trainer_node", {}, 2, "no model is given"),
        ("trainer_node", {"model": "nobody"}, 2, "There is no model 'nobody'"),
        ("trainer_node", {"model": "m", "minutes": -1.0}, 2, "minutes"),
        ("trainer_node", {"model": "m", "simulator": "unity"}, 2, "simulator"),
        ("trainer_node", {"model": "m", "minuets": 1.0}, 2, "minutes"),
        ("trainer_node", {"model": "m", "simulator": "ros", "timeout": 0.5}, 1, "/car_0/camera/image_raw"),
        ("evaluation_node", {"model": "m"}, 2, "no policy to evaluate"),
        ("evaluation_node", {"model": "m", "laps": 0}, 2, "laps"),
    ],
)
def test_what_cannot_work_is_one_clear_line(
    start: Callable[..., Process], program: str, parameters: dict[str, object], code: int, words: str
) -> None:
    create()
    node = start(program, **parameters)
    assert node.end(None) == code, node.log
    (line,) = [line for line in node.log.splitlines() if "FATAL" in line]
    assert words in line
    assert "Traceback" not in node.log


def test_an_unknown_track_is_one_clear_line(start: Callable[..., Process]) -> None:
    folder = create()
    folder.config_path.write_text(folder.config_path.read_text().replace("track: riverside", "track: riversid"))
    trainer = start("trainer_node", model="m")
    assert trainer.end(None) == 2
    assert "riverside" in trainer.log
    assert "Traceback" not in trainer.log


def test_training_over_topics_and_both_nodes_end_with_ctrl_c(start: Callable[..., Process], listener: Listener) -> None:
    folder = create()
    simulator = start("simulator_node", track="riverside", cars=4, mode="lockstep")
    trainer = start("trainer_node", model="m", simulator="ros", cars=4, minutes=10, timeout=PATIENCE_S / 2)
    listener.listen(Float64, "/trainer_node/steps")
    listener.listen(PathMessage, "/car_0/path")
    listener.until(lambda: listener.value("/trainer_node/steps") >= 3 * UPDATE)
    listener.until(lambda: bool(listener.heard["/car_0/path"]))
    # As many steps per update as with the cars of model.yaml.
    assert all(message.data % UPDATE == 0 for message in listener.heard["/trainer_node/steps"])
    simulator.process.send_signal(signal.SIGINT)  # both at once, as a launch file does it
    assert trainer.end() == 0
    assert simulator.end(None) == 0
    assert "Traceback" not in trainer.log + simulator.log
    assert last_update(folder) == rows(folder)[-1]["update"]
    assert load_policy(folder.policy)


def test_a_simulator_that_dies_is_one_clear_line_and_costs_no_more_than_an_update(
    start: Callable[..., Process], listener: Listener
) -> None:
    folder = create()
    simulator = start("simulator_node", track="riverside", cars=2, mode="lockstep")
    trainer = start("trainer_node", model="m", simulator="ros", cars=2, minutes=10, timeout=PATIENCE_S / 2)
    trainer.wait_for("update 1,")
    trainer.end(signal.SIGINT)
    trainer = start("trainer_node", model="m", simulator="ros", cars=2, minutes=10, timeout=3.0, resume=True)
    listener.listen(Float64, "/trainer_node/steps")
    steps = last_update(folder) * UPDATE
    listener.until(lambda: listener.value("/trainer_node/steps") > steps)
    simulator.end(signal.SIGKILL)
    assert trainer.end(None) == 1
    (line,) = [line for line in trainer.log.splitlines() if "FATAL" in line]
    assert "/car_" in line
    assert "Traceback" not in trainer.log
    assert last_update(folder) == rows(folder)[-1]["update"]


@pytest.fixture
def trained() -> ModelFolder:
    """A model that has a policy, if not a good one."""
    folder = create()
    train(folder, steps=UPDATE)
    return folder


def result_of(folder: ModelFolder) -> EvaluationResult:
    (path,) = [path for path in folder.evaluations.iterdir() if not path.name.startswith(".")]
    return EvaluationResult.read(path)


def test_the_evaluation_node_writes_the_report_of_the_command_line_and_tells_laps_and_penalties(
    start: Callable[..., Process], listener: Listener, trained: ModelFolder
) -> None:
    topics = ("progress", "laps_finished", "laps_completed", "off_tracks", "penalties", "penalty_time")
    for topic in topics:
        listener.listen(Float64, f"/evaluation_node/{topic}")
    listener.listen(DiagnosticArray, "/diagnostics")
    node = start("evaluation_node", model="m", laps=2, seed=5, video=False)
    listener.until(lambda: node.process.poll() is not None)
    assert node.end(None) == 0, node.log
    heard = {topic: listener.value(f"/evaluation_node/{topic}") for topic in topics}
    result = result_of(trained)
    assert (heard["progress"], heard["laps_finished"]) == (100.0, 2.0)
    assert heard["laps_completed"] == result.laps_completed
    assert (heard["off_tracks"], heard["penalties"]) == (result.off_track_count, result.reset_count)
    assert heard["penalty_time"] == 2.0 * (result.off_track_count + result.reversed_count)
    assert listener.heard["/diagnostics"][-1].status[0].name == "evaluation_node: evaluation of m"
    assert result.trace_sha256 == evaluate(trained, laps=2, seed=5, video=False).trace_sha256
    assert result.report in node.log


def test_an_evaluation_over_topics_drives_more_laps_than_there_are_cars(
    start: Callable[..., Process], trained: ModelFolder
) -> None:
    start("simulator_node", track="riverside", cars=2, mode="lockstep")
    node = start("evaluation_node", model="m", simulator="ros", cars=2, laps=3, timeout=PATIENCE_S / 2)
    assert node.end(None) == 0, node.log
    result = result_of(trained)
    assert [lap.lap for lap in result.lap_results] == [1, 2, 3]
    starts = [lap.start_m for lap in evaluate(trained, laps=3, video=False).lap_results]
    assert [lap.start_m for lap in result.lap_results] == starts
    assert result.video is None


def test_ctrl_c_ends_an_evaluation_without_a_report(
    start: Callable[..., Process], listener: Listener, trained: ModelFolder
) -> None:
    node = start("evaluation_node", model="m", laps=1000)
    listener.listen(Float64, "/evaluation_node/progress")
    listener.value("/evaluation_node/progress")
    assert node.end() == 0
    assert "no report" in node.log
    assert "Traceback" not in node.log
    assert not trained.evaluations.exists() or not list(trained.evaluations.glob("2*"))
