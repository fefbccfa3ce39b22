"""SAC from model.yaml to the evaluation: the same life as with PPO."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepracer_inference.config import dump_yaml
from deepracer_inference.errors import UserError
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_training.agents import make_agent
from deepracer_training.checkpoint import CheckpointFolder, restore
from deepracer_training.evaluation import evaluate
from deepracer_training.models.config import ModelConfig, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.sac_learner import SacLearner
from deepracer_training.training import train
from deepracer_training.training_log import read_metrics

REWARD = "def reward_function(params):\n    return params['speed'] if params['all_wheels_on_track'] else 0.0\n"
SMALL = {"cars": 8, "horizon_steps": 16, "warmup_steps": 256, "replay_size": 2000, "replay_ratio": 2.0}
STEPS = 8 * 16


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("deepracer_sim.camera.world.FINEST_TEXEL", 0.02)  # or drawing the worlds takes longest


def create(name: str = "m", **training: Any) -> ModelFolder:
    data = preset_config("fast", name=name, track="riverside", algorithm="sac").model_dump()
    data["training"] |= SMALL | training
    return ModelFolder.create(name, ModelConfig.model_validate(data), REWARD)


def rows(folder: ModelFolder) -> list[dict[str, Any]]:
    clock = ("wall_s", "steps_per_s")
    return [
        {key: value for key, value in row.items() if key not in clock} for row in read_metrics(folder.metrics_jsonl)
    ]


def test_trains_exports_and_evaluates_like_any_model() -> None:
    folder = create()
    report = train(folder, steps=256 + 2 * STEPS)
    # Random driving fills the buffer before the first update; then one update per horizon.
    assert [row["steps"] for row in rows(folder)] == [256, 256 + STEPS, 256 + 2 * STEPS]
    assert report.trial is not None
    assert all(
        np.isfinite(row[key]) for row in rows(folder) for key in ("policy_loss", "value_loss", "entropy", "q_mean")
    )
    policy = load_policy(folder.policy)
    assert policy.metadata.training_algorithm == "sac"

    agent = make_agent(folder.config)
    restore(CheckpointFolder(folder.checkpoints).load("best"), agent, None, None)
    images = np.random.default_rng(0).integers(0, 255, (20, 24, 40, 1), dtype=np.uint8)
    with torch.no_grad():
        normalized = agent.head(torch.from_numpy(images)).numpy()
    command = OnnxPolicy(policy).act(images)
    expected = folder.config.action_space.scale(normalized)  # type: ignore[union-attr]
    np.testing.assert_allclose(command.steering_angle, expected[:, 0], atol=1e-4)
    np.testing.assert_allclose(command.speed, expected[:, 1], atol=1e-4)
    assert evaluate(folder, laps=1, video=False).laps == 1


def test_equal_seeds_give_equal_trainings() -> None:
    first, second, third = create("a"), create("b"), create("c")
    for folder, seed in ((first, 4), (second, 4), (third, 5)):
        train(folder, steps=256 + STEPS, seed=seed)
    assert rows(first) == rows(second) != rows(third)
    assert (first.policy / "policy.onnx").read_bytes() == (second.policy / "policy.onnx").read_bytes()


def test_resume_fills_the_buffer_with_the_policys_own_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = create()
    train(folder, steps=256 + STEPS)
    seen: list[tuple[int, int]] = []
    learn = SacLearner.learn

    def watch(self: SacLearner, *arguments: Any) -> dict[str, float]:
        spread = self.replay.columns["action"][: len(self.replay)].std()
        seen.append((int(self.agent.updates), len(self.replay)))
        assert spread > 0.0
        return learn(self, *arguments)

    monkeypatch.setattr(SacLearner, "learn", watch)
    report = train(folder, steps=1, resume=True)
    before = CheckpointFolder(folder.checkpoints)
    assert report.counters.update == 3
    assert report.counters.steps == 256 + STEPS + 256
    assert seen[0] == (3, 256)  # two gradient steps in the first update, one in the second
    assert int(before.load("last").tensors["agent.updates"]) == 5


def test_the_algorithm_of_a_training_cannot_change() -> None:
    folder = create()
    train(folder, steps=1)
    data = folder.config.model_dump() | {"training_algorithm": "clipped_ppo"}
    data["hyperparameters"]["num_episodes_between_training"] = 20
    data["training"]["horizon_steps"] = 64
    dump_yaml(ModelConfig.model_validate(data), folder.config_path)
    with pytest.raises(UserError, match="training_algorithm was sac in the training to resume"):
        train(folder, steps=1, resume=True)


def test_updates_after_whole_episodes_as_aws_does() -> None:
    folder = create(update_schedule="episodes", cars=2, warmup_steps=100)
    train(folder, steps=600)
    episodes = [row["episodes"] for row in rows(folder)]
    assert all(later > earlier for earlier, later in itertools.pairwise(episodes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hyperparameters": {"sac_alpha": 1.5}}, "sac_alpha: 1.5 is not between 0 and 1"),
        ({"training": {"warmup_steps": 60_000}}, "only the newest 50000 steps are kept"),
        ({"training": {"replay_size": 1_000_000}}, "more than the 512 MiB allowed"),
        (
            {
                "action_space": {
                    "kind": "discrete",
                    "actions": [{"steering_angle": 0.0, "speed": 1.0}, {"steering_angle": 9.0, "speed": 1.0}],
                }
            },
            "training_algorithm sac needs a continuous action space",
        ),
        ({"training_algorithm": "dqn"}, "training_algorithm is 'dqn', but 'clipped_ppo' or 'sac' is expected"),
        ({"training_algorithm": "clipped_ppo"}, "num_episodes_between_training: 1 is not between 5 and 100"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    from deepracer_inference.config import parse

    data = preset_config("fast", name="m", track="riverside", algorithm="sac").model_dump(mode="json")
    for key, value in change.items():
        data[key] = data[key] | value if isinstance(value, dict) and key != "action_space" else value
    with pytest.raises(UserError, match=message):
        parse(data, ModelConfig, "model.yaml")


def test_aws_training_metrics_hold_the_episodes_of_the_traces_and_five_trial_laps() -> None:
    folder = create(max_episode_steps=20, cars=2, horizon_steps=256)
    train(folder, steps=2 * 256 * 3)
    content = json.loads(folder.aws_metrics.read_text())
    assert (content["version"], content["best_model_metric"]) == (2.0, "progress")
    training = [metric for metric in content["metrics"] if metric["phase"] == "training"]
    trials = [metric for metric in content["metrics"] if metric["phase"] == "evaluation"]
    assert [metric["episode"] for metric in training] == list(range(1, len(training) + 1))
    assert len(training) > 20
    assert [metric["trial"] for metric in training[:21]] == [*range(1, 21), 1]
    assert sorted(metric["trial"] for metric in trials) == [1, 2, 3, 4, 5]
    for metric, following in itertools.pairwise(training):
        assert metric["metric_time"] == metric["start_time"] + metric["elapsed_time_in_milliseconds"]
        assert following["start_time"] == pytest.approx(metric["metric_time"], abs=1)  # each is rounded
    # An episode earns its steps' rewards: at 1 to 2 m/s for at most 20 steps.
    assert all(0 <= metric["reward_score"] <= 40 for metric in training)
    assert {"Off track", "Time Up"} >= {metric["episode_status"] for metric in training}
    # Resuming drops the episodes of the unfinished trace file, and counts on from the whole ones.
    train(folder, steps=1, resume=True)
    resumed = [m for m in json.loads(folder.aws_metrics.read_text())["metrics"] if m["phase"] == "training"]
    assert [metric["episode"] for metric in resumed] == list(range(1, len(resumed) + 1))
