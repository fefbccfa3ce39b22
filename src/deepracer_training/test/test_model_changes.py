"""Settings by `KEY=VALUE`, and the difference of two configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepracer_inference.config import load_yaml, parse
from deepracer_inference.errors import UserError
from deepracer_training.models.changes import apply_settings, config_changes, edit_config_text
from deepracer_training.models.config import ModelConfig, continuous_action_space, discrete_action_space, preset_config


@pytest.fixture
def config() -> ModelConfig:
    return preset_config("fast", name="m", track="riverside")


def test_settings_may_leave_out_their_section_and_are_written_as_in_yaml(config: ModelConfig) -> None:
    changed = apply_settings(
        config, ["lr=3e-4", "training.cars=32", "loss_type=mse", "action_space.speed.high=3", "start = round_robin"]
    )
    assert changed.hyperparameters.lr == 0.0003
    assert changed.training.cars == 32
    assert changed.hyperparameters.loss_type == "mean squared error"
    assert changed.action_space.max_speed == 3.0
    assert changed.training.start == "round_robin"
    assert config.hyperparameters.lr == 0.001


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lr", "KEY=VALUE is expected"),
        ("lr=", "KEY=VALUE is expected"),
        ("=3", "KEY=VALUE is expected"),
        ("batchsize=64", "did you mean 'batch_size'"),
        ("batch_size=65", "65 is not one of 32, 64"),
        ("lr=fast", "lr"),
        ("hyperparameters=3", "hyperparameters"),
        ("lr.low=3", "no such key"),
        ("name=other", "deepracer rename"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(config: ModelConfig, setting: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        apply_settings(config, [setting])
    assert message in str(caught.value)
    assert "--set" in str(caught.value)


def test_changes_name_each_key_with_both_values(config: ModelConfig) -> None:
    changed = apply_settings(config, ["num_epochs=5", "lr=0.0003", "track=oval"]).model_copy(update={"name": "other"})
    assert [str(change) for change in config_changes(config, changed)] == [
        "track riverside -> oval",
        "hyperparameters.num_epochs 4 -> 5",
        "hyperparameters.lr 0.001 -> 0.0003",
    ]
    assert config_changes(config, config) == []


def test_another_kind_of_action_space_is_what_came_and_what_went(config: ModelConfig) -> None:
    before = config.model_copy(update={"action_space": continuous_action_space()})
    after = config.model_copy(update={"action_space": discrete_action_space()})
    changes = {change.key: (change.before, change.after) for change in config_changes(before, after)}
    assert changes["action_space.kind"] == ("continuous", "discrete")
    assert changes["action_space.speed.high"] == (2.0, None)
    before_actions, after_actions = changes["action_space.actions"]
    assert before_actions is None
    assert isinstance(after_actions, list)
    assert len(after_actions) == 5


def test_a_users_model_yaml_keeps_its_comments_and_its_brevity(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    text = (
        "# mine\nname: m\ntrack: riverside  # the long one\naction_space:\n  kind: continuous\n"
        "  steering_angle: {low: -25.0, high: 25.0}\n  speed:\n    low: 1.0\n    high: 2.0  # dare\n"
        "hyperparameters:\n  lr: 5e-4  # slow\n"
    )
    path.write_text(text)
    before = load_yaml(path, ModelConfig)
    after = apply_settings(before, ["action_space.speed.high=3", "training.seed=4"])
    path.write_text(edit_config_text(text, before, after))
    assert path.read_text() == text.replace("high: 2.0  # dare", "high: 3.0  # dare") + "training:\n  seed: 4\n"
    assert load_yaml(path, ModelConfig) == after
    boxes = parse(after.model_dump(mode="json") | {"race_type": "object_avoidance", "race": None}, ModelConfig, "")
    path.write_text(edit_config_text(path.read_text(), after, boxes))
    assert "track: riverside  # the long one" in path.read_text()
    assert load_yaml(path, ModelConfig) == boxes
