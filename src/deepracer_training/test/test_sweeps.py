"""Sweeps: the space is checked before anything is made, a kill loses nothing, and hopeless variants end early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_training.models.changes import apply_settings
from deepracer_training.models.config import ACTION_SPACES, ModelConfig, preset_config
from deepracer_training.models.folder import ModelFolder, model_names
from deepracer_training.sweeps.record import Sweep, SweepSettings, TrialRecord, read_sweep, score, sweep_folder
from deepracer_training.sweeps.run import Hooks, run_sweep
from deepracer_training.sweeps.space import SearchSpace, read_space
from deepracer_training.training import Report
from deepracer_training.training_log import read_metrics

REWARDS = {
    "good": "def reward_function(params):\n    return float(params['speed'])\n",
    "bad": "def reward_function(params):\n    return params['no_such_key']\n",
}
STEPS = 3 * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def base() -> ModelFolder:
    settings = ["cars=4", "horizon_steps=16", "max_episode_steps=30", "batch_size=32", "num_epochs=3"]
    config = apply_settings(preset_config("fast", name="base", track="pebble"), settings)
    return ModelFolder.create("base", config, REWARDS["good"])


def read_reward(name: str, config: ModelConfig) -> str:
    if name not in REWARDS:
        raise UserError(f"no reward function {name}")
    return REWARDS[name]


def space(path: Path, text: str) -> tuple[SearchSpace, dict[str, Any]]:
    file = path / "space.yaml"
    file.write_text(text, encoding="utf-8")
    return read_space(file, read_reward, lambda name: ACTION_SPACES[name]())


def settings(content: dict[str, Any], **changes: Any) -> SweepSettings:
    values: dict[str, Any] = {
        "model": "base",
        "space": content,
        "minutes": None,
        "steps": STEPS,
        "laps": 1,
        "start": "none",
        "seed": 0,
        "prune": True,
    }
    return SweepSettings(**{**values, **changes})


LEARNING_RATES = "lr: {low: 1e-5, high: 1e-3, log: true}\naction_space: [continuous, discrete]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a mapping of keys"),
        ("- lr\n", "a mapping of keys"),
        ("lr: 0.1\n", "lr: a list of choices, or a range"),
        ("lr: [0.001]\n", "at least two choices"),
        ("lr: [0.001, 0.001]\n", "at least two choices"),
        ("lr: {low: 0.001}\n", "'high' is missing"),
        ("lr: {low: 0.001, high: 0.0001}\n", "low must be smaller"),
        ("lr: {low: 0.0, high: 0.001, log: true}\n", "begins above 0"),
        ("lr: {low: 0.0001, high: 0.001, step: -1}\n", "step must be positive"),
        ("lr: {low: 0.0001, high: 0.001, step: 1}\n", "step 1 does not fit"),
        ("num_epochs: {low: 3, high: 9, step: 0.5}\n", "step 0.5 does not fit"),
        ("lrate: [0.001, 0.0001]\n", "no such key"),
        ("lr: {low: 0.0001, high: 0.1}\n", "0.1 is not between"),
        ("batch_size: [32, 33]\n", "33 is not one of"),
        ("reward_function: [good, missing]\n", "no reward function missing"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_before_anything_is_made(
    tmp_path: Path, base: ModelFolder, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search, content = space(tmp_path, text)
        run_sweep(base, "s", search, settings(content), 2)
    assert model_names() == ["base"]
    assert read_sweep(sweep_folder("s")) is None


class KilledError(Exception):
    """What the test raises where a kill would end the process."""


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path, base: ModelFolder) -> None:
    search, content = space(tmp_path, LEARNING_RATES)

    def kill(record: TrialRecord, report: Report) -> None:
        if record.number == 1 and report.counters.update == 2:
            raise KilledError

    values: dict[str, bool | int | float | str] = {"lr": 1e-4, "action_space": "continuous"}
    done = TrialRecord(number=0, model="s-00", values=values, state="complete", score=2.9, steps=STEPS)
    sweep_folder("s").mkdir(parents=True)
    Sweep(settings=settings(content), trials=(done,)).write(sweep_folder("s"))
    with pytest.raises(KilledError):
        run_sweep(base, "s", search, settings(content), 2, Hooks(on_update=kill))
    stopped = read_sweep(sweep_folder("s"))
    assert stopped is not None
    assert [trial.state for trial in stopped.trials] == ["complete", "running"]
    sweep, finished = run_sweep(base, "s", search, settings(content), 2)
    assert finished
    assert [trial.state for trial in sweep.trials] == ["complete"] * 2
    assert [trial.values for trial in sweep.trials] == [trial.values for trial in stopped.trials]
    assert sweep.trials[0] == done
    assert model_names() == ["base", "s-01"]
    # The second one went on from its checkpoint: no update is there twice, and the budget is spent once.
    rows = read_metrics(ModelFolder.open("s-01").metrics_jsonl)
    assert [row["update"] for row in rows] == [1, 2, 3]
    assert [trial.steps for trial in sweep.trials] == [STEPS] * 2
    assert read_sweep(sweep_folder("s")) == sweep
    with pytest.raises(UserError, match="was begun with laps 1, not 5"):
        run_sweep(base, "s", search, settings(content, laps=5), 3)


def test_choices_depend_on_the_seed_alone(tmp_path: Path, base: ModelFolder) -> None:
    search, content = space(tmp_path, LEARNING_RATES)

    def first_choice(name: str, seed: int) -> object:
        def kill(record: TrialRecord) -> None:
            raise KilledError

        with pytest.raises(KilledError):
            run_sweep(base, name, search, settings(content, seed=seed), 1, Hooks(on_trial=kill))
        sweep = read_sweep(sweep_folder(name))
        assert sweep is not None
        return sweep.trials[0].values

    assert first_choice("a", 3) == first_choice("b", 3) != first_choice("c", 4)


def test_a_variant_far_behind_is_stopped_early(tmp_path: Path, base: ModelFolder) -> None:
    search, content = space(tmp_path, LEARNING_RATES)
    given = settings(content, steps=50 * 64)
    curve = dict.fromkeys(range(1, 11), 2.9)
    values: dict[str, bool | int | float | str] = {"lr": 1e-4, "action_space": "continuous"}
    done = [
        TrialRecord(number=number, model=f"s-0{number}", values=values, state="complete", score=2.9, curve=curve)
        for number in range(4)
    ]
    sweep_folder("s").mkdir(parents=True)
    Sweep(settings=given, trials=tuple(done)).write(sweep_folder("s"))
    sweep, finished = run_sweep(base, "s", search, given, 5)
    last = sweep.trials[-1]
    assert finished
    assert last.state == "pruned"
    assert 0 < last.steps <= 30 * 64
    assert last.score is not None
    assert last.score < 2.9
    assert sweep.ranking()[-1] == last


def test_a_variant_that_fails_does_not_end_the_others(tmp_path: Path, base: ModelFolder) -> None:
    search, content = space(tmp_path, "reward_function: [good, bad]\n")
    sweep, finished = run_sweep(base, "s", search, settings(content, seed=1), 2)
    assert finished
    states = {trial.values["reward_function"]: trial.state for trial in sweep.trials}
    assert states == {"good": "complete", "bad": "failed"}
    assert "no_such_key" in next(trial.reason for trial in sweep.trials if trial.state == "failed")
    assert all(trial.state == "complete" for trial in sweep.ranking())


def test_a_model_that_is_in_the_way_is_left_alone(tmp_path: Path, base: ModelFolder) -> None:
    search, content = space(tmp_path, LEARNING_RATES)
    other = ModelFolder.create("s-00", base.config, REWARDS["good"])
    with pytest.raises(UserError, match="'s-00' already, which is not of sweep 's'"):
        run_sweep(base, "s", search, settings(content), 1)
    assert not other.metrics_jsonl.exists()


def test_two_processes_do_not_run_one_sweep(tmp_path: Path, base: ModelFolder) -> None:
    search, content = space(tmp_path, LEARNING_RATES)

    def again(record: TrialRecord) -> None:
        run_sweep(base, "s", search, settings(content), 1)

    with pytest.raises(DeepRacerError, match="run by another process"):
        run_sweep(base, "s", search, settings(content), 1, Hooks(on_trial=again))


def test_the_score_prefers_arriving_to_speed() -> None:
    # 4 m/s is all there is: a lap of 20 m in 5 s.
    assert score(10, 10, 100.0, 5.0, 20.0) == pytest.approx(3.0)
    assert score(10, 0, 40.0, None, 20.0) == pytest.approx(0.4)
    slow_but_sure, fast_but_rare = score(10, 10, 100.0, 20.0, 20.0), score(10, 5, 70.0, 6.0, 20.0)
    assert slow_but_sure > fast_but_rare
