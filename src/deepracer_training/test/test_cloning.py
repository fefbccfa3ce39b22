"""Clones: what fits of the parent's weights drives as before, what does not is named, and lineage remembers it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepracer_inference.action_space import DiscreteAction, DiscreteActionSpace
from deepracer_inference.errors import UserError
from deepracer_inference.files import sha256_of
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_sim.tracks.npy import write_npy
from deepracer_sim.tracks.track import Track
from deepracer_training.agents import make_agent
from deepracer_training.checkpoint import Checkpoint, CheckpointFolder, Task, capture, read_checkpoint
from deepracer_training.cloning import clone
from deepracer_training.comparison.compare import compare
from deepracer_training.comparison.laps import evaluate_more, open_entry
from deepracer_training.evaluation import evaluate
from deepracer_training.learner import Trial
from deepracer_training.models.changes import apply_settings
from deepracer_training.models.config import ModelConfig, discrete_action_space, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.models.keeping import delete_model, rename_model
from deepracer_training.models.lineage import Ancestor, Lineage, family_trees
from deepracer_training.networks import ActorCritic
from deepracer_training.training import train
from deepracer_training.transfer import adopt

REWARD = "def reward_function(params):\n    return params['progress'] / 100.0\n"
SMALL = ("cars=4", "horizon_steps=16", "max_episode_steps=60", "batch_size=32", "num_epochs=3")


def small(name: str, *settings: str, **changes: Any) -> ModelConfig:
    config = preset_config("fast", name=name, track="pebble", **changes)
    return apply_settings(config, [*SMALL, *settings])


@pytest.fixture(scope="module", autouse=True)
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two models, trained for a moment: `parent`, continuous, and `table`, discrete."""
    home = tmp_path_factory.mktemp("family") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPRACER_HOME", str(home))
        patch.setattr("deepracer_sim.camera.world.FINEST_TEXEL", 0.02)  # or drawing the worlds takes longest
        for config in (small("parent"), small("table", action_space=discrete_action_space())):
            train(ModelFolder.create(config.name, config, REWARD), steps=128)
        yield home


def images(folder: ModelFolder) -> Any:
    shape = folder.config.observation.shape
    return np.random.default_rng(1).integers(0, 256, (64, *shape), dtype=np.uint8)


def commands(folder: ModelFolder) -> tuple[Any, Any]:
    policy = OnnxPolicy(load_policy(folder.policy))
    command = policy.act(images(folder))
    return np.degrees(command.steering_angle), command.speed


def test_a_clone_drives_like_its_parent_and_trains_from_its_weights() -> None:
    parent = ModelFolder.open("parent")
    made = clone(parent, "same", replace=True)
    assert made.folder.config == parent.config.model_copy(update={"name": "same"})
    assert made.folder.reward.read_text() == REWARD
    for own, other in zip(commands(made.folder), commands(parent), strict=True):
        np.testing.assert_array_equal(own, other)
    assert not made.folder.metrics_jsonl.exists()
    assert not made.folder.checkpoints.exists()
    before = made.folder.pretrained.read_bytes()
    # A learning rate of next to nothing: what training exports is what it started from.
    slow = clone(parent, "slow", config=apply_settings(parent.config, ["lr=1e-8"]), replace=True).folder
    train(slow, steps=64)
    for own, other in zip(commands(slow), commands(parent), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-3)
    state = CheckpointFolder(slow.checkpoints).load("last").state
    assert state.counters.steps == 64
    assert slow.pretrained.read_bytes() == before


