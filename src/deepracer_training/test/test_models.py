"""Model configurations and folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.config import dump_yaml, load_yaml, parse
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import home
from deepracer_inference.observation import ObservationSpec
from deepracer_training.models import folder as folder_module
from deepracer_training.models.config import (
    SMALLEST_IMAGE_SIDE,
    Hyperparameters,
    ModelConfig,
    discrete_action_space,
    preset_config,
)
from deepracer_training.models.folder import ModelFolder, model_names
from deepracer_training.networks import ARCHITECTURES, Encoder

REWARD = "def reward_function(params):\n    return 1.0\n"


@pytest.fixture(autouse=True)
def deepracer_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def config(name: str = "first") -> ModelConfig:
    return preset_config("fast", name=name, track="riverside")


def changed(section: str, key: str, value: Any) -> dict[str, Any]:
    data = preset_config("fast", name="first", track="riverside").model_dump(mode="json")
    (data[section] if section else data)[key] = value
    return data


def test_hyperparameters_default_to_those_of_deepracer_on_aws() -> None:
    assert Hyperparameters().model_dump() == {
        "batch_size": 64,
        "num_epochs": 10,
        "lr": 0.0003,
        "beta_entropy": 0.01,
        "discount_factor": 0.99,
        "loss_type": "huber",
        "num_episodes_between_training": 20,
        "sac_alpha": 0.2,
    }


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("hyperparameters", "num_epochs", 11, "11 is not between 3 and 10"),
        ("hyperparameters", "num_epochs", 2, "2 is not between 3 and 10"),
        ("hyperparameters", "batch_size", 100, "100 is not one of 32, 64, 128, 256, 512"),
        ("hyperparameters", "lr", 0.01, "0.01 is not between 1e-08 and 0.001: AWS's range"),
        ("hyperparameters", "beta_entropy", -0.1, "-0.1 is not between 0 and 1"),
        ("hyperparameters", "discount_factor", 1.5, "1.5 is not between 0 and 1"),
        ("hyperparameters", "num_episodes_between_training", 4, "4 is not between 5 and 100"),
        ("hyperparameters", "loss_type", "l1", "'huber' or 'mean squared error' is expected"),
        ("hyperparameters", "batch_sise", 64, "did you mean 'batch_size'?"),
        ("training", "cars", 257, "257 is not between 2 and 256"),
        ("training", "start", "randon", "'random' or 'round_robin' is expected"),
        ("", "network", "DEEP", "network is 'DEEP'"),
        ("", "trakc", "oval", "did you mean 'track'?"),
    ],
)
def test_what_is_out_of_range_is_named_and_explained(section: str, key: str, value: object, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(changed(section, key, value), ModelConfig, "model.yaml")
    message = str(caught.value)
    assert message.startswith("model.yaml: ")
    assert expected in message
    assert f"{section}.{key}" in message or not section


def test_mse_is_short_for_mean_squared_error() -> None:
    parsed = parse(changed("hyperparameters", "loss_type", "mse"), ModelConfig, "model.yaml")
    assert parsed.hyperparameters.loss_type == "mean squared error"


def test_a_network_of_aws_needs_a_large_enough_image() -> None:
    # 36 = 8 + 4 * (4 + 2 * (3 - 1) - 1) leaves one pixel after kernels 8, 4, 3 with strides 4, 2, 1.
    data = changed("", "network", "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW")
    data["observation"] = {"width": 64, "height": 36, "crop_top": 0.0}
    assert parse(data, ModelConfig, "model.yaml").observation.height == 36
    data["observation"]["height"] = 35
    with pytest.raises(UserError, match=r"at least 36 x 36 pixels, but observation is 64 x 35"):
        parse(data, ModelConfig, "model.yaml")


def test_a_rollout_must_fill_a_batch_and_fit_into_memory() -> None:
    with pytest.raises(UserError, match=r"256 samples, fewer than one batch_size of 512"):
        parse(changed("training", "cars", 8), ModelConfig, "model.yaml")
    data = changed("training", "cars", 256)
    data["training"]["horizon_steps"] = 1024
    data["observation"] = {"width": 160, "height": 120, "crop_top": 0.0}
    with pytest.raises(UserError, match="4800 MiB, more than the 256 MiB allowed"):
        parse(data, ModelConfig, "model.yaml")


@pytest.mark.parametrize("preset", ["fast", "aws"])
def test_a_preset_survives_the_way_through_yaml(preset: str, tmp_path: Path) -> None:
    before = preset_config(preset, name="first", track="oval", action_space=discrete_action_space(), seed=7)
    dump_yaml(before, tmp_path / "model.yaml")
    assert load_yaml(tmp_path / "model.yaml", ModelConfig) == before
    assert before.training.seed == 7


def test_the_aws_preset_is_what_aws_does() -> None:
    aws = preset_config("aws", name="first", track="oval")
    assert aws.network == "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
    assert (aws.observation.width, aws.observation.height, aws.observation.crop_top) == (160, 120, 0.0)
    assert aws.hyperparameters == Hyperparameters()
    assert (aws.training.update_schedule, aws.training.start) == ("episodes", "round_robin")


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UserError, match="no preset 'quick'"):
        preset_config("quick", name="first", track="oval")


def test_home_is_the_environment_variable_or_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home() == tmp_path / "home"
    monkeypatch.delenv("DEEPRACER_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".deepracer"


def test_a_created_model_can_be_opened(deepracer_home: Path) -> None:
    ModelFolder.create("first", config(), REWARD)
    folder = ModelFolder.open("first")
    assert folder.path == deepracer_home / "models" / "first"
    assert folder.config == config()
    assert folder.reward.read_text(encoding="utf-8") == REWARD
    assert model_names() == ["first"]


def test_a_copied_folder_goes_by_its_new_name(deepracer_home: Path) -> None:
    original = ModelFolder.create("first", config(), REWARD)
    original.path.rename(deepracer_home / "models" / "second")
    assert ModelFolder.open("second").config.name == "second"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../evil", "a/b", "/etc", ".hidden", "-option", "a b", "ä", "a\n", "a\0", "x" * 65]
)
def test_names_that_are_no_plain_folder_names_are_refused(name: str, deepracer_home: Path) -> None:
    with pytest.raises(UserError, match="cannot name a model"):
        ModelFolder.create(name, config(), REWARD)
    with pytest.raises(UserError, match="cannot name a model"):
        ModelFolder.open(name)
    assert not deepracer_home.exists()


def test_an_existing_model_is_not_overwritten() -> None:
    folder = ModelFolder.create("first", config(), REWARD)
    with pytest.raises(UserError, match="'first' exists"):
        ModelFolder.create("first", config(), "other")
    assert folder.reward.read_text(encoding="utf-8") == REWARD


def test_replacing_a_model_removes_its_training() -> None:
    folder = ModelFolder.create("first", config(), REWARD)
    folder.metrics_jsonl.write_text("{}\n", encoding="utf-8")
    ModelFolder.create("first", config(), "# new\n", replace=True)
    assert folder.reward.read_text(encoding="utf-8") == "# new\n"
    assert not folder.metrics_jsonl.exists()


def test_a_failed_creation_leaves_nothing_behind(deepracer_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, data: object) -> None:
        raise DeepRacerError(f"Cannot write {path}: the disk is full")

    monkeypatch.setattr(folder_module, "write_atomic", full_disk)
    with pytest.raises(DeepRacerError, match="the disk is full"):
        ModelFolder.create("first", config(), REWARD)
    assert [entry.name for entry in (deepracer_home / "models").iterdir()] == [".lock"]


def test_a_failed_replacement_keeps_the_old_model(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ModelFolder.create("first", config(), REWARD)

    def full_disk(path: Path, data: object) -> None:
        raise DeepRacerError(f"Cannot write {path}: the disk is full")

    monkeypatch.setattr(folder_module, "write_atomic", full_disk)
    with pytest.raises(DeepRacerError):
        ModelFolder.create("first", config(), "other", replace=True)
    assert folder.reward.read_text(encoding="utf-8") == REWARD
    assert model_names() == ["first"]


def test_an_unknown_model_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="deepracer create"):
        ModelFolder.open("frist")
    ModelFolder.create("first", config(), REWARD)
    with pytest.raises(UserError, match="did you mean 'first'"):
        ModelFolder.open("frist")


def test_a_folder_without_model_yaml_is_not_a_model(deepracer_home: Path) -> None:
    (deepracer_home / "models" / "empty").mkdir(parents=True)
    with pytest.raises(UserError, match=r"its model\.yaml is missing"):
        ModelFolder.open("empty")
    assert model_names() == []


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "file"))
    with pytest.raises(DeepRacerError, match="Cannot create the folder"):
        ModelFolder.create("first", config(), REWARD)


HOLD_LOCK = """
import sys
from deepracer_training.models.folder import ModelFolder
with ModelFolder.open("first").lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_trainer_is_refused_until_the_first_one_dies() -> None:
    folder = ModelFolder.create("first", config(), REWARD)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    with holder, holder.stdin, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DeepRacerError, match="is being trained by another process"), folder.lock():
            pass
        with pytest.raises(DeepRacerError, match="is being trained by another process"):
            ModelFolder.create("first", config(), "other", replace=True)
        holder.kill()
        holder.wait()
    with folder.lock():
        assert folder.reward.read_text(encoding="utf-8") == REWARD


@pytest.mark.parametrize("network", ARCHITECTURES)
def test_the_smallest_image_of_each_network_is_the_one_that_it_can_take(network: str) -> None:
    smallest = SMALLEST_IMAGE_SIDE[network]
    Encoder(ARCHITECTURES[network], ObservationSpec(width=smallest, height=smallest, crop_top=0.0))
    with pytest.raises(UserError):
        Encoder(ARCHITECTURES[network], ObservationSpec(width=smallest - 1, height=smallest, crop_top=0.0))
