"""Every launch file is run as `ros2 launch` runs it, and every file that it names has to be there."""

from __future__ import annotations

import ast
import asyncio
import itertools
import os
import shutil
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch and launch_ros come with a ROS 2 installation (see docs/ros.md)")
pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription, LaunchService
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessIO, OnProcessStart

from deepracer_inference.drive.fake_board import make_board
from deepracer_inference.nodes.joints import DRIVEN_WHEELS, HINGES
from deepracer_inference.nodes.settings import DriveSettings
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.tracks.library import load_track
from deepracer_training.models.config import ModelConfig, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.training import train

FOLDER = Path(__file__).parents[1]
NODES = (
    *(
        "simulator_node",
        "gazebo_node",
        "trainer_node",
        "evaluation_node",
        "camera_node",
        "inference_node",
        "drive_node",
    ),
    *("teleop_twist_joy_node", "twist_mux", "controller_manager", "ackermann_steering_controller"),
)
LAUNCH_FILES = sorted((FOLDER / "launch").glob("*.launch.py"))
PATIENCE_S = 180.0
STANDS = "stand-in stands"
"""A stand-in says so as soon as it can be interrupted."""
REWARD = "def reward_function(params):\n    return params['speed']\n"
STEPS = 8 * 16
try:
    get_package_prefix("deepracer_bringup")
except PackageNotFoundError:
    pytest.skip("the packages are not installed in an ament prefix: source install/setup.bash", allow_module_level=True)


@pytest.fixture(autouse=True)
def environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    ros_domain: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """A domain for each test alone, on this machine only; models and programs of its own."""
    stage.put_up("robot_state_publisher", "robot_state_publisher")
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    # launch starts coroutines that it never awaits when a process ends during start-up
    asyncio.set_event_loop(asyncio.new_event_loop())
    with ros_domain():
        yield


