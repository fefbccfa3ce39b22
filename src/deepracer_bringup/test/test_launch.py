"""Every launch file is run as `ros2 launch` runs it, and every file that it names has to be there."""

from __future__ import annotations

import ast
import asyncio
import itertools
import json
import os
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch and launch_ros come with a ROS 2 installation (see docs/ros.md)")
pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription, LaunchService
from launch.actions import DeclareLaunchArgument, EmitEvent, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown

from deepracer_inference.drive.fake_board import make_board
from deepracer_inference.nodes.joints import DRIVEN_WHEELS, HINGES
from deepracer_inference.vehicle import load_vehicle
from deepracer_training.models.config import ModelConfig, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.training import train

FOLDER = Path(__file__).parents[1]
NODES = (
    *("simulator_node", "trainer_node", "evaluation_node", "camera_node", "inference_node", "drive_node"),
    *("teleop_twist_joy_node", "twist_mux", "controller_manager", "ackermann_steering_controller"),
)
LAUNCH_FILES = sorted((FOLDER / "launch").glob("*.launch.py"))
PATIENCE_S = 180.0
DOMAINS = itertools.count(os.getpid() + 25)
REWARD = "def reward_function(params):\n    return params['speed']\n"
STEPS = 8 * 16
STAND_IN = """#!/bin/sh
echo "$(basename "$0") got $*"
for argument; do case "$argument" in /*launch_params_*|*controllers.yaml) cat "$argument";; esac; done
"""
"""Parameter files are temporary, so a stand-in shows what is in them."""

try:
    get_package_prefix("deepracer_bringup")
except PackageNotFoundError:
    pytest.skip("the packages are not installed in an ament prefix: source install/setup.bash", allow_module_level=True)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A domain for each test alone, on this machine only; models and programs of its own."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + next(DOMAINS) % 100))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    # launch starts coroutines that it never awaits when a process ends during start-up
    asyncio.set_event_loop(asyncio.new_event_loop())
    yield


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

    def __init__(self, name: str, *, until: str = "", **arguments: str) -> None:
        """Run it until a text is logged, or until it ends by itself."""
        self.log, self.exit_codes = "", dict[str, int]()
        self.commands = dict[str, str]()
        service = LaunchService(noninteractive=True)
        include = IncludeLaunchDescription(
            str(FOLDER / "launch" / f"{name}.launch.py"), launch_arguments=arguments.items()
        )

        def on_io(event: Any) -> EmitEvent | None:
            self.log += event.text.decode(errors="replace")
            return EmitEvent(event=Shutdown(reason="seen")) if until and until in self.log else None

        def on_exit(event: Any, context: Any) -> None:
            name = event.process_name.rsplit("-", 1)[0]
            self.exit_codes[name], self.commands[name] = event.returncode, " ".join(event.cmd)

        service.include_launch_description(
            LaunchDescription(
                [
                    RegisterEventHandler(OnProcessIO(on_stdout=on_io, on_stderr=on_io)),
                    RegisterEventHandler(OnProcessExit(on_exit=on_exit)),
                    include,
                ]
            )
        )
        guard = threading.Timer(PATIENCE_S, service.shutdown)
        guard.start()
        self.code = service.run()
        assert guard.is_alive(), self.log
        guard.cancel()


def test_simulation_starts_the_simulator_node() -> None:
    run = Run("simulation", track="oval", cars="2", mode="lockstep", until="2 x deepracer on oval")
    assert run.exit_codes == {"simulator_node": 0}, run.log


def test_train_in_one_process(model: ModelFolder) -> None:
    run = Run("train", model="m", minutes="0.01")
    assert run.exit_codes == {"trainer_node": 0}, run.log
    assert "Finished after" in run.log


def test_train_over_topics_ends_both_nodes(model: ModelFolder) -> None:
    run = Run("train", model="m", simulator="ros", cars="2", resume="true", until="update 2,")
    assert run.exit_codes == {"trainer_node": 0, "simulator_node": 0}, run.log
    assert "Traceback" not in run.log


def test_evaluate_over_topics_ends_by_itself(model: ModelFolder) -> None:
    run = Run("evaluate", model="m", simulator="ros", cars="2", laps="2")
    assert run.exit_codes == {"evaluation_node": 0, "simulator_node": 0}, run.log
    assert "The report is" in run.log


