from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteActionSpace
from deepracer_inference.errors import UserError
from deepracer_inference.metadata import ModelMetadata, parse_metadata, read_metadata

DISCRETE = [{"steering_angle": -30, "speed": 0.6}, {"steering_angle": 30, "speed": 0.6}]
CONTINUOUS = {"steering_angle": {"low": -30.0, "high": 30.0}, "speed": {"low": 1.0, "high": 2.0}}


def parsed(**content: Any) -> ModelMetadata:
    return parse_metadata(json.dumps(content), "model_metadata.json")


def test_discrete_file_has_awss_form(discrete: DiscreteActionSpace) -> None:
    text = ModelMetadata(action_space=discrete, neural_network="DEEP_CONVOLUTIONAL_NETWORK").to_json()
    assert json.loads(text) == {
        "action_space": [
            {"steering_angle": -30.0, "speed": 1.0, "index": 0},
            {"steering_angle": 0.0, "speed": 2.0, "index": 1},
            {"steering_angle": 30.0, "speed": 1.0, "index": 2},
        ],
        "sensor": ["FRONT_FACING_CAMERA"],
        "neural_network": "DEEP_CONVOLUTIONAL_NETWORK",
        "training_algorithm": "clipped_ppo",
        "action_space_type": "discrete",
        "version": "5",
    }


def test_continuous_file_has_awss_form(continuous: ContinuousActionSpace) -> None:
    content = json.loads(ModelMetadata(action_space=continuous, neural_network="compact").to_json())
    assert content["action_space"] == {
        "steering_angle": {"low": -20.0, "high": 30.0},
        "speed": {"low": 1.0, "high": 3.0},
    }
    assert content["action_space_type"] == "continuous"


def test_a_written_file_is_read_back_equal(
    tmp_path: Path, discrete: DiscreteActionSpace, continuous: ContinuousActionSpace
) -> None:
    for space in (discrete, continuous):
        metadata = ModelMetadata(action_space=space, neural_network="compact")
        (tmp_path / "model_metadata.json").write_text(metadata.to_json())
        assert read_metadata(tmp_path / "model_metadata.json") == metadata


def test_old_files_without_later_keys_are_read() -> None:
    metadata = parsed(action_space=DISCRETE)
    assert metadata.version == "1"
    assert metadata.neural_network == "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
    assert metadata.action_space.kind == "discrete"


@pytest.mark.parametrize("version", ["1", "2", "3", "4", "5"])
@pytest.mark.parametrize("sensor", ["FRONT_FACING_CAMERA", "observation", "LEFT_CAMERA"])
def test_all_versions_and_names_of_the_camera_are_read(version: str, sensor: str) -> None:
    metadata = parsed(
        action_space=CONTINUOUS,
        action_space_type="continuous",
        sensor=[sensor],
        version=version,
        training_algorithm="sac",
        neural_network="DEEP_CONVOLUTIONAL_NETWORK",
        lidar_config={"unknown": 1},
    )
    assert metadata.version == version
    assert metadata.sensor == ("FRONT_FACING_CAMERA",)
    assert metadata.training_algorithm == "sac"


def test_sensors_are_written_and_read_in_aws_form() -> None:
    lidar = {"num_sectors": 4, "num_values_per_sector": 2, "clipping_dist": 3.5}
    metadata = parsed(
        action_space=CONTINUOUS, sensor=["DISCRETIZED_SECTOR_LIDAR", "STEREO_CAMERAS"], lidar_config=lidar
    )
    assert metadata.sensor == ("STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR")
    written = json.loads(metadata.to_json())
    assert written["sensor"] == ["STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR"]
    assert written["lidar_config"] == lidar
    assert parse_metadata(metadata.to_json(), "again") == metadata


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "the key 'action_space' is missing"),
        ({"action_space": DISCRETE[:1]}, "a list of at least 2 entries is expected"),
        (
            {"action_space": [{"steering_angle": 45, "speed": 1}, DISCRETE[0]]},
            r"action_space\[0\].steering_angle is 45, but a value of at most 30.0 is expected",
        ),
        ({"action_space": [{"speed": 1}, DISCRETE[0]]}, r"the key 'action_space\[0\].steering_angle' is missing"),
        (
            {"action_space": [{**DISCRETE[0], "index": 1}, {**DISCRETE[1], "index": 0}]},
            r"action_space\[0\].index is 1, but 0 is expected",
        ),
        ({"action_space": {**CONTINUOUS, "speed": 2}}, "action_space.speed is 2, but a mapping of keys is expected"),
        ({"action_space": CONTINUOUS, "action_space_type": "discrete"}, "is written as a continuous one"),
        ({"action_space": DISCRETE, "version": "6"}, "version is '6', but '1', '2', '3', '4' or '5' is expected"),
        ({"action_space": DISCRETE, "training_algorithm": "dqn"}, "'clipped_ppo' or 'sac' is expected"),
        ({"action_space": DISCRETE, "sensor": []}, "a camera is missing: add FRONT_FACING_CAMERA or STEREO_CAMERAS"),
        ({"action_space": DISCRETE, "sensor": ["LIDAR"]}, "a camera is missing"),
        (
            {"action_space": DISCRETE, "sensor": ["observation", "LIDAR", "SECTOR_LIDAR"]},
            "LIDAR and SECTOR_LIDAR are forms of the same lidar; choose one of them",
        ),
        (
            {"action_space": DISCRETE, "sensor": ["LEFT_CAMERA", "FRONT_FACING_CAMERA"]},
            "FRONT_FACING_CAMERA is listed twice",
        ),
        (
            {"action_space": DISCRETE, "sensor": ["RADAR"]},
            r"sensor\[0\] is 'RADAR', but 'FRONT_FACING_CAMERA', .* is expected",
        ),
        (
            {
                "action_space": DISCRETE,
                "sensor": ["STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR"],
                "lidar_config": {"num_sectors": 7},
            },
            "lidar_config: num_sectors: 7 is not one of 1, 2, 4, 8, 16, 32, 64",
        ),
    ],
)
def test_a_foreign_file_is_refused_with_a_reason(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parsed(**content)
    assert str(caught.value).startswith("model_metadata.json: ")


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        read_metadata(tmp_path / "model_metadata.json")
    for text in ("", "[]", "null", "{", '{"a": 1, "a": 2}'):
        with pytest.raises(UserError, match=r"^file"):
            parse_metadata(text, "file")