class Stage:
    """An ament prefix with stand-ins for programs; they write down what they are called with, and with which files."""

    def __init__(self, prefix: Path) -> None:
        """Begin with an empty one."""
        self.prefix = prefix
        self.index = prefix / "share" / "ament_index" / "resource_index" / "packages"
        self.index.mkdir(parents=True)
        (prefix / "notes").mkdir()

    def put_up(self, package: str, executable: str, *, stays: bool = True) -> None:
        """Add a program that stays until it is interrupted, or ends at once."""
        (self.index / package).touch()
        path = self.prefix / "lib" / package / executable
        path.parent.mkdir(parents=True, exist_ok=True)
        trap, wait = ("trap 'kill $!; exit 0' INT TERM\nsleep 600 &\n", "wait\n") if stays else ("", "")
        notes = self.prefix / "notes" / executable
        path.write_text(
            f'#!/bin/sh\n{trap}note="{notes}.$$"\n'
            f'for word; do case "$word" in */launch_params_*) cat "$word" >>"$note.yaml";; esac; done\n'
            f'echo "$*" >"$note"\necho {STANDS}\n{wait}'
        )
        path.chmod(0o755)

    def calls(self, executable: str) -> list[str]:
        """Words that the program was called with, each time."""
        return sorted(
            path.read_text() for path in (self.prefix / "notes").glob(f"{executable}.*") if path.suffix != ".yaml"
        )

    def parameters(self, executable: str) -> list[dict[str, Any]]:
        """Parameters that it was given, each time: what stands in the later file counts."""
        found = []
        for path in sorted((self.prefix / "notes").glob(f"{executable}.*.yaml")):
            merged: dict[str, Any] = {}
            for part in path.read_text().split("/**:")[1:]:
                merged |= yaml.safe_load(f"node:{part}")["node"]["ros__parameters"]
            found.append(merged)
        return found


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    prefix = tmp_path / "stage"
    programs = os.pathsep.join(str(prefix / "lib" / name) for name in ("rqt", "ros2cli"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}{os.pathsep}{os.environ['AMENT_PREFIX_PATH']}")
    return Stage(prefix)


@pytest.fixture
def gazebo(stage: Stage) -> Stage:
    """Stand-ins for Gazebo, its bridge and what is started beside them."""
    if shutil.which("xacro") is None:
        pytest.skip("there is no xacro: install ros-jazzy-xacro, or xacro from PyPI")
    for package, executable in (("ros_gz_bridge", "parameter_bridge"), ("deepracer_sim", "gazebo_node")):
        stage.put_up(package, executable)
    for package, executable in (("ros_gz_sim", "create"), ("controller_manager", "spawner")):
        stage.put_up(package, executable, stays=False)
    launch_file = stage.prefix / "share" / "ros_gz_sim" / "launch" / "gz_sim.launch.py"
    launch_file.parent.mkdir(parents=True)
    launch_file.write_text(
        "from launch import LaunchDescription\n"
        "from launch.actions import DeclareLaunchArgument, ExecuteProcess\n"
        "from launch.substitutions import LaunchConfiguration\n"
        "def generate_launch_description():\n"
        "    shut = LaunchConfiguration('on_exit_shutdown')\n"
        "    return LaunchDescription([DeclareLaunchArgument('gz_args'), ExecuteProcess(shell=True, output='screen',\n"
        "        cmd=['printf \"gz got <%s>\\\\n\" ', LaunchConfiguration('gz_args'), ' shut:', shut])])\n"
    )
    return stage


@pytest.fixture
def model() -> ModelFolder:
    """A model with small updates, trained for one of them."""
    config = preset_config("fast", name="m", track="riverside").model_dump()
    config["hyperparameters"]["batch_size"] = 64
    config["training"].update({"cars": 8, "horizon_steps": 16})
    folder = ModelFolder.create("m", ModelConfig.model_validate(config), REWARD)
    train(folder, steps=STEPS)
    return folder


class Run:
    """One launch file from start to end."""

    def __init__(
        self, name: str, *, until: str = "", ends_when: Callable[[], bool] | None = None, **arguments: str
    ) -> None:
        """Run it until a text is logged, until something has happened, or until it ends by itself."""
        self.log, self.exit_codes = "", dict[str, int]()
        self.commands = dict[str, str]()
        self._stand_ins, self._standing = set[str](), set[str]()
        service = LaunchService(noninteractive=True)
        include = IncludeLaunchDescription(
            str(FOLDER / "launch" / f"{name}.launch.py"), launch_arguments=arguments.items()
        )

        def on_start(event: Any, context: Any) -> None:
            if "/stage/" in event.cmd[0]:
                self._stand_ins.add(event.process_name)

        def on_io(event: Any) -> None:
            text = event.text.decode(errors="replace")
            if STANDS in text:
                self._standing.add(event.process_name)
            self.log += text

        def on_exit(event: Any, context: Any) -> None:
            name = event.process_name.rsplit("-", 1)[0]
            self.exit_codes[name], self.commands[name] = event.returncode, " ".join(event.cmd)

        service.include_launch_description(
            LaunchDescription(
                [
                    RegisterEventHandler(OnProcessStart(on_start=on_start)),
                    RegisterEventHandler(OnProcessIO(on_stdout=on_io, on_stderr=on_io)),
                    RegisterEventHandler(OnProcessExit(on_exit=on_exit)),
                    include,
                ]
            )
        )
        guard = threading.Timer(PATIENCE_S, service.shutdown)
        guard.start()
        if until:
            ends_when = lambda: until in self.log  # noqa: E731
        if ends_when:
            threading.Thread(target=self._end, args=(service, ends_when), daemon=True).start()
        self.code = service.run()
        assert guard.is_alive(), self.log
        guard.cancel()

    def _end(self, service: LaunchService, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        # A shell that is interrupted before its trap ends with another exit code.
        while (self._stand_ins - self._standing or not happened()) and time.monotonic() < end:
            time.sleep(0.05)
        service.shutdown()


def test_simulation_starts_the_simulator_node() -> None:
    run = Run("simulation", track="oval", cars="2", mode="lockstep", until="2 x deepracer on oval")
    assert run.exit_codes == {"simulator_node": 0, "robot_state_publisher": 0}, run.log


def test_the_description_is_published_for_every_car(gazebo: Stage) -> None:
    Run("description", cars="2", ends_when=lambda: len(gazebo.parameters("robot_state_publisher")) == 2)
    given = gazebo.parameters("robot_state_publisher")
    assert sorted(each["frame_prefix"] for each in given) == ["car_0/", "car_1/"]
    words = " ".join(gazebo.calls("robot_state_publisher")).split()
    assert {word for word in words if word.startswith("__ns")} == {"__ns:=/car_0", "__ns:=/car_1"}
    for each in given:
        robot = ElementTree.fromstring(each["robot_description"])
        assert robot.find("link[@name='camera_optical']") is not None
        assert robot.find("gazebo/plugin") is None
        assert each["use_sim_time"] is False


@pytest.mark.parametrize("drive", ["ros2_control", "gazebo"])
def test_gazebo_gets_world_bridge_cars_and_node(gazebo: Stage, tmp_path: Path, drive: str) -> None:
    run = Run("simulation", simulator="gazebo", track="oval", cars="2", drive=drive, headless="true", mode="lockstep",
              ends_when=lambda: len(gazebo.parameters("gazebo_node")) == 1)  # fmt: skip
    words = [line.split("<")[1].rstrip(">") for line in run.log.splitlines() if "gz got" in line]
    assert words[:2] == ["-s", "--headless-rendering"]
    assert words[3:] == ["shut:", "true"]
    assert ElementTree.parse(words[2]).getroot().find("world") is not None
    assert Path(words[2]).is_relative_to(tmp_path / "home")

    (bridge,) = gazebo.parameters("parameter_bridge")
    entries = yaml.safe_load(Path(bridge["config_file"]).read_text())
    for car in range(2):
        assert {e["ros_topic_name"] for e in entries if f"/car_{car}/" in e.get("ros_topic_name", "")} == {
            f"/gazebo/car_{car}/{name}" for name in ("cmd_vel", "commanded", "image", "odom", "joint_states", "placed")
        }

    robots = [ElementTree.fromstring(each["robot_description"]) for each in gazebo.parameters("robot_state_publisher")]
    assert sorted(robot.findtext("gazebo/sensor/topic", "") for robot in robots) == [
        "/car_0/camera/image", "/car_1/camera/image"]  # fmt: skip
    places = [dict(itertools.pairwise(call.split()[:12])) for call in gazebo.calls("create")]
    assert sorted(place["-name"] for place in places) == ["car_0", "car_1"]
    track = load_track("oval")
    for place in places:
        assert place["-topic"] == f"/{place['-name']}/robot_description"
        (where,) = track.project([[float(place["-x"]), float(place["-y"])]]).lateral
        assert abs(where) < 1e-3
        assert float(place["-Y"]) == pytest.approx(track.pose_at(0.0)[0, 2], abs=1e-5)
    managers = [call for call in gazebo.calls("spawner") if "ackermann_steering_controller" in call]
    assert len(managers) == (2 if drive == "ros2_control" else 0)
    if drive == "ros2_control":
        for robot in robots:
            file = Path(robot.findtext("gazebo/plugin/parameters", ""))
            controller = yaml.safe_load(file.read_text())["/**/ackermann_steering_controller"]["ros__parameters"]
            assert controller["wheelbase"] == load_vehicle("deepracer").geometry.wheelbase
    (node,) = gazebo.parameters("gazebo_node")
    assert (node["track"], node["cars"], node["mode"]) == ("oval", 2, "lockstep")


def test_without_serve_the_world_waits_for_somebody_else(gazebo: Stage) -> None:
    run = Run("simulation", simulator="gazebo", track="oval", cars="2", drive="gazebo", serve="false",
              ends_when=lambda: len(gazebo.calls("create")) == 2)  # fmt: skip
    assert "parameter_bridge" in run.exit_codes
    assert "gazebo_node" not in run.exit_codes


@pytest.mark.parametrize("name, program", [("train", "trainer_node"), ("evaluate", "evaluation_node")])
def test_train_and_evaluate_start_gazebo_and_drive_it_over_topics(
    gazebo: Stage, tmp_path: Path, name: str, program: str
) -> None:
    gazebo.put_up("deepracer_training", program, stays=False)
    Run(name, model="m", simulator="gazebo", cars="3", track="bean", drive="gazebo")
    (settings,) = gazebo.parameters(program)
    assert (settings["simulator"], settings["cars"]) == ("ros", 3)
    assert (tmp_path / "home" / "launch" / "bean.sdf").is_file()


def test_train_in_one_process(model: ModelFolder) -> None:
    run = Run("train", model="m", minutes="0.01")
    assert run.exit_codes == {"trainer_node": 0}, run.log
    assert "Finished after" in run.log


def test_train_over_topics_ends_both_nodes(model: ModelFolder) -> None:
    run = Run("train", model="m", simulator="ros", cars="2", resume="true", until="update 2,")
    assert run.exit_codes == {"trainer_node": 0, "simulator_node": 0, "robot_state_publisher": 0}, run.log
    assert "Traceback" not in run.log


def test_evaluate_over_topics_ends_by_itself(model: ModelFolder) -> None:
    run = Run("evaluate", model="m", simulator="ros", cars="2", laps="2")
    assert run.exit_codes == {"evaluation_node": 0, "simulator_node": 0, "robot_state_publisher": 0}, run.log
    assert "The report is" in run.log


def test_evaluate_in_one_process(model: ModelFolder) -> None:
    run = Run("evaluate", model="m", laps="1")
    assert run.exit_codes == {"evaluation_node": 0}, run.log


def test_calibrate_holds_the_wheels_straight(tmp_path: Path) -> None:
    make_board(tmp_path / "sys", load_vehicle("deepracer").pwm)
    run = Run("calibrate", sysfs=str(tmp_path / "sys"), rqt="false", until="the wheels are held straight")
    assert run.exit_codes == {"calibration_node": 0}, run.log


@pytest.mark.parametrize("perspective", ["training", "evaluation"])
def test_monitor_opens_rviz_and_rqt_with_our_layouts(stage: Stage, perspective: str) -> None:
    for package, executable in (("rviz2", "rviz2"), ("rqt", "rqt"), ("ros2cli", "ros2")):
        stage.put_up(package, executable, stays=False)
    run = Run("monitor", perspective=perspective)
    assert sorted(run.exit_codes.values()) == [0, 0, 0], run.log
    words = " ".join(stage.calls("rviz2") + stage.calls("rqt")).split()
    layouts = [Path(word) for word in words if word.endswith((".rviz", ".perspective"))]
    assert [layout.name for layout in layouts] == ["deepracer.rviz", f"{perspective}.perspective"]
    assert all(layout.is_file() for layout in layouts)
    assert not Run("monitor", rviz="false", rqt="false").exit_codes


def test_rqt_waits_for_the_topics_that_it_plots(stage: Stage) -> None:
    """It would leave plots empty for good."""
    stage.put_up("rqt", "rqt")
    stage.put_up("ros2cli", "ros2")
    run = Run("monitor", rviz="false", ends_when=lambda: bool(stage.calls("ros2")))
    assert stage.calls("ros2") == ["topic echo --no-daemon --once /diagnostics diagnostic_msgs/msg/DiagnosticArray\n"]
    assert not stage.calls("rqt"), run.log


def test_training_and_evaluation_are_plotted_by_their_own_perspectives(stage: Stage) -> None:
    for package, executable in (("rviz2", "rviz2"), ("rqt", "rqt"), ("ros2cli", "ros2")):
        stage.put_up(package, executable, stays=False)
    for name, program in (("train", "trainer_node"), ("evaluate", "evaluation_node")):
        stage.put_up("deepracer_training", program)
        Run(name, model="m", monitor="true", ends_when=lambda: bool(stage.calls("rqt")))
        (call,) = stage.calls("rqt")
        assert call.split()[-1].endswith({"train": "training", "evaluate": "evaluation"}[name] + ".perspective")
        shutil.rmtree(stage.prefix / "notes")
        (stage.prefix / "notes").mkdir()


def test_the_simulated_car_drives_with_the_nodes_of_the_real_one(model: ModelFolder) -> None:
    policy = str(model.path / "policy")
    run = Run("car", vehicle="simulated", track="oval", enabled="true", model=policy, until="[drive_node]: driving")
    nodes = (
        *("camera_node", "inference_node", "drive_node", "board_node", "simulator_node"),
        "robot_state_publisher",
    )
    assert run.exit_codes == dict.fromkeys(nodes, 0), run.log
    assert "Traceback" not in run.log and "the driver has died" not in run.log


def test_the_car_waits_to_be_enabled() -> None:
    run = Run("car", vehicle="simulated", track="oval", autonomous="false", until="stopped: not enabled yet")
    assert "inference_node" not in run.exit_codes and set(run.exit_codes.values()) == {0}, run.log


def test_a_car_without_camera_ends_with_one_line() -> None:
    run = Run("car", vehicle="deepracer", camera="/dev/video77", autonomous="false")
    assert run.exit_codes["camera_node"] == 2, run.log
    assert run.log.count("There is no camera /dev/video77") == 1 and "Traceback" not in run.log


def test_joystick_and_model_meet_in_the_multiplexer(stage: Stage, model: ModelFolder) -> None:
    for package, executable in (("joy", "joy_node"), ("teleop_twist_joy", "teleop_node"), ("twist_mux", "twist_mux")):
        stage.put_up(package, executable)
    policy = str(model.path / "policy")
    run = Run("car", vehicle="simulated", track="oval", manual="true", model=policy, until="model /")
    assert "-r cmd_vel:=manual/cmd_vel" in stage.calls("teleop_node")[0]
    assert "-r cmd_vel_out:=cmd_vel" in stage.calls("twist_mux")[0]
    stage.put_up("joy", "joy_node", stays=False)
    # Without the stop button everything ends.
    assert "joy_node" in Run("car", vehicle="simulated", track="oval", manual="true", model=policy).exit_codes
    assert run.commands["inference_node"].count("cmd_vel:=autonomous/cmd_vel") == 1
    assert "-r cmd_vel:=cmd_vel " in run.commands["drive_node"], "what the multiplexer sends"
    mux = yaml.safe_load((FOLDER / "config" / "twist_mux.yaml").read_text())["twist_mux"]["ros__parameters"]
    topics, stop = mux["topics"], mux["locks"]["stop"]
    assert [topics[name]["topic"] for name in ("manual", "autonomous")] == ["manual/cmd_vel", "autonomous/cmd_vel"]
    assert stop["priority"] > topics["manual"]["priority"] > topics["autonomous"]["priority"]
    ((_, teleop),) = yaml.safe_load((FOLDER / "config" / "joystick.yaml").read_text()).items()
    assert teleop["ros__parameters"]["require_enable_button"], "dead-man"
    assert teleop["ros__parameters"]["frame"] != "camera_optical", "drive_node would look for its image"


def test_the_car_with_ros2_control_has_the_controllers_of_gazebo(stage: Stage) -> None:
    stage.put_up("controller_manager", "ros2_control_node")
    stage.put_up("controller_manager", "spawner", stays=False)
    run = Run(
        "car", vehicle="simulated", track="oval", autonomous="false", control="ros2_control", until="not enabled yet"
    )
    files = [Path(word) for word in stage.calls("ros2_control_node")[0].split() if word.endswith(".yaml")]
    given = [yaml.safe_load(path.read_text())["/**/ackermann_steering_controller"]["ros__parameters"] for path in files]
    assert given[0]["wheelbase"] == load_vehicle("deepracer").geometry.wheelbase
    assert set(given[0]["steering_joints_names"]) == set(HINGES)
    assert set(given[0]["traction_joints_names"]) == set(DRIVEN_WHEELS)
    # drive_node is the first to stop the car, and within 0.1 s.
    assert DriveSettings().command_timeout < given[1]["reference_timeout"] <= 0.1 < given[0]["reference_timeout"]
    car = [each for each in stage.parameters("robot_state_publisher") if not each["frame_prefix"]]
    hardware = ElementTree.fromstring(car[0]["robot_description"]).find("ros2_control/hardware")
    assert hardware is not None
    topics = {each.get("name"): each.text for each in hardware.findall("param")}
    assert f"joint_states:={topics['joint_states_topic']}" in run.commands["drive_node"]
    assert "-r cmd_vel:=ackermann_steering_controller/reference " in run.commands["drive_node"]
    assert topics["joint_commands_topic"] == "joint_commands"
    assert "joint_states:=hardware_joint_states" in run.commands["drive_node"]
    assert stage.calls("spawner")[0].startswith("joint_state_broadcaster ackermann_steering_controller")
    # The controller refuses a command whose stamp is not of the last `reference_timeout` of ROS time.
    launch = (FOLDER / "launch" / "car.launch.py").read_text()
    assert '"stamp": IfElseSubstitution(ROS2_CONTROL, "now", "image")' in launch


def test_record_names_topics_that_the_car_has(stage: Stage, tmp_path: Path) -> None:
    stage.put_up("ros2cli", "ros2", stays=False)
    Run("record", folder=str(tmp_path))
    (words,) = stage.calls("ros2")
    assert "bag record --storage mcap" in words and "/camera/image_raw" in words and "/diagnostics" in words
    Run("record", folder=str(tmp_path), images="false")
    assert sum("/camera/image_raw" in words for words in stage.calls("ros2")) == 1


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_arguments_are_described_and_switches_have_choices(path: Path) -> None:
    source = ast.parse(path.read_text())
    (function,) = [node for node in source.body if isinstance(node, ast.FunctionDef)]
    assert isinstance(function.body[-1], ast.Return)
    assert len(function.body) == 2, "a docstring and one returned expression"
    scope: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), scope)
    arguments = [
        each for each in scope["generate_launch_description"]().entities if isinstance(each, DeclareLaunchArgument)
    ]
    assert arguments
    for argument in arguments:
        assert "no description" not in argument.description, argument.name
        default = "".join(getattr(part, "text", "") for part in argument.default_value or ())
        assert argument.choices or default not in ("true", "false"), argument.name


def test_parameter_files_name_nodes_and_tell_units() -> None:
    for path in sorted((FOLDER / "config").glob("*.yaml")):
        if path.stem == "bridge":
            continue
        for node, content in yaml.safe_load(path.read_text()).items():
            assert node.removeprefix("/**/") in NODES
            assert content["ros__parameters"]
