"""AWS's files: a model folder of each tool becomes a model, its traces evaluations, and ours find their way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepracer_inference.archive import write_archive
from deepracer_inference.errors import UserError
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.tracks.library import load_track
from deepracer_training.aws.evaluations import import_evaluation, read_evaluation_metrics
from deepracer_training.aws.exporting import export_logs
from deepracer_training.aws.importing import import_archive, import_folder
from deepracer_training.models.config import preset_config
from deepracer_training.models.folder import ModelFolder, model_names
from deepracer_training.results import EvaluationResult
from deepracer_training.traces import COLUMNS, read_trace

REWARD = "def reward_function(params):\n    return float(params['speed'])\n"
ACTIONS = [{"steering_angle": angle, "speed": 1.0, "index": index} for index, angle in enumerate((-20, 0, 20))]
METADATA = {
    "action_space": ACTIONS,
    "sensor": ["FRONT_FACING_CAMERA"],
    "neural_network": "DEEP_CONVOLUTIONAL_NETWORK",
    "training_algorithm": "clipped_ppo",
    "action_space_type": "discrete",
    "version": "5",
}
HYPERPARAMETERS = {
    "batch_size": 128,
    "beta_entropy": 0.02,
    "discount_factor": 0.95,
    "e_greedy_value": 1.0,
    "epsilon_steps": 10000,
    "exploration_type": "categorical",
    "loss_type": "mean squared error",
    "lr": "0.0005",
    "num_episodes_between_training": 20,
    "num_epochs": 3,
    "stack_size": 1,
    "term_cond_avg_score": 1000.0,
    "term_cond_max_episodes": 5000,
}
PARAMETERS = """\
WORLD_NAME: oval
RACE_TYPE: OBJECT_AVOIDANCE
NUMBER_OF_OBSTACLES: "4"
MIN_DISTANCE_BETWEEN_OBSTACLES: 1.5
CHANGE_START_POSITION: "True"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def trace_text(*, columns: int = 19, wall_clock: float = 1.7e9) -> str:
    """Two laps on `oval`, 15 rows a second: one with an off-track and two rows of penalty, one that ends beside it."""
    track = load_track("oval")
    lines = [",".join(COLUMNS[:columns])]

    def lap(episode: int, begin_s: float, statuses: list[str], progress: list[float]) -> None:
        for step, (status, percent) in enumerate(zip(statuses, progress, strict=True), 1):
            x, y, yaw = track.pose_at(track.length * percent / 100.0)[0]
            time_s = round(begin_s + step / 15.0, 4)
            row = [
                *(episode, float(step), x, y, float(np.degrees(yaw)), 5.0, 1.0, 1, 0.5, status == "lap_complete", True),
                *(percent, 1, track.length, time_s, status, 0.0, 0, wall_clock + time_s),
            ]
            lines.append(",".join(map(str, row[:columns])))

    first = ["prepare", *["in_progress"] * 20, "off_track", "pause", "pause", *["in_progress"] * 20, "lap_complete"]
    lap(0, 30.0, first, [*np.linspace(1, 50, 22), 50, 50, *np.linspace(51, 99, 20), 100.0])
    lap(1, 50.0, ["prepare", *["in_progress"] * 9, "off_track"], list(np.linspace(1, 30, 11)))
    return "\n".join(lines) + "\n"


METRICS = {
    "metrics": [
        {"trial": 1, "elapsed_time_in_milliseconds": 2950, "off_track_count": 1, "completion_percentage": 100},
        {"trial": 2, "elapsed_time_in_milliseconds": 735, "off_track_count": 1, "completion_percentage": 30},
    ]
}


