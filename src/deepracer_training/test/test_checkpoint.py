"""Checkpoints: everything comes back, nothing half-written or foreign is ever read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deepracer_inference.action_space import ContinuousActionSpace, Range
from deepracer_inference.errors import UserError
from deepracer_inference.observation import ObservationSpec
from deepracer_training.checkpoint import (
    CheckpointFolder,
    Counters,
    Task,
    TrainingState,
    capture,
    read_checkpoint,
    restore,
)
from deepracer_training.models.config import preset_config
from deepracer_training.networks import ActorCritic

SPACE = ContinuousActionSpace(steering_angle=Range(low=-30, high=30), speed=Range(low=1, high=2))


def state(update: int) -> TrainingState:
    return TrainingState(
        seed=0,
        task=Task(track="riverside", reward_function_sha256="0" * 64),
        config=preset_config("fast", name="m", track="riverside"),
        counters=Counters(update=update),
        starts={},
        globals={},
    )


def make(seed: int = 0, width: int = 40) -> tuple[ActorCritic, torch.optim.Adam, torch.Generator]:
    torch.manual_seed(seed)
    agent = ActorCritic("compact", ObservationSpec(width=width, height=24), SPACE)
    return agent, torch.optim.Adam(agent.parameters(), lr=1e-3), torch.Generator().manual_seed(seed)


def train_one_step(agent: ActorCritic, optimizer: torch.optim.Adam, generator: torch.Generator) -> None:
    image = torch.randint(0, 255, (8, 24, 40, 1), dtype=torch.uint8, generator=generator)
    policy, value = agent(image)
    optimizer.zero_grad()
    (policy.log_prob(torch.randn(8, 2, generator=generator)).mean() + value.square().mean()).backward()
    optimizer.step()


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    through = make()
    for _ in range(3):
        train_one_step(*through)
    folder = CheckpointFolder(tmp_path / "checkpoints")
    folder.save(capture(*through, state(3)), 3, best=["progress"])
    for _ in range(2):
        train_one_step(*through)

    resumed = make(seed=9)
    checkpoint = folder.load("last")
    restore(checkpoint, *resumed)
    assert checkpoint.state == state(3)
    for _ in range(2):
        train_one_step(*resumed)
    for a, b in zip(through[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_keeps_the_best_by_each_metric_and_the_last_and_no_more(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    parts = make()
    for update, best in ((10, ["progress", "reward"]), (20, ["progress", "lap_time"]), (30, ["lap_time"]), (40, [])):
        folder.save(capture(*parts, state(update)), update, best=best)
    kept = {"best": 20, "best_reward": 10, "best_lap_time": 30, "last": 40}
    assert {key: folder.load(key).state.counters.update for key in kept} == kept
    folder.save(capture(*parts, state(50)), 50, best=["progress", "reward", "lap_time"])
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["000050.safetensors"]


def test_a_file_that_the_index_does_not_name_is_never_read(tmp_path: Path) -> None:
    """What a killed process leaves: a newer file, written or half-written, before the index was replaced."""
    folder = CheckpointFolder(tmp_path)
    folder.save(capture(*make(), state(10)), 10, best=["progress"])
    (tmp_path / "000020.safetensors").write_bytes(b"half of a checkpoint")
    assert folder.load("last").state.counters.update == 10


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04\x95cpickle"], ids=["empty", "garbage", "pickle"])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(capture(*make(), state(0)), 1, best=["progress"])
    path = tmp_path / "000001.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"000001.safetensors: not a whole checkpoint"):
        folder.load("last")


def test_a_truncated_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(capture(*make(), state(0)), 1, best=["progress"])
    path = tmp_path / "000001.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole checkpoint"):
        folder.load("last")


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    save_file({"weights": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="not a checkpoint of ours"):
        read_checkpoint(tmp_path / "other.safetensors")


def test_a_checkpoint_of_another_network_names_what_differs(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(capture(*make(width=48), state(0)), 1, best=["progress"])
    with pytest.raises(UserError, match=r"does not fit the network of model.yaml: encoder\.\d\.weight"):
        restore(folder.load("last"), *make())


def test_no_checkpoint_yet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train the model first"):
        CheckpointFolder(tmp_path / "none").load("best")


@pytest.mark.parametrize("index", ["{", "[]", '{"best": "../../secret", "last": "x"}', '{"last": ".."}', "5"])
def test_a_foreign_index_is_refused(tmp_path: Path, index: str) -> None:
    (tmp_path / "checkpoints.json").write_text(index)
    with pytest.raises(UserError, match=r"checkpoints\.json"):
        CheckpointFolder(tmp_path).load("last")


def test_index_is_plain_json(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(capture(*make(), state(0)), 7, best=["progress"])
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {
        "best": "000007.safetensors",
        "last": "000007.safetensors",
    }
