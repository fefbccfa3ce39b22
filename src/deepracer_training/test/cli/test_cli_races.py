"""Race types on the command line: what `create` writes, and what bad input is answered."""

from __future__ import annotations

import pytest

from deepracer_training.cli.races import read_race
from deepracer_training.models.folder import ModelFolder, model_names


def test_create_writes_the_race(deepracer) -> None:
    result = deepracer("create", "boxes", "--race-type", "object_avoidance", "--objects", "2", "--json")
    assert result.code == 0
    assert result.json["config"]["race_type"] == "object_avoidance"
    assert result.json["config"]["race"]["boxes"]["number"] == 2
    folder = ModelFolder.open("boxes")
    assert folder.config.race is not None
    assert "threat" in folder.reward.read_text()  # the example for races
    result = deepracer("create", "bots", "--race-type", "head_to_head", "--bot-speed", "0.75")
    assert "3 bot cars at 0.75 m/s, with lane changes" in result.out
    assert "FRONT_FACING_CAMERA, LIDAR" in result.out  # who is passed is out of the camera's sight
    result = deepracer("create", "blind", "--race-type", "head_to_head", "--sensor", "FRONT_FACING_CAMERA", "--json")
    assert result.json["config"]["observation"]["sensors"] == ["FRONT_FACING_CAMERA"]


def test_places_are_written_as_on_aws() -> None:
    _, race = read_race("object_avoidance", "0.23,-1;0.46,1", None)
    assert race is not None
    assert race.boxes is not None
    assert [(place.at, place.lane) for place in race.boxes.fixed] == [(0.23, "outer"), (0.46, "inner")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--race-type", "object_avoidence"], "did you mean 'object_avoidance'"),
        (["--objects", "3"], "--objects needs --race-type"),
        (["--race-type", "object_avoidance", "--objects", "7"], "--objects is 7, but 1 to 6"),
        (["--race-type", "object_avoidance", "--objects", "0.2"], "'0.2' is no place of a box"),
        (["--race-type", "object_avoidance", "--objects", "1.2,1"], "'1.2,1' is no place of a box"),
        (["--race-type", "head_to_head", "--objects", "0.2,1"], "for bot cars a number"),
        (["--race-type", "object_avoidance", "--bot-speed", "1"], "--bot-speed needs --race-type head_to_head"),
        (["--race-type", "object_avoidance", "--track", "pebble"], "track 'pebble' is 6.8 m long, with room for 2"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(deepracer, words: list[str], message: str) -> None:
    result = deepracer("create", "wrong", *words)
    assert result.code == 2
    assert message in result.err
    assert "wrong" not in model_names()


def test_a_race_of_one_or_of_untrained_models_is_refused(deepracer, small_model) -> None:
    small_model("one")
    small_model("two")
    result = deepracer("race", "one")
    assert result.code == 2
    assert "2 to 8 models" in result.err
    result = deepracer("race", "one", "two")
    assert result.code == 2
    assert "'one' has no policy" in result.err