def write(root: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return root


def drfc(root: Path, **changes: Any) -> Path:
    """A model of deepracer-for-cloud; `changes` replaces files by their names, None leaves them out."""
    files = {
        "model/model_metadata.json": METADATA,
        "model/model_7.pb": "weights",
        "ip/hyperparameters.json": HYPERPARAMETERS,
        "reward_function.py": REWARD,
        "training_params.yaml": PARAMETERS,
        "training-simtrace/0-iteration.csv": trace_text(columns=17),
        "training-simtrace/1-iteration.csv": trace_text(columns=17),
        "evaluation-20240102030405/evaluation-simtrace/0-iteration.csv": trace_text(columns=17),
        "metrics/TrainingMetrics.json": {"metrics": [], "version": 2.0},
        "metrics/EvaluationMetrics-20240102030405.json": METRICS,
    }
    by_name = {name: changes.get(Path(name).stem.replace("-", "_"), content) for name, content in files.items()}
    return write(root, {name: content for name, content in by_name.items() if content is not None})


def test_a_folder_of_deepracer_for_cloud_becomes_a_model(tmp_path: Path) -> None:
    imported = import_folder(drfc(tmp_path / "theirs"), "mine")
    config = imported.folder.config
    assert config.track == "oval"
    assert config.network == "DEEP_CONVOLUTIONAL_NETWORK"
    assert [action.steering_angle for action in config.action_space.actions] == [-20.0, 0.0, 20.0]  # type: ignore[union-attr]
    given = config.hyperparameters
    assert (given.batch_size, given.lr, given.num_epochs, given.discount_factor) == (128, 0.0005, 3, 0.95)
    assert given.loss_type == "mean squared error"
    assert (config.race_type, config.training.start) == ("object_avoidance", "round_robin")
    assert config.race is not None
    assert config.race.boxes is not None
    assert (config.race.boxes.number, config.race.boxes.min_gap_m) == (4, 1.5)
    assert imported.folder.reward.read_text() == REWARD
    assert imported.training_iterations == 2
    assert imported.notes == ()
    assert sorted(path.name for path in imported.folder.simtrace.iterdir()) == ["0-iteration.csv", "1-iteration.csv"]
    assert [one.created for one in imported.evaluations] == ["2024-01-02T03:04:05+00:00"]


def test_folders_of_the_consoles_are_understood_too(tmp_path: Path) -> None:
    stem = "2026-03-07T17:52:00.898Z-deepracerindy-evaluation-9oJ3"
    files = {
        "model/model_metadata.json": METADATA,
        "hyperparameters.json": HYPERPARAMETERS,
        "reward_function.py": REWARD,
        f"sim-trace/evaluation/{stem}/evaluation-simtrace/0-iteration.csv": trace_text(),
        "sim-trace/training/2026-training/training-simtrace/0-iteration.csv": trace_text(),
        f"metrics/evaluation/{stem}.json": METRICS,
        "metrics/training/2026-training.json": {"metrics": [], "version": 2.0},
    }
    imported = import_folder(write(tmp_path / "console", files), "mine", track="oval", preset="fast")
    assert (imported.folder.config.race_type, imported.folder.config.network) == ("time_trial", "compact")
    assert imported.training_iterations == 1
    # The elapsed times of the metrics, which the trace alone does not have.
    assert [lap.driven_s for lap in imported.evaluations[0].lap_results] == [2.95, 0.735]
    assert (imported.folder.training / "metrics.json").is_file()


def test_a_trace_becomes_an_evaluation_with_the_laps_as_driven(tmp_path: Path) -> None:
    folder = ModelFolder.create("m", preset_config("fast", name="m", track="oval"), REWARD)
    path = tmp_path / "trace.csv"
    path.write_text(trace_text(), encoding="utf-8")
    result = import_evaluation(folder, path, track="oval")
    assert EvaluationResult.read(folder.evaluations / result.id) == result
    first, second = result.lap_results
    # 45 rows of 1/15 s each, the penalty among them.
    assert first.lap_time_s == pytest.approx(45 / 15.0, abs=1e-3)
    assert (first.status, first.off_track_count, first.reset_count) == (EpisodeStatus.LAP_COMPLETE, 1, 1)
    assert (second.status, second.off_track_count, second.lap_time_s) == (EpisodeStatus.OFF_TRACK, 1, None)
    assert second.progress == 30.0
    assert first.reward == pytest.approx(45 * 0.5)
    assert first.start_m == pytest.approx(0.01 * load_track("oval").length, abs=1e-6)
    assert (result.seed, result.laps, result.laps_completed) == (None, 2, 1)
    assert Path(result.trace).read_text(encoding="utf-8") == trace_text()
    assert result.created.startswith("2023-11-14")
    assert "Driven in AWS" in Path(result.report).read_text(encoding="utf-8")
    metrics = json.loads(Path(result.metrics).read_text())["metrics"]
    assert [lap["episode_status"] for lap in metrics] == ["Lap complete", "Off track"]
    assert metrics[0]["elapsed_time_in_milliseconds"] == 3000


def test_what_cannot_be_taken_over_is_said(tmp_path: Path) -> None:
    theirs = drfc(
        tmp_path / "theirs",
        hyperparameters={**HYPERPARAMETERS, "batch_size": 48, "new_thing": 1},
        model_metadata={**METADATA, "neural_network": "TRANSFORMER"},
        training_params=PARAMETERS.replace("OBJECT_AVOIDANCE", "F1").replace('"True"', '"False"'),
    )
    broken = theirs / "evaluation-20240102030406" / "evaluation-simtrace" / "0-iteration.csv"
    write(theirs, {str(broken.relative_to(theirs)): "nonsense\n"})
    imported = import_folder(theirs, "mine")
    assert imported.folder.config.hyperparameters.batch_size == 64
    for expected in ("48 is not one of 32", "new_thing is not known", "TRANSFORMER", "race type F1", "evaluation-2024"):
        assert any(expected in note for note in imported.notes), expected
    assert len(imported.evaluations) == 1


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"model_metadata": None}, {}, "no model_metadata.json"),
        ({"model_metadata": "{"}, {}, "not valid JSON"),
        ({"reward_function": None}, {}, "--reward"),
        ({"training_params": None}, {}, "--track"),
        ({"training_params": "WORLD_NAME: Monaco\n"}, {}, "AWS's world Monaco, which is not here"),
        ({"hyperparameters": "[]"}, {}, "a mapping of keys is expected"),
        ({}, {"track": "nowhere"}, "There is no track 'nowhere'"),
        ({}, {"preset": "slow"}, "no preset 'slow'"),
    ],
)
def test_what_a_model_cannot_do_without_is_demanded(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    theirs = drfc(tmp_path / "theirs", **changes)
    with pytest.raises(UserError, match=message):
        import_folder(theirs, "mine", **options)
    assert model_names() == []


def test_an_archive_is_unpacked_only_for_the_import(tmp_path: Path) -> None:
    theirs = drfc(tmp_path / "theirs")
    files: dict[str, bytes | Path] = {
        f"model-1/{path.relative_to(theirs)}": path for path in theirs.rglob("*") if path.is_file()
    }
    write_archive(tmp_path / "theirs.tar.gz", files)
    assert len(import_archive(tmp_path / "theirs.tar.gz", "mine").evaluations) == 1
    own = {"mine/model.yaml": b"name: x\n", "mine/reward_function.py": b""}
    write_archive(tmp_path / "own.tar.gz", own)
    with pytest.raises(UserError, match="deepracer restore"):
        import_archive(tmp_path / "own.tar.gz", "other")


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    theirs = drfc(tmp_path / "theirs", reward_function=None)
    (tmp_path / "secret.py").write_text(REWARD)
    (theirs / "reward_function.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(UserError, match=r"no reward_function\.py"):
        import_folder(theirs, "mine")


def test_what_we_export_is_what_we_import(tmp_path: Path) -> None:
    """Our folder in their layout, read by the code that reads theirs."""
    mine = import_folder(drfc(tmp_path / "theirs"), "mine").folder
    assert export_logs(mine, tmp_path / "logs") == 1
    again = import_folder(tmp_path / "logs", "again")
    assert again.notes == ()
    assert again.folder.config == mine.config.model_copy(update={"name": "again"})
    for one in ("training-simtrace/1-iteration.csv", "reward_function.py"):
        assert (tmp_path / "logs" / one).read_bytes() == (tmp_path / "theirs" / one).read_bytes()
    assert list((tmp_path / "logs").glob("evaluation-20240102030405/evaluation-simtrace/0-iteration.csv"))
    hyperparameters = json.loads((tmp_path / "logs" / "ip" / "hyperparameters.json").read_text())
    assert hyperparameters.keys() >= HYPERPARAMETERS.keys()
    assert len(read_trace(tmp_path / "logs" / "training-simtrace" / "0-iteration.csv")) == 56
    with pytest.raises(UserError, match="there already"):
        export_logs(mine, tmp_path / "logs")


def test_somebodys_reward_function_is_not_executed_by_importing_it(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    theirs = drfc(tmp_path / "theirs", reward_function=f"open({str(mark)!r}, 'w')\n{REWARD}")
    asked = []
    import_folder(theirs, "mine", check_reward=lambda path, config: asked.append(path))
    assert not asked
    assert not mark.exists()
    own = tmp_path / "own.py"
    own.write_text(REWARD, encoding="utf-8")
    import_folder(theirs, "other", reward=own, check_reward=lambda path, config: asked.append(path))
    assert asked == [own]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("X", "nan"),
        ("Y", "inf"),
        ("episode", "inf"),
        ("steps", "1e30"),
        ("reward", "nan"),
        ("progress", "nan"),
        ("tstamp", "nan"),
        ("track_len", "1e999"),
        ("action", "x" * 200_000),
    ],
)
def test_a_trace_with_impossible_values_is_refused(tmp_path: Path, column: str, value: str) -> None:
    lines = trace_text().splitlines()
    row = lines[-1].split(",")
    row[COLUMNS.index(column)] = value
    path = tmp_path / "trace.csv"
    path.write_text("\n".join([*lines[:-1], ",".join(row)]) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"trace\.csv, line {len(lines)}: "):
        read_trace(path)


def test_metrics_and_parameters_beyond_all_numbers_are_refused_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(f'{{"metrics": [{{"elapsed_time_in_milliseconds": 1{"0" * 400}}}]}}', encoding="utf-8")
    with pytest.raises(UserError, match="elapsed_time_in_milliseconds"):
        read_evaluation_metrics(path)
    theirs = drfc(tmp_path / "theirs", training_params=PARAMETERS.replace('"4"', "nan"))
    assert any("NUMBER_OF_OBSTACLES is 'nan'" in note for note in import_folder(theirs, "mine").notes)


def test_a_trace_of_another_track_is_refused(tmp_path: Path) -> None:
    folder = ModelFolder.create("m", preset_config("fast", name="m", track="oval"), REWARD)
    path = tmp_path / "trace.csv"
    path.write_text(trace_text(), encoding="utf-8")
    with pytest.raises(UserError, match="was not driven on"):
        import_evaluation(folder, path, track="pebble")
    path.write_text(trace_text().replace("prepare", "flying"), encoding="utf-8")
    with pytest.raises(UserError, match="'flying' is not one of"):
        import_evaluation(folder, path, track="oval")
    assert not list(folder.evaluations.glob("2*"))
