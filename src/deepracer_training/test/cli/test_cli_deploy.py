"""`export`, `deploy`, `rollback` and `protractor`, with an ssh that leads to a folder of this machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepracer_inference.archive import read_archive
from deepracer_inference.model_archive import read_model_archive
from deepracer_inference.model_store import ModelStore
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import load_vehicle
from deepracer_training.models.folder import ModelFolder
from deepracer_training.quantization import drive
from deepracer_training.report.protractor import sheet_figure


@pytest.fixture
def car(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ModelStore]:
    """A car behind ssh and scp: a home of its own, where commands are run by a shell. Returns its models."""
    home, programs = tmp_path / "car_home", tmp_path / "programs"
    for folder in (home, programs):
        folder.mkdir()
    scripts = {
        "ssh": 'echo "$@" >> "$LOG"\n[ "$1" = pi@nowhere ] && exit 255\nshift\ncd "$CAR" && exec sh -c "$*"\n',
        "scp": 'echo "$@" >> "$LOG"\ncase "$3" in pi@nowhere:*) exit 1;; esac\ncp "$2" "$CAR/${3#*:}"\n',
        "deepracer-car": f'exec {sys.executable} -c "import sys; from deepracer_inference.cli.main import main; '
        'sys.exit(main())" "$@"\n',
    }
    for name, script in scripts.items():
        (programs / name).write_text(
            f'#!/bin/sh\nLOG="{tmp_path}/log"\nCAR="{home}"\n'
            f'[ "$(basename "$0")" = deepracer-car ] && export DEEPRACER_HOME="$CAR"\n{script}'
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return lambda: ModelStore(home / "car" / "models")


def test_export_writes_the_policy_the_vehicle_and_nothing_else(
    deepracer: Any, trained: ModelFolder, tmp_path: Path
) -> None:
    result = deepracer("export", "small", "-o", "out.tar.gz", "--json")
    assert result.code == 0, result.err
    assert result.json["bytes"] == (tmp_path / "out.tar.gz").stat().st_size
    archive = read_model_archive(tmp_path / "out.tar.gz")
    assert archive.name == "small"
    assert archive.vehicle == load_vehicle("deepracer")
    assert archive.files["policy/policy.onnx"] == (trained.policy / "policy.onnx").read_bytes()
    assert not [name for name in read_archive(tmp_path / "out.tar.gz") if name.endswith(".py")]
    first = (tmp_path / "out.tar.gz").read_bytes()
    assert "15 Hz" in deepracer("export", "small").out
    assert (tmp_path / "small.tar.gz").read_bytes() == first


def test_export_needs_a_trained_model(deepracer: Any, small_model: Any) -> None:
    small_model("fresh")
    result = deepracer("export", "fresh")
    assert result.code == 2
    assert "has not been trained yet" in result.err
    assert deepracer("export", "missing").code == 2


def test_int8_tells_how_much_the_actions_change(deepracer: Any, trained: ModelFolder, tmp_path: Path) -> None:
    result = deepracer("export", "small", "--int8", "--json")
    assert result.code == 0, result.err
    told = result.json["int8"]
    store = ModelStore(tmp_path / "models")
    small = store.policy(store.install(tmp_path / "small.tar.gz"))
    original = load_policy(trained.policy)
    assert b"QuantizeLinear" in small.onnx
    assert small.manifest.action_space == original.manifest.action_space
    # An independent look at the same figures: other images of the same drive.
    images = drive(original, trained.config, load_vehicle("deepracer"))
    before, after = OnnxPolicy(original).act(images), OnnxPolicy(small).act(images)
    steering = np.rad2deg(np.abs(before.steering_angle - after.steering_angle))
    assert 0.0 < told["steering_mean_deg"] == pytest.approx(steering.mean(), rel=0.5)
    assert told["steering_max_deg"] <= steering.max() + 1e-6
    assert told["steering_max_deg"] < 10.0
    assert small.manifest.provenance["int8_steering_max_deg"] == pytest.approx(told["steering_max_deg"], abs=1e-4)
    assert "steering changes by" in deepracer("export", "small", "--int8").out


def test_deploy_brings_a_model_and_rollback_the_one_before(
    deepracer: Any, trained: ModelFolder, car: Callable[[], ModelStore], tmp_path: Path
) -> None:
    result = deepracer("deploy", "small", "pi@car")
    assert result.code == 0, result.err
    assert "small drives pi@car now" in result.out
    first = car().current
    assert first
    assert first.startswith("small@")
    assert car().policy().onnx == (trained.policy / "policy.onnx").read_bytes()
    assert not list((tmp_path / "car_home").glob("*.tar.gz")), "the archive does not stay"
    assert deepracer("deploy", "small", "pi@car", "--int8").code == 0
    assert car().current != first
    assert deepracer("rollback", "pi@car").code == 0
    assert car().current == first


def test_a_dry_run_only_tells(
    deepracer: Any, trained: ModelFolder, car: Callable[[], ModelStore], tmp_path: Path
) -> None:
    result = deepracer("deploy", "small", "pi@car", "--dry-run")
    assert result.code == 0, result.err
    assert deepracer("rollback", "pi@car", "--dry-run").out.startswith("ssh pi@car")
    assert car().models() == []
    assert not (tmp_path / "log").exists()


def test_what_a_dry_run_tells_can_be_typed(
    deepracer: Any, trained: ModelFolder, car: Callable[[], ModelStore], tmp_path: Path
) -> None:
    export, *others = deepracer("deploy", "small", "pi@car", "--dry-run").out.splitlines()
    program, *words = shlex.split(export)
    assert program == "deepracer"
    assert deepracer(*words).code == 0
    for line in others:
        subprocess.run(line, shell=True, check=True, cwd=tmp_path)
    typed = car().current
    assert typed
    assert deepracer("deploy", "small", "pi@car", "--json").json["commands"] == [export, *others]
    assert car().current == typed, "the very same archive"


def test_a_car_that_refuses_keeps_its_model(
    deepracer: Any, trained: ModelFolder, car: Callable[[], ModelStore], tmp_path: Path
) -> None:
    result = deepracer("deploy", "small", "pi@car", "--program", "deepracer-car")
    assert result.code == 0
    before = car().current
    # A car that was measured to reach 10 degrees only.
    calibration = (
        "vehicle: deepracer\nsteering_method: protractor\nthrottle_method: timed distance\nsteering:\n"
        "- {pulse_ns: 1200000, angle: -0.17}\n- {pulse_ns: 1700000, angle: 0.17}\nthrottle:\n  neutral_ns: 1450000\n"
        "  forward_from_ns: 1450000\n  reverse_from_ns: 1450000\n  forward:\n  - {pulse_ns: 1400000, speed: 4.0}\n"
    )
    (tmp_path / "car_home" / "car" / "calibration.yaml").write_text(calibration)
    result = deepracer("deploy", "small", "pi@car")
    assert result.code == 2
    assert "but the car reaches -9.7 to 9.7" in result.err
    assert "the model before drives on" in result.err
    assert car().current == before


@pytest.mark.parametrize(
    ("host", "code", "message"),
    [
        ("pi@nowhere", 1, "pi@nowhere cannot be reached by scp"),
        ("-oProxyCommand=touch evil", 2, "is not a car's address"),
        ("pi@car; touch evil", 2, "is not a car's address"),
        ("pi@fe80::1", 2, "is not a car's address"),
    ],
)
def test_a_wrong_address_is_refused(
    deepracer: Any,
    trained: ModelFolder,
    car: Callable[[], ModelStore],
    tmp_path: Path,
    host: str,
    code: int,
    message: str,
) -> None:
    result = deepracer("deploy", "small", "--", host)
    assert (result.code, message in result.err) == (code, True), result.err
    assert deepracer("rollback", "--", host).code == code
    assert not (tmp_path / "evil").exists()


def test_the_program_may_stand_in_the_cars_home(
    deepracer: Any,
    trained: ModelFolder,
    car: Callable[[], ModelStore],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # Of both machines here.
    result = deepracer("deploy", "small", "pi@car", "--program", "~/programs/deepracer-car")
    assert result.code == 0, result.err
    assert car().models()
    for wrong in ("", "deepracer-car '"):
        result = deepracer("rollback", "pi@car", "--program", wrong)
        assert (result.code, "--program" in result.err) == (2, True), result.err


def test_a_car_without_the_program_is_told_how_to_get_it(
    deepracer: Any, trained: ModelFolder, car: Callable[[], ModelStore]
) -> None:
    result = deepracer("deploy", "small", "pi@car", "--program", "deepracer-auto")
    assert result.code == 2
    assert "install deepracer_inference[cli] there" in result.err


def test_the_sheet_is_true_to_size(deepracer: Any, tmp_path: Path) -> None:
    result = deepracer("protractor")
    assert result.code == 0, result.err
    content = (tmp_path / "protractor.pdf").read_bytes()
    # A4 landscape in points of 1/72 inch.
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", content)
    assert box
    assert [float(size) for size in box.groups()] == pytest.approx([297 / 25.4 * 72, 210 / 25.4 * 72], abs=0.1)
    (axes,) = sheet_figure(load_vehicle("deepracer")).axes
    lines = [line for line in (np.asarray(each.get_xydata()) for each in axes.lines) if len(line) == 2]
    # The line of 20 degrees to the left: 20 degrees from straight ahead, half a tyre beside its wheel's cross.
    crosses = (148.5 - 79.6, 148.5 + 79.6)
    slopes = {round(float(np.rad2deg(np.arctan2(a[0] - b[0], b[1] - a[1]))), 3) for a, b in lines if a[1] != b[1]}
    assert {20.0, -20.0, 1.0} <= slopes
    for cross, side in zip(crosses, (-1, 1), strict=True):
        distances = []
        for a, b in lines:
            direction = (b - a) / np.linalg.norm(b - a)
            if abs(np.rad2deg(np.arctan2(-direction[0], direction[1])) - 20.0) < 1e-6:
                away = np.array([cross, 85.0]) - a
                distances.append(float(away[0] * direction[1] - away[1] * direction[0]))
        assert min(distances, key=lambda value: abs(abs(value) - 13.0)) == pytest.approx(-side * 13.0, abs=1e-6)
    assert deepracer("protractor", "--paper", "a5").code == 2
