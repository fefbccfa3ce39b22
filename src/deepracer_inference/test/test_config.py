from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from deepracer_inference.action_space import ActionSpace
from deepracer_inference.config import StrictModel, dump_yaml, load_yaml, nearest, parse, parse_json
from deepracer_inference.errors import DeepRacerError, UserError


class Loss(enum.Enum):
    MSE = "mse"
    HUBER = "huber"


class Hyperparameters(StrictModel):
    lr: Annotated[float, Field(ge=1e-8, le=1e-3)] = 3e-4
    batch_size: Literal[32, 64, 128] = 64
    epochs: int = 3
    discount: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99
    loss: Loss = Loss.HUBER


class Model(StrictModel):
    name: Annotated[str, Field(pattern="^[a-z]+$", max_length=10)]
    hyperparameters: Hyperparameters = Hyperparameters()
    action_space: ActionSpace | None = None
    tags: tuple[str, ...] = ()
    visible: bool = True
    first: int = 0
    last: int = 10

    @model_validator(mode="after")
    def _check(self) -> Model:
        if self.first > self.last:
            raise ValueError(f"first is {self.first}, but must not be above last ({self.last})")
        return self


def message_of(data: object) -> str:
    with pytest.raises(UserError) as caught:
        parse(data, Model, "model.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_loads_a_typed_object(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("name: demo\ntags: [a, b]\nhyperparameters: {lr: 1e-4, loss: mse, discount: 0.5}\n")
    model = load_yaml(path, Model)
    assert model == Model(
        name="demo", tags=("a", "b"), hyperparameters=Hyperparameters(lr=1e-4, loss=Loss.MSE, discount=0.5)
    )


def test_a_whole_number_may_stand_for_a_float() -> None:
    class Length(StrictModel):
        length: float

    assert parse({"length": 2}, Length, "x").length == 2.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "model.yaml: the key 'name' is missing"),
        ({"name": "demo", "colour": 1}, "model.yaml: unknown key 'colour'; known: name, hyperparameters, action_space"),
        ({"name": "demo", "Visible": True}, "model.yaml: unknown key 'Visible'; did you mean 'visible'?"),
        (
            {"name": "demo", "hyperparameters": {"batchsize": 64}},
            "model.yaml: unknown key 'hyperparameters.batchsize'; did you mean 'batch_size'?",
        ),
        (
            {"name": "demo", "hyperparameters": {"lr": 5}},
            "model.yaml: hyperparameters.lr is 5, but a value of at most 0.001 is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"lr": "fast"}},
            "model.yaml: hyperparameters.lr is 'fast', but a number is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"lr": True}},
            "model.yaml: hyperparameters.lr is true, but a number is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"lr": float("nan")}},
            "model.yaml: hyperparameters.lr is nan, but a finite number is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"discount": 1.0}},
            "model.yaml: hyperparameters.discount is 1.0, but a value below 1.0 is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"epochs": 2.5}},
            "model.yaml: hyperparameters.epochs is 2.5, but a whole number is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"batch_size": 50}},
            "model.yaml: hyperparameters.batch_size is 50, but 32, 64 or 128 is expected",
        ),
        (
            {"name": "demo", "hyperparameters": {"loss": "mae"}},
            "model.yaml: hyperparameters.loss is 'mae', but 'mse' or 'huber' is expected",
        ),
        ({"name": 5}, "model.yaml: name is 5, but a text is expected"),
        ({"name": None}, "model.yaml: name is empty, but a text is expected"),
        ({"name": "Demo"}, "model.yaml: name is 'Demo', but a text of the form ^[a-z]+$ is expected"),
        ({"name": "x" * 100}, "but a text of at most 10 characters is expected"),
        ({"name": "demo", "tags": "a"}, "model.yaml: tags is 'a', but a list is expected"),
        ({"name": "demo", "tags": ["a", 1]}, "model.yaml: tags[1] is 1, but a text is expected"),
        ({"name": "demo", "visible": "yes"}, "model.yaml: visible is 'yes', but true or false is expected"),
        (
            {"name": "demo", "hyperparameters": [1]},
            "hyperparameters is a list of 1 entries, but a mapping of keys is expe",
        ),
        ({"name": "demo", "first": 11}, "model.yaml: first is 11, but must not be above last (10)"),
        ({"name": "demo", "action_space": {"actions": []}}, "model.yaml: the key 'action_space.kind' is missing"),
        (
            {"name": "demo", "action_space": {"kind": "discreet"}},
            "model.yaml: action_space.kind is 'discreet', but 'discrete', 'continuous' is expected",
        ),
        ("text", "model.yaml: a mapping of keys is expected, but 'text' was given"),
        ([1, 2], "model.yaml: a mapping of keys is expected, but a list of 2 entries was given"),
        ({"name": "\ud800"}, "model.yaml: "),
    ],
)
def test_a_mistake_is_told_in_one_sentence(data: object, message: str) -> None:
    text = message_of(data)
    assert message in text
    assert "\n" not in text
    assert "pydantic" not in text


def test_keys_inside_a_union_are_named_without_its_tag() -> None:
    actions = [{"steering_angle": 0, "speed": 1}, {"steering": 40, "speed": 9}]
    assert message_of({"name": "demo", "action_space": {"kind": "discrete", "actions": actions}}).splitlines() == [
        "model.yaml: 3 problems:",
        "  unknown key 'action_space.actions[1].steering'; did you mean 'steering_angle'?",
        "  the key 'action_space.actions[1].steering_angle' is missing",
        "  action_space.actions[1].speed is 9, but a value of at most 4.0 is expected",
    ]
    assert "did you mean 'speed'?" in message_of({"name": "demo", "action_space": {"kind": "continuous", "sped": 1}})


def test_several_problems_are_listed_together() -> None:
    lines = message_of({"nam": "demo", "hyperparameters": {"lr": 5, "epochs": "x"}}).splitlines()
    assert lines[0] == "model.yaml: 4 problems:"
    assert len(lines) == 5


def test_objects_never_change_and_hold_finite_numbers_only() -> None:
    with pytest.raises(ValidationError):
        Hyperparameters().lr = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Hyperparameters(lr=float("inf"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"name: [demo", "line 1, column 12"),
        (b"name: \xff", "not a UTF-8"),
        (b"name: a\nname: b", "twice"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_yaml(path, Model)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        load_yaml(tmp_path / "model.yaml", Model)
    with pytest.raises(UserError, match="is a folder"):
        load_yaml(tmp_path, Model)


def test_a_written_file_is_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    space = {"kind": "continuous", "steering_angle": {"low": -30, "high": 30}, "speed": {"low": 1e-1, "high": 4}}
    model = parse({"name": "no", "tags": ["1e-3", "no", "ä"], "action_space": space}, Model, "x")
    dump_yaml(model, path)
    assert load_yaml(path, Model) == model
    with pytest.raises(DeepRacerError):
        dump_yaml(model, tmp_path / "missing" / "model.yaml")


def test_nearest_names_one_or_lists_all() -> None:
    assert nearest("Ovel", ["oval", "bowtie"]) == "did you mean 'oval'?"
    assert nearest("monza", ["oval", "bowtie"]) == "known: oval, bowtie"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1"),
        ('{"a": 1,\n "b" 2}', "line 2, column 6"),
        ('{"a": {"x": 1, "x": 2}}', "the key 'x' stands twice"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_wrong_json_is_explained(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_json(text, "file.json")
    assert str(caught.value).startswith("file.json ")