def test_a_clone_of_a_model_that_is_being_trained_takes_one_whole_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = clone(ModelFolder.open("parent"), "busy", replace=True).folder
    store = CheckpointFolder(parent.checkpoints)
    first = CheckpointFolder(ModelFolder.open("parent").checkpoints).load("last")
    update, find = 1, CheckpointFolder.find

    def save() -> None:
        """Save as a training does, which deletes the checkpoint before; all of one carries the same number."""
        nonlocal update
        update += 1
        state = first.state.model_copy(
            update={"counters": first.state.counters.model_copy(update={"update": update, "steps": update})}
        )
        tensors = first.tensors | {"agent.value.bias": torch.tensor([float(update)])}
        store.save(Checkpoint(tensors, state), update, best=["progress"])

    def find_late(self: CheckpointFolder, which: str) -> Path:
        found = find(self, which)
        if update < 5:
            save()
            assert not found.exists()
        return found

    save()
    monkeypatch.setattr(CheckpointFolder, "find", find_late)
    for start in ("best", "last"):
        made = clone(parent, "meanwhile", start=start, replace=True)
        assert made.lineage.checkpoint is not None
        assert made.lineage.checkpoint.update == 5
        assert made.lineage.checkpoint.sha256 == sha256_of(made.folder.pretrained)
        taken = read_checkpoint(made.folder.pretrained)
        assert taken.tensors["agent.value.bias"].item() == taken.state.counters.update == 5

    (parent.checkpoints / "000005.safetensors").unlink()
    with pytest.raises(UserError, match=r"no file .*000005.safetensors, although checkpoints.json"):
        clone(parent, "never")
    assert "never" not in _names(family_trees())


def test_a_clone_keeps_the_comments_of_its_parents_model_yaml() -> None:
    parent = clone(ModelFolder.open("parent"), "annotated", replace=True).folder
    text = "# mine\n" + parent.config_path.read_text().replace("track: pebble\n", "track: pebble  # small\n")
    parent.config_path.write_text(text)
    config = apply_settings(parent.config, ["track=oval"])
    made = clone(parent, "other", config=config, replace=True).folder
    expected = text.replace("name: annotated\n", "name: other\n").replace("pebble  # small", "oval  # small")
    assert made.config_path.read_text() == expected
    assert [change.key for change in _lineage("other").changes] == ["track"]


def test_wider_ranges_keep_the_commands_and_narrower_ones_clip_them() -> None:
    parent = ModelFolder.open("parent")
    steering, speed = commands(parent)
    wide = ["action_space.speed.high=3.5", "action_space.speed.low=0.5", "action_space.steering_angle.high=30"]
    wider = clone(parent, "wider", config=apply_settings(parent.config, wide), replace=True)
    own_steering, own_speed = commands(wider.folder)
    inside = (abs(steering) < 24.9) & (speed > 1.01) & (speed < 1.99)
    assert inside.sum() > 10
    np.testing.assert_allclose(own_steering[inside], steering[inside], atol=1e-3)
    np.testing.assert_allclose(own_speed[inside], speed[inside], atol=1e-4)
    assert "policy head: converted, the same steering and speed are commanded" in wider.lineage.reuse[1]
    slower = clone(
        parent, "slower", config=apply_settings(parent.config, ["action_space.speed.high=1.2"]), replace=True
    )
    np.testing.assert_allclose(commands(slower.folder)[1], np.minimum(speed, 1.2), atol=1e-4)


def test_exploration_keeps_its_size_in_degrees_and_metres_per_second() -> None:
    parent = ModelFolder.open("parent")
    checkpoint = CheckpointFolder(parent.checkpoints).load("best")
    config = apply_settings(parent.config, ["action_space.speed.high=3.0"])
    agent = make_agent(config)
    adopt(checkpoint, agent, config)
    std = [tensors["log_std"].exp() for tensors in (agent.state_dict(), _weights(checkpoint.tensors))]
    # Half the range of 1 to 3 m/s is 1 m/s, that of 1 to 2 m/s half of it.
    torch.testing.assert_close(std[0] * torch.tensor([25.0, 1.0]), std[1] * torch.tensor([25.0, 0.5]))


def _weights(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("agent."): value for name, value in tensors.items()}


def test_actions_of_the_parent_stay_and_new_ones_do_not_take_their_place() -> None:
    table = ModelFolder.open("table")
    old = table.config.action_space
    assert isinstance(old, DiscreteActionSpace)
    actions = (*reversed(old.actions[1:]), DiscreteAction(steering_angle=2.0, speed=0.6))
    config = table.config.model_copy(update={"action_space": DiscreteActionSpace(actions=actions)})
    made = clone(table, "more", config=config, replace=True)
    assert (
        made.lineage.reuse[1]
        == "policy head: converted, 4 of 5 actions are the parent's; 1 new start as copies of their "
        "nearest ones; 1 of the parent's are gone"
    )
    steering, _ = commands(table)
    known = steering > -29.0
    np.testing.assert_allclose(commands(made.folder)[0][known], steering[known], atol=1e-4)


