"""Fixtures of the command line's tests: a home of their own, and a command that runs in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepracer_training.cli.main import main
from deepracer_training.models.config import TrainingConfig, preset_config
from deepracer_training.models.folder import ModelFolder

COARSE = "deepracer_sim.camera.world.FINEST_TEXEL", 0.02
"""Or drawing the worlds takes longest."""


@pytest.fixture(autouse=True)
def deepracer_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(*COARSE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


class Result:
    """What a command printed and returned."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def deepracer(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in this process; `capfd` sees what its libraries write, too."""

    def run(*words: object) -> Result:
        capfd.readouterr()
        code = main([str(word) for word in words])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def make_small_model(name: str = "small") -> ModelFolder:
    config = preset_config("fast", name=name, track="pebble")
    training = TrainingConfig(cars=4, horizon_steps=16, max_episode_steps=60)
    hyperparameters = config.hyperparameters.model_copy(update={"batch_size": 32, "num_epochs": 3})
    config = config.model_copy(update={"training": training, "hyperparameters": hyperparameters})
    return ModelFolder.create(name, config, "def reward_function(params):\n    return params['progress'] / 100.0\n")


@pytest.fixture
def small_model() -> Callable[..., ModelFolder]:
    """Make a model that trains in a moment; takes its name."""
    return make_small_model


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the model `small`, trained for a moment."""
    home = tmp_path_factory.mktemp("trained") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPRACER_HOME", str(home))
        patch.setattr(*COARSE)
        make_small_model()
        assert main(["train", "small", "--steps", "64"]) == 0
    return home


@pytest.fixture
def trained(trained_home: Path, deepracer_home: Path) -> ModelFolder:
    """The trained model `small` in this test's own home."""
    shutil.copytree(trained_home, deepracer_home)
    return ModelFolder.open("small")


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """Return every file below a folder with its content."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read
