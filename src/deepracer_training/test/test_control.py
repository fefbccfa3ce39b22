"""What a node needs of training and evaluation: an end at once that loses nothing, and several laps with one car."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.policy_file import load_policy
from deepracer_sim.simulator import FloatArray
from deepracer_training.checkpoint import CheckpointFolder
from deepracer_training.control import Cancelled, Control
from deepracer_training.environment import Step
from deepracer_training.evaluation import embedded_cars, evaluate
from deepracer_training.learner import Fleet, embedded_fleet
from deepracer_training.models.config import ModelConfig, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.training import Report, train

REWARD = "def reward_function(params):\n    return params['speed']\n"
UPDATE = 8 * 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    """A model with small updates."""
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path))
    config = preset_config("fast", name="m", track="riverside").model_dump()
    config["hyperparameters"]["batch_size"] = 64
    config["training"].update({"cars": 8, "horizon_steps": 16})
    return ModelFolder.create("m", ModelConfig.model_validate(config), REWARD)


def last_update(folder: ModelFolder) -> int:
    return CheckpointFolder(folder.checkpoints).load("last").state.counters.update


def test_cancel_in_the_middle_of_an_update_keeps_what_was_learned_before(folder: ModelFolder) -> None:
    control, reports, steps = Control(), list[Report](), list[int]()

    def on_step(step: Step) -> None:
        if len(reports) == 3:
            steps.append(step.state.time_ns)
            control.cancel()

    report = train(folder, minutes=10, control=control, on_update=reports.append, on_step=on_step)
    assert report is reports[-1]
    assert len(steps) <= 2, "driving went on"
    assert last_update(folder) == report.counters.update == 3
    assert load_policy(folder.policy).manifest.provenance["update"] == 3
    assert train(folder, steps=UPDATE, resume=True).counters.update == 4


def test_cancel_before_anything_is_learned_changes_nothing(folder: ModelFolder) -> None:
    train(folder, steps=UPDATE)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        train(folder, steps=UPDATE, control=control)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_simulator_that_fails_costs_no_more_than_the_update_under_way(folder: ModelFolder) -> None:
    reports: list[Report] = []

    def build_fleet(config: ModelConfig, seed: int) -> Fleet:
        fleet = embedded_fleet(config, seed)
        step = fleet.cars.step

        def fail_later(steering_angle: FloatArray, speed: FloatArray) -> None:
            if len(reports) == 2:
                raise DeepRacerError("the simulator is dead")
            step(steering_angle, speed)

        fleet.cars.step = fail_later  # type: ignore[method-assign]
        return fleet

    with pytest.raises(DeepRacerError, match="dead"):
        train(folder, minutes=10, build_fleet=build_fleet, on_update=reports.append)
    assert last_update(folder) == 2


def test_laps_are_the_same_however_many_cars_share_them(folder: ModelFolder) -> None:
    train(folder, steps=UPDATE)
    alone = evaluate(folder, laps=3, video=False)
    shared = evaluate(
        folder,
        laps=3,
        video=False,
        build_simulator=lambda policy, track, vehicle, laps, objects: embedded_cars(policy, track, vehicle, 2),
    )
    assert shared.trace_sha256 == alone.trace_sha256
    assert shared.lap_results == alone.lap_results