def test_another_kind_of_action_space_keeps_the_eyes_only() -> None:
    parent = ModelFolder.open("parent")
    config = parent.config.model_copy(update={"action_space": discrete_action_space()})
    made = clone(parent, "buttons", config=config, replace=True)
    assert [line.partition(",")[0] for line in made.lineage.reuse] == [
        "encoder: re-used",
        "policy head: starts anew",
        "value function: re-used",
    ]
    assert "the action space was continuous" in made.lineage.reuse[1]
    assert not made.folder.policy.exists()
    train(made.folder, steps=64)
    assert load_policy(made.folder.policy)


def test_another_image_size_keeps_the_convolutions_only() -> None:
    parent = ModelFolder.open("parent")
    made = clone(parent, "sharp", config=apply_settings(parent.config, ["observation.width=64"]), replace=True)
    assert made.lineage.reuse[0].startswith("encoder: partly re-used")
    assert "the observation was another one" in made.lineage.reuse[0]
    assert not made.folder.policy.exists()


def test_another_network_is_refused_unless_fresh_weights_are_wanted() -> None:
    parent = ModelFolder.open("parent")
    settings = ["network=DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", "observation.width=64", "observation.height=48"]
    config = apply_settings(parent.config, settings)
    with pytest.raises(UserError, match="--from none"):
        clone(parent, "deep", config=config)
    assert "deep" not in _names(family_trees())
    made = clone(parent, "deep", config=config, start="none")
    assert made.lineage.checkpoint is None
    assert not made.folder.pretrained.exists()
    delete_model(made.folder)


def test_the_checkpoint_is_chosen_by_metric_and_remembered() -> None:
    parent = ModelFolder.open("parent")
    store = CheckpointFolder(parent.checkpoints)
    for start, by, key, chosen in (
        ("best", "progress", "best", "best by progress"),
        ("best", "reward", "best_reward", "best by reward"),
        ("best", "lap_time", "best_lap_time", "best by lap time"),
        ("last", "progress", "last", "last"),
    ):
        made = clone(parent, "chosen", start=start, by=by, replace=True)  # type: ignore[arg-type]
        origin = made.lineage.checkpoint
        assert origin is not None
        assert (origin.chosen, origin.sha256) == (chosen, sha256_of(store.find(key)))
        assert read_checkpoint(made.folder.pretrained).state.counters.update == origin.update
    with pytest.raises(UserError, match="progress, reward, lap_time"):
        clone(parent, "chosen", by="speed", replace=True)


def test_each_metric_orders_trials_by_its_own_measure() -> None:
    steady = Trial(laps=16, laps_completed=16, progress_mean=100.0, lap_time_mean_s=10.0, reward_mean=50.0)
    fast = Trial(laps=16, laps_completed=8, progress_mean=80.0, lap_time_mean_s=7.0, reward_mean=40.0)
    lucky = Trial(laps=16, laps_completed=1, progress_mean=30.0, lap_time_mean_s=5.0, reward_mean=60.0)
    trials = {"steady": steady, "fast": fast, "lucky": lucky}
    best = {metric: max(trials, key=lambda name: trials[name].scores[metric]) for metric in steady.scores}
    assert best == {"progress": "steady", "reward": "lucky", "lap_time": "fast"}


def test_a_clone_of_an_untrained_clone_starts_where_that_would() -> None:
    first = clone(ModelFolder.open("parent"), "first", replace=True)
    second = clone(first.folder, "second", config=apply_settings(first.folder.config, ["lr=1e-4"]), replace=True)
    assert second.folder.pretrained.read_bytes() == first.folder.pretrained.read_bytes()
    assert [str(change) for change in second.lineage.changes] == ["hyperparameters.lr 0.001 -> 0.0001"]


