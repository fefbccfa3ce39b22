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
from deepracer_training.control import Cancelled
from deepracer_training.evaluation import evaluate
from deepracer_training.models.changes import apply_settings
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


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Gradient steps so far and transitions in the replay buffer at the beginning of each update."""
    seen: list[tuple[int, int]] = []
    learn = SacLearner.learn

    def watch(self: SacLearner, *arguments: Any) -> dict[str, float]:
        seen.append((int(self.agent.updates), len(self.replay)))
        return learn(self, *arguments)

    monkeypatch.setattr(SacLearner, "learn", watch)
    return seen


def test_resume_goes_on_with_all_that_was_driven_before(updates: list[tuple[int, int]]) -> None:
    folder = create()
    train(folder, steps=256 + STEPS)
    report = train(folder, steps=1, resume=True)
    assert report.counters.update == 3
    assert report.counters.steps == 256 + 2 * STEPS
    # Two gradient steps in the first update, one in each of the others.
    assert updates == [(0, 256), (2, 256 + STEPS), (3, 256 + 2 * STEPS)]
    # A process that was killed between two saves may have left a piece that no checkpoint knows.
    (folder.replay / f"{0:012d}-{0:016x}.safetensors").write_bytes(b"half")
    assert train(folder, steps=1, resume=True).counters.steps == 256 + 3 * STEPS
    assert len(list(folder.replay.iterdir())) == 4
    train(folder, steps=1)
    assert updates[-1] == (0, 256)
    assert len(list(folder.replay.iterdir())) == 1


@pytest.mark.parametrize("updates", [2, 9])  # without and with a buffer that has overflown
def test_a_resumed_training_learns_exactly_what_it_would_have_learned(
    updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    learners: list[SacLearner] = []
    collect = SacLearner.collect

    def watch(self: SacLearner) -> Any:
        if self not in learners:
            learners.append(self)
        if len(learners) == 2:
            raise Cancelled
        return collect(self)

    monkeypatch.setattr(SacLearner, "collect", watch)
    monkeypatch.setattr("deepracer_training.training._Run._export", lambda self: None)  # it loads the best agent
    folder = create(replay_size=1000)
    train(folder, steps=256 + (updates - 1) * STEPS)
    with pytest.raises(Cancelled):
        train(folder, steps=1, resume=True)
    for learner in learners:
        assert len(learner.replay) == min(1000, 256 + (updates - 1) * STEPS)
        learner.sac.update(learner.replay, 5)
    going_on, resumed = (learner.agent.state_dict() for learner in learners)
    for name, tensor in going_on.items():
        assert torch.equal(tensor, resumed[name]), name


def test_a_larger_buffer_takes_over_what_there_is_and_a_smaller_one_the_newest(
    updates: list[tuple[int, int]],
) -> None:
    folder = create(replay_size=1000)
    train(folder, steps=256 + 8 * STEPS)
    for size in (2000, 1000):
        folder.set_config(apply_settings(folder.config, [f"replay_size={size}"]))
        train(folder, steps=1, resume=True)
    assert [length for _, length in updates[-3:]] == [1000, 1000 + STEPS, 1000]


def test_rewards_of_another_function_are_not_learned_from(updates: list[tuple[int, int]]) -> None:
    folder = create()
    train(folder, steps=256 + STEPS)
    folder.reward.write_text(REWARD.replace("0.0", "0.5"))
    train(folder, steps=1, resume=True)
    assert updates[-1] == (3, 256)


def test_a_lost_buffer_is_filled_anew_and_a_damaged_one_is_an_error(
    updates: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    folder = create()
    train(folder, steps=256)
    piece = next(folder.replay.iterdir())
    piece.write_bytes(piece.read_bytes()[:-1] + b"\0")
    with pytest.raises(UserError, match=r"is damaged .* go on with a new replay buffer"):
        train(folder, steps=1, resume=True)
    piece.unlink()
    train(folder, steps=1, resume=True)
    assert "There is no replay buffer" in caplog.text
    assert updates[-1] == (2, 256)


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
