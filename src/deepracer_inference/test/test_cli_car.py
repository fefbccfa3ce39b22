"""The command `deepracer-car`, called as on a car, with a folder that looks like /sys."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the command needs the extra `cli`")

import deepracer_inference
from deepracer_inference.calibrate import bench
from deepracer_inference.calibration import Calibration, load_calibration, save_calibration
from deepracer_inference.cli.main import main
from deepracer_inference.drive.fake_board import make_board, read_pulses
from deepracer_inference.model_archive import write_model_archive
from deepracer_inference.vehicle import Vehicle, load_vehicle


@pytest.fixture
def vehicle() -> Vehicle:
    return load_vehicle("deepracer")


@pytest.fixture(autouse=True)
def car_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "car"


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run


class Answers:
    """A keyboard with someone who reads what was asked last."""

    def __init__(self, capfd: pytest.CaptureFixture[str], answer: Callable[[str], str]) -> None:
        self._capfd, self._answer, self.shown = capfd, answer, ""

    def readline(self) -> str:
        text = self._capfd.readouterr().out
        self.shown += text
        return self._answer(text.splitlines()[-1])


@pytest.fixture
def board(tmp_path: Path, vehicle: Vehicle) -> Path:
    make_board(tmp_path / "sys", vehicle.pwm)
    return tmp_path / "sys"


def test_calibrate_asks_its_way_to_a_saved_calibration(
    board: Path, vehicle: Vehicle, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A car of 24 degrees per 250 us, and 0.025 m/s per us beyond a dead band of 12 us. Its runs take no time.
    throttle, seconds, mistakes = 0, 0.0, ["maybe", "99", "x"]

    def run(self: bench.BoardBench, steering_ns: int, throttle_ns: int, duration: float) -> None:
        nonlocal throttle, seconds
        throttle, seconds = throttle_ns, duration

    monkeypatch.setattr(bench.BoardBench, "run", run)

    def answer(question: str) -> str:
        pulses = read_pulses(board, vehicle.pwm)
        assert pulses is not None
        speed = max(0.0, (abs(throttle - 1_446_000) - 12_000) * 25e-6)
        if "did the wheels turn" in question:
            return "y\n" if speed > 0 else "n\n"
        if "Angle of" in question:
            return mistakes.pop() + "\n" if mistakes[1:] else f"{(pulses[0] - 1_450_000) / 250_000 * 24:.1f}\n"
        if "Length of the run" in question:
            return f"{speed * (seconds - 0.1):.2f}\n"
        if "Are all wheels free" in question and mistakes:
            return mistakes.pop() + "\n"
        return "\n" if "Enter if so" in question else "y\n"

    keyboard = Answers(capfd, answer)
    monkeypatch.setattr(sys, "stdin", keyboard)
    code = main(["calibrate", "--sysfs", str(board), "--top-speed", "1.5"])
    captured = capfd.readouterr()
    assert code == 0, captured.err
    assert "'x' is not a number" in keyboard.shown
    assert "99 is not between -50 and 50" in keyboard.shown
    assert "Please answer y or n" in keyboard.shown
    calibration = load_calibration(vehicle)
    assert calibration.is_measured
    assert calibration.pulses(0.4189, 1.0)[0] == pytest.approx(1_700_000, abs=3000)  # 24 degrees
    assert calibration.pulses(0.0, 1.0)[1] == pytest.approx(1_446_000 - 12_000 - 40_000, abs=2000)
    assert read_pulses(board, vehicle.pwm) == (1_450_000, 1_446_000), "neutral in the end"


def test_calibrate_that_is_given_up_saves_nothing(
    board: Path, vehicle: Vehicle, car_home: Path, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n"))
    code, _, err = command("calibrate", "--sysfs", board)
    assert code == 2
    assert "nothing has been saved" in err
    assert not (car_home / "calibration.yaml").exists()
    assert read_pulses(board, vehicle.pwm) == (1_450_000, 1_446_000)


def test_calibrate_without_a_board_says_so(tmp_path: Path, command: Any) -> None:
    code, _, err = command("calibrate", "--sysfs", tmp_path)
    assert code == 2
    assert "There is no PWM chip" in err
    assert command("calibrate", "--method", "eyes")[0] == 2


def test_calibration_goes_to_aws_and_back(tmp_path: Path, command: Any, vehicle: Vehicle, car_home: Path) -> None:
    assert command("calibration", "export", tmp_path / "aws.json")[0] == 0
    content = json.loads((tmp_path / "aws.json").read_text())
    content["Calibration"]["Servo"]["mid"] = 1_440_000
    (tmp_path / "aws.json").write_text(json.dumps(content))
    code, out, err = command("calibration", "import", tmp_path / "aws.json", "--json")
    assert code == 0, err
    assert json.loads(out)["path"] == str(car_home / "calibration.yaml")
    assert load_calibration(vehicle).neutral[0] == 1_440_000
    code, out, _ = command("calibration", "show", "--json")
    assert json.loads(out)["is_measured"] is False
    code, out, _ = command("calibration", "show")
    assert "promises of the vehicle file" in out
    assert "1440" in out
    save_calibration(Calibration.from_vehicle(vehicle))
    assert command("calibration", "undo")[0] == 0
    assert load_calibration(vehicle).neutral[0] == 1_440_000


def test_models_are_installed_selected_and_rolled_back(
    tmp_path: Path, policy_folder: Path, vehicle: Vehicle, command: Any
) -> None:
    for name in ("one", "two"):
        write_model_archive(tmp_path / f"{name}.tar.gz", name, policy_folder, vehicle)
    assert "There are no models" in command("models")[1]
    code, out, err = command("install", "--select", "--json", tmp_path / "one.tar.gz")
    assert code == 0, err
    one = json.loads(out)["model"]
    assert command("install", tmp_path / "two.tar.gz")[0] == 0
    assert json.loads(command("models", "--json")[1])[0]["state"] == "selected"
    assert command("select", "two")[0] == 0
    assert json.loads(command("rollback", "--json")[1])["model"] == one
    assert "previous" in command("models")[1]
    code, _, err = command("select", "three")
    assert code == 2
    assert "no model 'three'" in err


def test_the_way_back_is_refused_when_the_car_has_changed_since(
    tmp_path: Path, policy_folder: Path, vehicle: Vehicle, command: Any
) -> None:
    for name in ("one", "two"):
        write_model_archive(tmp_path / f"{name}.tar.gz", name, policy_folder, vehicle)
        assert command("install", "--select", tmp_path / f"{name}.tar.gz")[0] == 0
    measured = Calibration.from_vehicle(vehicle).model_dump()
    for point in measured["steering"]:
        point["angle"] *= 0.5
    save_calibration(Calibration.model_validate(measured))
    code, _, err = command("rollback")
    assert code == 2
    assert "it steers from -30.0 to 30.0 degrees, but the car reaches -15.0 to 15.0" in err
    assert "two@" in err and "stays selected" in err
    states = {entry["model"].split("@")[0]: entry["state"] for entry in json.loads(command("models", "--json")[1])}
    assert states == {"one": "previous", "two": "selected"}


def test_a_model_that_does_not_fit_is_not_selected(
    tmp_path: Path, policy_folder: Path, vehicle: Vehicle, command: Any
) -> None:
    write_model_archive(tmp_path / "one.tar.gz", "one", policy_folder, vehicle)
    code, _, err = command("install", "--select", "--vehicle", "raspberry_pi", tmp_path / "one.tar.gz")
    assert code == 2
    assert "does not fit this Raspberry Pi car: it steers from -30.0 to 30.0 degrees" in err
    assert [entry["state"] for entry in json.loads(command("models", "--json")[1])] == [None]


def test_a_calibration_that_is_killed_leaves_the_motor_at_rest(board: Path, vehicle: Vehicle) -> None:
    script = f"""
from pathlib import Path
from deepracer_inference.calibrate.bench import BoardBench
from deepracer_inference.vehicle import load_vehicle
BoardBench(load_vehicle("deepracer"), (1450000, 1446000), Path({str(board)!r})).run(1500000, 1350000, 5.0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    deadline = time.monotonic() + 60.0
    while read_pulses(board, vehicle.pwm) != (1_500_000, 1_350_000):
        assert time.monotonic() < deadline
    process.kill()
    process.wait()
    while read_pulses(board, vehicle.pwm) != (1_450_000, 1_446_000):
        assert time.monotonic() < deadline


def test_the_command_needs_no_training_library() -> None:
    script = """
import sys
from deepracer_inference.cli.main import main
import deepracer_inference.calibrate.wizard, deepracer_inference.calibrate.bench, deepracer_inference.model_store
print(sorted(set(sys.modules) & {"torch", "onnx", "numba", "scipy", "matplotlib", "deepracer_training"}))
"""
    source = Path(deepracer_inference.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
