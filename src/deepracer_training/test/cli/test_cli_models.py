"""`create`, `validate` and `list`, called as a user calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.npy import write_npy
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder


def test_create_makes_a_model_with_the_wanted_settings(deepracer: Any, deepracer_home: Path) -> None:
    result = deepracer("create", "first", "--track", "oval_cw", "--preset", "aws", "--seed", 5, "--json")
    assert result.code == 0, result.err
    folder = ModelFolder.open("first")
    assert result.json["path"] == str(deepracer_home / "models" / "first")
    assert ModelConfig.model_validate(result.json["config"], strict=False) == folder.config
    assert folder.config.track == "oval_cw"
    assert folder.config.training.seed == 5
    assert "def reward_function(params)" in folder.reward.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        '{"steering_angle": {"low": -20, "high": 20}, "speed": {"low": 0.5, "high": 3}}',
        '{"action_space": {"steering_angle": {"low": -20, "high": 20}, "speed": {"low": 0.5, "high": 3}}}',
    ],
)
def test_create_takes_an_action_space_as_json_or_from_a_file(deepracer: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "model_metadata.json").write_text(text, encoding="utf-8")
    for name, value in (("inline", text), ("file", "model_metadata.json")):
        assert deepracer("create", name, "--action-space", value).code == 0
        assert ModelFolder.open(name).config.action_space.max_speed == 3.0


def test_create_takes_sensors_and_the_training_algorithm(deepracer: Any) -> None:
    words = ("--algorithm", "sac", "--sensor", "SECTOR_LIDAR", "--sensor", "STEREO_CAMERAS")
    result = deepracer("create", "first", *words)
    assert result.code == 0, result.err
    config = ModelFolder.open("first").config
    assert config.training_algorithm == "sac"
    assert config.observation.sensors == ("STEREO_CAMERAS", "SECTOR_LIDAR")
    assert "STEREO_CAMERAS, SECTOR_LIDAR" in result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--algorithm", "sak"), "did you mean 'sac'?"),
        (("--algorithm", "sac", "--action-space", "discrete"), "needs a continuous action space"),
        (("--sensor", "LIDAR"), "a camera is missing"),
        (("--sensor", "FRONT_FACING_CAMERA", "--sensor", "LIDER"), "sensors[1] is 'LIDER'"),
    ],
)
def test_create_refuses_what_does_not_go_together(deepracer: Any, words: tuple[str, ...], message: str) -> None:
    result = deepracer("create", "first", *words)
    assert result.code == 2
    assert message in result.err


def test_create_remembers_the_place_of_a_track_file(deepracer: Any, tmp_path: Path) -> None:
    write_npy(load_track("oval"), tmp_path / "mine.npy")
    assert deepracer("create", "first", "--track", "mine.npy").code == 0
    assert ModelFolder.open("first").config.track == str(tmp_path / "mine.npy")


def test_create_replaces_a_model_only_when_told_twice(deepracer: Any) -> None:
    assert deepracer("create", "first").code == 0
    assert deepracer("create", "first").code == 2
    asked = deepracer("create", "first", "--track", "oval", "--replace")
    assert asked.code == 2
    assert "--force" in asked.err
    assert ModelFolder.open("first").config.track == "riverside"
    assert deepracer("create", "first", "--track", "oval", "--replace", "--force").code == 0
    assert ModelFolder.open("first").config.track == "oval"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--track", "riversid"], "did you mean 'riverside'"),
        (["--track", "nowhere.npy"], "nowhere.npy"),
        (["--preset", "quick"], "no preset 'quick'"),
        (["--action-space", "continuos"], "--action-space is 'continuos'"),
        (["--action-space", "missing.json"], "There is no file missing.json"),
        (["--action-space", "{"], "--action-space is not JSON"),
        (["--action-space", '[{"steering_angle": 45, "speed": 1}, {"steering_angle": 0, "speed": 1}]'], "45"),
        (["--reward", "progres"], "did you mean 'progress'"),
        (["--reward", "missing.py"], "There is no file missing.py"),
        (["--reward", "broken.py"], "broken.py:2"),
        (["--reward", "fails.py"], "KeyError"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_create_refuses_what_cannot_be_trained(
    deepracer: Any, deepracer_home: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "broken.py").write_text("def reward_function(params):\n    return (\n", encoding="utf-8")
    (tmp_path / "fails.py").write_text("def reward_function(params):\n    return params[1]\n", encoding="utf-8")
    result = deepracer("create", "first", *words)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    assert not (deepracer_home / "models" / "first").exists()


def test_validate_says_line_and_reason(deepracer: Any, tmp_path: Path, small_model: Any) -> None:
    folder = small_model()
    assert deepracer("validate", "small").code == 0
    folder.reward.write_text("def reward_function(params):\n    return params['speeed']\n", encoding="utf-8")
    result = deepracer("validate", "small")
    assert result.code == 2
    assert "reward_function.py:2" in result.out
    assert "speed" in result.out
    answer = deepracer("validate", folder.reward, "--json")
    assert answer.code == 2
    assert answer.json["ok"] is False
    assert answer.json["findings"][0]["line"] == 2


def test_one_broken_model_does_not_hide_the_others(deepracer: Any, small_model: Any) -> None:
    small_model("a")
    small_model("b").config_path.write_text("name: [\n", encoding="utf-8")
    listed = deepracer("list", "--json")
    assert listed.code == 0
    assert [entry["model"] for entry in listed.json] == ["a", "b"]
    assert "model.yaml" in listed.json[1]["error"]
    assert deepracer("list").code == 0


def test_list_without_models_says_how_to_make_one(deepracer: Any) -> None:
    result = deepracer("list")
    assert result.code == 0
    assert "deepracer create" in result.out
    assert deepracer("list", "--json").json == []