def test_lineage_is_a_tree_that_survives_renaming_and_deleting() -> None:
    base = clone(ModelFolder.open("parent"), "base", start="none").folder
    clone(base, "child", start="none", reward_source=REWARD + "\n# changed\n")
    clone(ModelFolder.open("child"), "grandchild", start="none")
    assert _shape(family_trees(), "parent") == {"base": {"child": {"grandchild": {}}}}
    assert [change.key for change in _lineage("child").changes] == ["reward_function"]
    rename_model(base, "founder")
    assert _shape(family_trees(), "parent") == {"founder": {"child": {"grandchild": {}}}}
    assert delete_model(ModelFolder.open("child")) == ["grandchild"]
    # A new model of the old name is no parent.
    ModelFolder.create("child", small("child"), REWARD)
    roots = [(root.name, root.exists, sorted(root.names())) for root in family_trees() if root.name == "child"]
    assert roots == [("child", True, ["child"]), ("child", False, ["child", "grandchild"])]


def _names(trees: list[Ancestor]) -> set[str]:
    return set().union(*(tree.names() for tree in trees))


def _shape(trees: list[Ancestor], root: str) -> dict[str, Any]:
    """Return the descendants of a model that this test made."""

    def shape(node: Ancestor) -> dict[str, Any]:
        mine = ("base", "founder", "child", "grandchild")
        return {child.name: shape(child) for child in node.children if child.name in mine}

    return shape(next(tree for tree in trees if tree.name == root))


def _lineage(name: str) -> Lineage:
    lineage = Lineage.read(ModelFolder.open(name))
    assert lineage is not None
    return lineage


def test_a_damaged_checkpoint_leaves_no_half_of_a_clone(tmp_path: Path) -> None:
    first = clone(ModelFolder.open("parent"), "damaged", replace=True).folder
    first.pretrained.write_bytes(b"half of a checkpoint")
    with pytest.raises(UserError, match="not a whole checkpoint"):
        clone(first, "never")
    assert "never" not in _names(family_trees())
    delete_model(first)


def test_a_clone_made_worse_on_purpose_is_called_worse(circle: Track, tmp_path: Path) -> None:
    """A car that circles at 2 m/s by the bias of its last layer alone, its clone held at 1.2 m/s, and an equal one."""
    write_npy(circle, tmp_path / "circle.npy")
    config = small("circling", f"track={tmp_path / 'circle.npy'}")
    parent = ModelFolder.create("circling", config, REWARD)
    agent = make_agent(config)
    assert isinstance(agent, ActorCritic)
    with torch.no_grad():
        agent.policy.weight.zero_()
        agent.policy.bias.copy_(torch.tensor([4.7 / 25.0, 1.0]))
    state = CheckpointFolder(ModelFolder.open("parent").checkpoints).load("last").state
    task = Task(track=config.track, reward_function_sha256="0" * 64)
    state = state.model_copy(update={"config": config, "task": task})
    checkpoint = capture(agent, torch.optim.Adam(agent.parameters()), torch.Generator(), state)
    CheckpointFolder(parent.checkpoints).save(checkpoint, 1, best=["progress"])
    clone(parent, "equal")
    clone(parent, "held", config=apply_settings(config, ["action_space.speed.high=1.2"]))
    clone(parent, "lost", config=apply_settings(config, ["action_space.steering_angle.high=2"]))
    names = ["equal", "held", "lost"]
    for name in names:
        evaluate_more(name, 4, 1, lambda folder, laps, seed: evaluate(folder, laps=laps, seed=seed, video=False))
    compared = compare([open_entry(name) for name in names])
    _, held, lost = (one.difference for one in compared)
    assert compared[0].figures.completed == 4
    assert held is not None
    assert lost is not None
    assert held.verdict == "worse"
    assert held.reason.endswith("s slower a lap")
    assert lost.verdict == "worse"
    assert lost.off_tracks.value is not None
    assert lost.off_tracks.value > 0.0
    back = compare([open_entry("held"), open_entry("equal")])[1].difference
    assert back is not None
    assert back.verdict == "better"
