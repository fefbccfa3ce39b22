"""Training runs in small: budgets, seeds, resuming, stopping, and failures that lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deepracer_inference.config import dump_yaml
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.tracks.library import load_track
from deepracer_training.checkpoint import CheckpointFolder, restore
from deepracer_training.learner import Learner
from deepracer_training.models.config import ModelConfig, continuous_action_space, discrete_action_space, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.networks import ARCHITECTURES, ActorCritic, DeployedPolicy
from deepracer_training.ppo import Rollout
from deepracer_training.traces import read_trace
from deepracer_training.training import Report, train
from deepracer_training.training_log import read_metrics

REWARD = """
def reward_function(params):
    if not params["all_wheels_on_track"]:
        return 0.0
    return params["speed"] * (1.0 - params["distance_from_center"] / params["track_width"])
"""
STEPS = 64 * 32


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def create(name: str = "m", reward: str = REWARD, **changes: Any) -> ModelFolder:
    config = preset_config("fast", name=name, track="riverside")
    return ModelFolder.create(name, ModelConfig.model_validate({**config.model_dump(), **changes}), reward)


def rows(folder: ModelFolder) -> list[dict[str, Any]]:
    """Metrics without those that the wall clock decides."""
    clock = ("wall_s", "steps_per_s")
    lines = read_metrics(folder.metrics_jsonl)
    return [{key: value for key, value in row.items() if key not in clock} for row in lines]


def snapshot(folder: ModelFolder) -> dict[str, bytes]:
    return {str(p.relative_to(folder.path)): p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}


def test_steps_budget_writes_metrics_checkpoint_events_and_policy() -> None:
    folder, reports = create(), []
    report = train(folder, steps=3 * STEPS, on_update=lambda report: reports.append(report.share))
    assert report.counters.steps == 3 * STEPS
    assert reports == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert [row["update"] for row in rows(folder)] == [1, 2, 3]
    assert CheckpointFolder(folder.checkpoints).load("last").state.counters.update == 3
    assert list(folder.tensorboard.glob("events.*"))
    assert load_policy(folder.policy).manifest.provenance["steps"] == 3 * STEPS


def test_traces_hold_twenty_whole_episodes_of_car_0_each_numbered_on() -> None:
    few_cars = {"cars": 2, "horizon_steps": 256, "max_episode_steps": 30}
    folder = create(training=few_cars)
    train(folder, steps=8 * 2 * 256)
    numbers, files = [], sorted(folder.simtrace.glob("*-iteration.csv"))
    for number, path in enumerate(files):
        assert path.name == f"{number}-iteration.csv"
        episodes = list(read_trace(path).episodes())
        numbers += [int(episode.episode[0]) for episode in episodes]
        for episode in episodes:
            assert episode.steps.tolist() == list(range(1, len(episode) + 1))
            assert episode.done.tolist() == [False] * (len(episode) - 1) + [True]
    assert numbers == list(range(20 * len(files)))
    assert len(files) >= 2


def test_same_seed_gives_identical_metrics_and_policy_and_another_seed_another() -> None:
    first, second, third = create("a"), create("b"), create("c")
    train(first, steps=3 * STEPS, seed=4)
    train(second, steps=3 * STEPS, seed=4)
    train(third, steps=3 * STEPS, seed=5)
    assert rows(first) == rows(second)
    assert (first.policy / "policy.onnx").read_bytes() == (second.policy / "policy.onnx").read_bytes()
    assert rows(first) != rows(third)


def test_the_learning_rate_follows_its_schedule_over_each_budget() -> None:
    constant, linear = create("constant"), create("linear", training={"lr_schedule": "linear"})
    train(constant, steps=2 * STEPS)
    train(linear, steps=4 * STEPS)
    train(linear, steps=2 * STEPS, resume=True)
    assert [row["lr"] for row in rows(constant)] == [1e-3, 1e-3]
    assert [row["lr"] for row in rows(linear)] == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3, 1e-3, 0.5e-3])


def test_learns_more_reward_per_step() -> None:
    folder = create()
    train(folder, steps=10 * STEPS, seed=1)
    progress = [row["progress_mean"] for row in rows(folder)]
    assert progress[-1] > 2 * progress[0]


def test_exported_graph_equals_the_network_on_rendered_frames() -> None:
    for name, space in (("continuous", continuous_action_space()), ("discrete", discrete_action_space())):
        folder = create(name, action_space=space.model_dump())
        train(folder, steps=2 * STEPS)
        config = folder.config
        agent = ActorCritic(config.network, config.observation, config.action_space).eval()
        restore(CheckpointFolder(folder.checkpoints).load("best"), agent, None, None)
        policy = DeployedPolicy(agent, config.action_space)
        track = load_track("riverside")
        simulator = EmbeddedSimulator(track, load_vehicle("deepracer"), 50, observation=config.observation)
        random = np.random.default_rng(0)
        simulator.reset(
            np.arange(50), track.pose_at(random.uniform(0, track.length, 50), random.uniform(-0.3, 0.3, 50))
        )
        images = simulator.images()[..., None].copy()
        with torch.no_grad():
            ours = [out.numpy() for out in policy(torch.from_numpy(images))]
        command = OnnxPolicy(load_policy(folder.policy)).act(images)
        np.testing.assert_allclose(command.steering_angle, ours[0], atol=1e-4)
        np.testing.assert_allclose(command.speed, ours[1], atol=1e-4)
        if command.probabilities is not None:
            np.testing.assert_allclose(command.probabilities, ours[2], atol=1e-4)
            assert np.array_equal(command.probabilities.argmax(1), ours[2].argmax(1))


@pytest.mark.parametrize("network", [name for name in ARCHITECTURES if name != "compact"])
def test_aws_networks_and_schedule_train(network: str) -> None:
    config = preset_config("aws", name="aws", track="riverside")
    changes = {
        "network": network,
        "hyperparameters": {"num_epochs": 3, "num_episodes_between_training": 5, "batch_size": 512},
        "training": {**config.training.model_dump(), "cars": 8, "max_episode_steps": 20},
    }
    folder = ModelFolder.create("aws", ModelConfig.model_validate({**config.model_dump(), **changes}), REWARD)
    train(folder, steps=1)
    row = rows(folder)[0]
    assert row["episodes"] >= 5
    assert np.isfinite(row["policy_loss"])
    assert load_policy(folder.policy).metadata.neural_network == network


def test_resume_goes_on_from_the_checkpoint_and_drops_what_came_after_it() -> None:
    folder = create()
    train(folder, steps=2 * STEPS)
    first = rows(folder)
    # A process that was killed after its last checkpoint leaves more metrics, the last line cut in half.
    with folder.metrics_jsonl.open("a") as file:
        file.write(json.dumps({"update": 3, "steps": 99}) + '\n{"update": 4, "st')
    report = train(folder, steps=2 * STEPS, resume=True)
    assert report.counters.steps == 4 * STEPS
    after = rows(folder)
    assert [row["update"] for row in after] == [1, 2, 3, 4]
    assert after[:2] == first
    assert after[2]["steps"] == 3 * STEPS


def test_the_first_update_of_a_new_training_can_already_be_resumed() -> None:
    """Whatever the moment of a kill, a whole training is there: the old one, or the new one from its first update."""
    folder = create()
    train(folder, steps=3 * STEPS)
    seen: list[int] = []

    def look(report: Report) -> None:
        seen.append(CheckpointFolder(folder.checkpoints).load("last").state.counters.update)

    train(folder, steps=3 * STEPS, seed=5, on_update=look)
    assert seen == [1, 1, 3]


def test_training_again_keeps_the_earlier_training_aside() -> None:
    folder = create()
    train(folder, steps=STEPS)
    before = folder.metrics_jsonl.read_text()
    train(folder, steps=STEPS, seed=8)
    assert (folder.training / "previous-1" / "metrics.jsonl").read_text() == before
    assert len(rows(folder)) == 1


def test_resume_without_training_says_so_and_changes_nothing() -> None:
    folder = create()
    before = snapshot(folder)
    with pytest.raises(UserError, match="train the model first"):
        train(folder, steps=STEPS, resume=True)
    assert snapshot(folder) == before


def test_resume_with_another_seed_is_refused() -> None:
    folder = create()
    train(folder, steps=STEPS, seed=1)
    with pytest.raises(UserError, match="--seed is 2, but was 1"):
        train(folder, steps=STEPS, seed=2, resume=True)


def test_a_reward_function_that_fails_at_once_leaves_the_earlier_training_as_it_was() -> None:
    folder = create()
    train(folder, steps=STEPS)
    before = snapshot(folder)
    folder.reward.write_text("def reward_function(params):\n    return params['nothing']\n")
    with pytest.raises(UserError, match=r"reward_function.py:2: KeyError.*failed_step.json; nothing else was changed"):
        train(folder, steps=STEPS)
    after = snapshot(folder)
    step = json.loads(after.pop("training/failed_step.json"))
    assert step["params"]["steps"] == 1
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {"reward_function.py"}
    assert after.keys() == before.keys()


def test_a_reward_function_that_fails_later_keeps_all_that_was_learned() -> None:
    late = REWARD.replace("    if not", "    if params['sim_time'] > 5:\n        return 1 / 0\n    if not", 1)
    folder = create(reward=late)
    with pytest.raises(UserError, match=r":4: ZeroDivisionError.*the training up to it is kept, with its policy"):
        train(folder, steps=5 * STEPS)
    assert CheckpointFolder(folder.checkpoints).load("last").state.counters.update == 2
    assert load_policy(folder.policy).manifest.provenance["update"] == 2
    folder.reward.write_text(REWARD)
    assert train(folder, steps=STEPS, resume=True).counters.update == 3


def test_a_reward_function_that_draws_random_numbers_stays_reproducible() -> None:
    source = "import random\ndef reward_function(params):\n    return params['speed'] + random.random()\n"
    first, second = create("a", source), create("b", source)
    train(first, steps=2 * STEPS)
    train(second, steps=2 * STEPS)
    assert rows(first) == rows(second)


def test_a_second_trainer_is_refused() -> None:
    folder = create()
    with folder.lock(), pytest.raises(DeepRacerError, match="being trained by another process"):
        train(folder, steps=STEPS)


@pytest.mark.parametrize(
    "budget", [{}, {"minutes": 1, "steps": 1}, {"minutes": -1}, {"minutes": float("nan")}, {"steps": 0}]
)
def test_a_budget_that_makes_no_sense_is_refused(budget: dict[str, float]) -> None:
    with pytest.raises(UserError, match="budget"):
        train(create(), **budget)  # type: ignore[arg-type]


def edit(folder: ModelFolder, **changes: Any) -> None:
    dump_yaml(ModelConfig.model_validate({**folder.config.model_dump(), **changes}), folder.config_path)


@pytest.mark.parametrize(
    "change",
    [
        {"observation": {"width": 48, "height": 24, "crop_top": 0.2}},
        {"observation": {"width": 40, "height": 24, "crop_top": 0.0}},
        {"network": "DEEP_CONVOLUTIONAL_NETWORK", "observation": {"width": 40, "height": 40, "crop_top": 0.2}},
        {"action_space": discrete_action_space().model_dump()},
    ],
)
def test_resume_refuses_what_would_give_the_weights_another_meaning(change: dict[str, Any]) -> None:
    folder = create()
    train(folder, steps=STEPS)
    edit(folder, **change)
    before = snapshot(folder)
    with pytest.raises(UserError, match=r"model.yaml: \w+ was .* in the training to resume, but is"):
        train(folder, steps=STEPS, resume=True)
    assert snapshot(folder) == before


def test_resume_on_another_track_chooses_the_best_policy_anew() -> None:
    folder = create()
    train(folder, steps=10 * STEPS, seed=1)
    edit(folder, track="comb")
    train(folder, steps=STEPS, resume=True)
    provenance = load_policy(folder.policy).manifest.provenance
    assert (provenance["track"], provenance["update"]) == ("comb", 11)


def test_a_checkpoint_with_a_damaged_state_is_one_clear_error() -> None:
    folder = create()
    train(folder, steps=STEPS)
    path = folder.checkpoints / "000001.safetensors"
    tensors = load_file(path)
    for state in ("{}", '{"seed": 0}', "5", "{"):
        save_file(tensors, path, {"format": "deepracer-checkpoint-1", "state": state})
        with pytest.raises(UserError, match=r"000001\.safetensors"):
            train(folder, steps=STEPS, resume=True)


@pytest.mark.parametrize("text", ["{}\n", "5\n", "\xff\n", ""])
def test_foreign_lines_in_the_metrics_do_not_stop_a_training(text: str) -> None:
    folder = create()
    train(folder, steps=STEPS)
    folder.metrics_jsonl.write_bytes(text.encode("latin-1"))
    train(folder, steps=STEPS, resume=True)
    assert [row["update"] for row in rows(folder)] == [2]


def test_tensorboard_reads_the_events() -> None:
    folder = create()
    train(folder, steps=2 * STEPS)
    train(folder, steps=STEPS, resume=True)
    events = EventAccumulator(str(folder.tensorboard)).Reload()
    tags = {"episode/reward_mean", "loss/policy", "time/steps_per_s", "trial/laps_completed"}
    assert tags <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss/policy")] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert events.Scalars("loss/policy")[0].value == pytest.approx(rows(folder)[0]["policy_loss"])


def test_a_gradient_that_is_not_finite_ends_the_training_before_it_spoils_the_weights() -> None:
    folder = create()
    collect = Learner.collect

    def sabotage(self: Learner) -> Rollout:
        rollout = collect(self)
        rollout.values[3, 4] = torch.nan
        return rollout

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "collect", sabotage)
        with pytest.raises(DeepRacerError, match="diverged"):
            train(folder, steps=STEPS)


def start_training(folder: ModelFolder) -> subprocess.Popen[bytes]:
    """Train in another process and return when the first checkpoint is there."""
    code = (
        "from deepracer_training.models.folder import ModelFolder\n"
        "from deepracer_training.training import train\n"
        f"train(ModelFolder.open({folder.name!r}), minutes=5)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=dict(os.environ))
    deadline = time.monotonic() + 120
    while not CheckpointFolder(folder.checkpoints).index():
        assert process.poll() is None, process.stderr.read().decode()  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    return process


def test_ctrl_c_ends_cleanly_with_checkpoint_and_policy() -> None:
    folder = create()
    process = start_training(folder)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert b"Traceback" not in process.stderr.read()  # type: ignore[union-attr]
    assert load_policy(folder.policy)
    last = CheckpointFolder(folder.checkpoints).load("last").state.counters.update
    assert last == rows(folder)[-1]["update"]


def test_killed_at_any_moment_training_resumes_from_a_whole_checkpoint() -> None:
    folder = create()
    process = start_training(folder)
    process.kill()
    process.wait()
    saved = CheckpointFolder(folder.checkpoints).load("last").state.counters
    report: Report = train(folder, steps=STEPS, resume=True)
    assert report.counters.update == saved.update + 1
    updates = [row["update"] for row in rows(folder)]
    whole = list(range(1, saved.update + 2))
    # The line of the very first update follows its checkpoint, and a kill can come between them.
    assert updates in (whole, whole[1:])