def test_evaluate_in_one_process(model: ModelFolder) -> None:
    run = Run("evaluate", model="m", laps="1")
    assert run.exit_codes == {"evaluation_node": 0}, run.log


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes stand-ins for programs that no wheel has; they write down what they are called with."""
    prefix = tmp_path / "prefix"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (prefix / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}{os.pathsep}{os.environ['AMENT_PREFIX_PATH']}")

    def make(*programs: str) -> None:
        for program in programs:
            package, _, name = program.rpartition("/")
            path = prefix / "lib" / package / name if package else prefix / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(STAND_IN)
            path.chmod(0o755)
            if package:
                (index / package).touch()

    return make


def test_calibrate_holds_the_wheels_straight(tmp_path: Path) -> None:
    make_board(tmp_path / "sys", load_vehicle("deepracer").pwm)
    run = Run("calibrate", sysfs=str(tmp_path / "sys"), rqt="false", until="the wheels are held straight")
    assert run.exit_codes == {"calibration_node": 0}, run.log


def test_monitor_opens_rviz_and_rqt_with_our_layouts(stand_in: Callable[..., None]) -> None:
    stand_in("rqt", "rviz2/rviz2")
    run = Run("monitor")
    assert sorted(run.exit_codes.values()) == [0, 0], run.log
    layouts = [word for word in run.log.split() if word.endswith((".rviz", ".perspective"))]
    assert len(layouts) == 2
    assert all(Path(layout).is_file() for layout in layouts)
    assert not Run("monitor", rviz="false", rqt="false").exit_codes


def test_the_simulated_car_drives_with_the_nodes_of_the_real_one(model: ModelFolder) -> None:
    policy = str(model.path / "policy")
    run = Run("car", vehicle="simulated", track="oval", enabled="true", model=policy, until="[drive_node]: driving")
    nodes = ("camera_node", "inference_node", "drive_node", "board_node", "simulator_node")
    assert run.exit_codes == dict.fromkeys(nodes, 0), run.log
    assert "Traceback" not in run.log and "the driver has died" not in run.log


def test_the_car_waits_to_be_enabled() -> None:
    run = Run("car", vehicle="simulated", track="oval", autonomous="false", until="stopped: not enabled yet")
    assert "inference_node" not in run.exit_codes and set(run.exit_codes.values()) == {0}, run.log


def test_a_car_without_camera_ends_with_one_line() -> None:
    run = Run("car", vehicle="deepracer", camera="/dev/video77", autonomous="false")
    assert run.exit_codes["camera_node"] == 2, run.log
    assert run.log.count("There is no camera /dev/video77") == 1 and "Traceback" not in run.log


def test_joystick_and_model_meet_in_the_multiplexer(stand_in: Callable[..., None], model: ModelFolder) -> None:
    stand_in("joy/joy_node", "teleop_twist_joy/teleop_node", "twist_mux/twist_mux")
    policy = str(model.path / "policy")
    run = Run("car", vehicle="simulated", track="oval", manual="true", model=policy, until="model /")
    told = {line.split(" got ")[0]: line for line in run.log.splitlines() if " got " in line}
    assert "-r cmd_vel:=manual/cmd_vel" in told["teleop_node"]
    assert "-r cmd_vel_out:=cmd_vel" in told["twist_mux"]
    assert run.commands["inference_node"].count("cmd_vel:=autonomous/cmd_vel") == 1
    assert "cmd_vel:=cmd_vel" not in run.commands["drive_node"]
    mux = yaml.safe_load((FOLDER / "config" / "twist_mux.yaml").read_text())["twist_mux"]["ros__parameters"]
    topics, stop = mux["topics"], mux["locks"]["stop"]
    assert [topics[name]["topic"] for name in ("manual", "autonomous")] == ["manual/cmd_vel", "autonomous/cmd_vel"]
    assert stop["priority"] > topics["manual"]["priority"] > topics["autonomous"]["priority"]
    ((_, teleop),) = yaml.safe_load((FOLDER / "config" / "joystick.yaml").read_text()).items()
    assert teleop["ros__parameters"]["require_enable_button"], "dead-man"
    assert teleop["ros__parameters"]["frame"] != "camera_optical", "drive_node would look for its image"


def test_controllers_get_the_numbers_of_the_vehicle_file(stand_in: Callable[..., None]) -> None:
    controllers = ("controller_manager/ros2_control_node", "controller_manager/spawner")
    stand_in("xacro", "robot_state_publisher/robot_state_publisher", *controllers)
    run = Run(
        "car", vehicle="simulated", track="oval", autonomous="false", control="ros2_control", until="not enabled yet"
    )
    geometry = load_vehicle("deepracer").geometry
    for name in ("wheelbase", "track_front", "track_rear", "wheel_radius"):
        assert f"{name}:={getattr(geometry, name)}" in run.log, "an argument of xacro"
    for name, number in {
        "wheelbase": geometry.wheelbase,
        "traction_track_width": geometry.track_rear,
        "steering_track_width": geometry.track_front,
        "traction_wheels_radius": geometry.wheel_radius,
    }.items():
        assert f"{name}: {number}" in run.log, "a parameter of the controllers"
    assert "joint_states:=hardware_joint_states" in run.commands["drive_node"]
    assert "spawner got joint_state_broadcaster ackermann_steering_controller" in run.log


def test_hardware_and_controllers_name_the_same_joints_and_topics() -> None:
    urdf = (FOLDER / "urdf" / "car_hardware.urdf.xacro").read_text()
    assert {each.tag for each in ElementTree.fromstring(urdf)} >= {"link", "ros2_control"}
    config = yaml.safe_load((FOLDER / "config" / "car_controllers.yaml").read_text())
    parameters = config["ackermann_steering_controller"]["ros__parameters"]
    assert set(parameters["steering_joints_names"]) == set(HINGES)
    assert set(parameters["traction_joints_names"]) == set(DRIVEN_WHEELS)
    for joint in (*HINGES, *DRIVEN_WHEELS):
        assert f'joint="{joint}"' in urdf
    launch = (FOLDER / "launch" / "car.launch.py").read_text()
    for topic in ("joint_commands", "hardware_joint_states"):
        assert f">{topic}</param>" in urdf and f'"{topic}"' in launch
    # The controller refuses a command whose stamp is not of the last `reference_timeout` of ROS time.
    assert '"stamp": IfElseSubstitution(ROS2_CONTROL, "now", "image")' in launch


def test_record_names_topics_that_the_car_has(stand_in: Callable[..., None], tmp_path: Path) -> None:
    stand_in("ros2")
    log = Run("record", folder=str(tmp_path)).log
    assert "bag record --storage mcap" in log and "/camera/image_raw" in log and "/diagnostics" in log
    assert "/camera/image_raw" not in Run("record", folder=str(tmp_path), images="false").log


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
        for node, content in yaml.safe_load(path.read_text()).items():
            assert node in NODES
            assert content["ros__parameters"]


def test_rviz_and_rqt_show_topics_that_the_nodes_publish() -> None:
    layout = yaml.safe_load((FOLDER / "rviz" / "deepracer.rviz").read_text())["Visualization Manager"]
    topics = {display["Topic"]["Value"] for display in layout["Displays"] if "Topic" in display}
    assert topics == {"track_markers", "car_markers", "car_0/path", "car_0/odom", "car_0/camera/image_raw"}
    perspective = json.loads((FOLDER / "rqt" / "deepracer.perspective").read_text())
    manager = perspective["groups"]["pluginmanager"]
    plugins = ast.literal_eval(manager["keys"]["running-plugins"]["repr"])
    names = {f"plugin__{name.replace('/', '__')}__{serial}" for name, serials in plugins.items() for serial in serials}
    assert names == set(manager["groups"])
    from deepracer_training.nodes import evaluator, trainer

    published = {f"/trainer_node/{topic}/data" for topic in trainer.FIGURES.values()}
    published |= {f"/evaluation_node/{topic}/data" for topic in evaluator.FIGURES}
    plots = [group["groups"]["plugin"]["keys"]["topics"] for name, group in manager["groups"].items() if "Plot" in name]
    assert {topic for plot in plots for topic in ast.literal_eval(plot["repr"])} <= published
    depends = {each.text for each in ElementTree.parse(FOLDER / "package.xml").getroot().iter("exec_depend")}
    assert {plugin.split("/")[0] for plugin in plugins} <= depends
