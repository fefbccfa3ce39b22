"""`train --set`, the history that `show` shows, `reward preview` and `explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deepracer_training.history import History
from deepracer_training.models.folder import ModelFolder

PNG = b"\x89PNG\r\n\x1a\n"


def test_training_on_with_other_settings_is_remembered(deepracer: Any, trained: ModelFolder) -> None:
    folder = trained
    written = "# mine\n" + folder.config_path.read_text().replace("lr: 0.001\n", "lr: 1e-3  # as at AWS\n")
    folder.config_path.write_text(written)
    words = ("train", "small", "--resume", "--steps", 64, "--set", "lr=0.0005", "--set", "max_episode_steps=90")
    result = deepracer(*words, "--json")
    assert result.code == 0, result.err
    changes = ["hyperparameters.lr 0.001 -> 0.0005", "training.max_episode_steps 60 -> 90"]
    assert result.json["changes"] == changes
    assert "hyperparameters.lr 0.001 -> 0.0005" in result.err
    assert folder.config.hyperparameters.lr == 0.0005
    kept = written.replace("1e-3  #", "0.0005  #").replace("max_episode_steps: 60\n", "max_episode_steps: 90\n")
    assert folder.config_path.read_text() == kept

    folder.reward.write_text("def reward_function(params):\n    return params['speed']\n", encoding="utf-8")
    assert deepracer("train", "small", "--resume", "--steps", 64, "--json").json["changes"] == ["reward function"]
    assert deepracer("train", "small", "--resume", "--steps", 64, "--json").json["changes"] == []

    first, second, third, fourth = deepracer("show", "small", "--json").json["history"]
    assert (first["resumed"], first["begin_steps"], first["steps"], first["ended"]) == (False, 0, 64, "finished")
    assert (second["begin_steps"], second["steps"]) == (64, 128)
    assert second["changes"][0] == {"key": "hyperparameters.lr", "before": 0.001, "after": 0.0005}
    assert [one["reward_changed"] for one in (second, third, fourth)] == [False, True, False]
    sources = [session.reward_function for session in History.read(folder.history).sessions]
    assert [source is None for source in sources] == [False, True, False, True]
    assert "params['speed']" in str(sources[2])
    shown = deepracer("show", "small").out
    assert "128 to 192" in shown
    assert "reward function" in shown


def test_a_new_training_begins_a_new_history_and_keeps_the_old_one(deepracer: Any, trained: ModelFolder) -> None:
    folder = trained
    before = folder.history.read_bytes()
    assert deepracer("train", "small", "--steps", 64, "--set", "num_epochs=4").code == 0
    (session,) = History.read(folder.history).sessions
    assert not session.resumed
    assert folder.config.hyperparameters.num_epochs == 4
    assert (folder.training / "previous-1" / "history.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "learning_rate=1"], "no such key"),
        (["--set", "lr=1"], "lr"),
        (["--set", "lr"], "KEY=VALUE"),
        (["--resume", "--set", "network=DEEP_CONVOLUTIONAL_NETWORK"], "network"),
    ],
)
def test_settings_that_are_refused_change_nothing(
    deepracer: Any, trained: ModelFolder, snapshot: Any, words: list[str], message: str
) -> None:
    before = snapshot(trained.path)
    result = deepracer("train", "small", "--steps", 64, *words)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert snapshot(trained.path) == before


def test_a_damaged_history_is_an_error_and_none_is_none(deepracer: Any, trained: ModelFolder) -> None:
    trained.history.write_text('{"sessions": 3}', encoding="utf-8")
    for words in (("show", "small"), ("train", "small", "--resume", "--steps", 64)):
        result = deepracer(*words)
        assert result.code == 2
        assert "history.json" in result.err
    trained.history.unlink()
    assert deepracer("show", "small", "--json").json["history"] == []


def test_a_models_recorded_laps_give_the_recorded_rewards(deepracer: Any, trained: ModelFolder, tmp_path: Path) -> None:
    assert deepracer("evaluate", "small", "--laps", 2, "--no-video").code == 0
    result = deepracer("reward", "preview", "small", "--json", "--output", "reward.png")
    assert result.code == 0, result.err
    assert len(result.json["laps"]) == 2
    for lap in result.json["laps"]:
        assert lap["total"] == lap["recorded_total"]
    assert (tmp_path / "reward.png").read_bytes().startswith(PNG)
    (tmp_path / "other.py").write_text("def reward_function(params):\n    return 2.0, {'two': 2.0}\n", encoding="utf-8")
    other = deepracer("reward", "preview", "small", "--reward", "other.py")
    assert other.code == 0, other.err
    assert "recorded" in other.out
    assert "nothing to learn from" in other.err


def test_a_file_is_tried_on_built_in_laps_and_on_a_trace(deepracer: Any, trained: ModelFolder, tmp_path: Path) -> None:
    source = "def reward_function(params):\n    print('v =', params['speed'])\n    return params['progress']\n"
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    built_in = deepracer("reward", "preview", "mine.py", "--track", "pebble", "--json").json
    assert {"centre line", "weaving", "leaves the road"} <= {lap["name"] for lap in built_in["laps"]}
    assert [term["name"] for term in built_in["terms"]] == ["v"]
    assert json.dumps(built_in, allow_nan=False)

    assert deepracer("evaluate", "small", "--laps", 1, "--no-video").code == 0
    (trace,) = trained.evaluations.glob("*/evaluation-simtrace/0-iteration.csv")
    recorded = deepracer("reward", "preview", "mine.py", "--trace", trace, "--track", "pebble", "--json")
    assert recorded.code == 0, recorded.err
    assert len(recorded.json["laps"]) == 1
    elsewhere = deepracer("reward", "preview", "mine.py", "--trace", trace, "--track", "grand_tour")
    assert elsewhere.code == 2
    assert "was not driven on grand_tour" in elsewhere.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody"], "no model 'nobody'"),
        (["missing.py"], "There is no file missing.py"),
        (["small", "--reward", "missing.py"], "There is no file missing.py"),
        (["small", "--evaluation", "7"], "no evaluation"),
        (["small", "--trace", "missing.csv"], "There is no file missing.csv"),
        (["small", "--trace", "broken.py"], "not a simtrace"),
        (["small", "--drives", "--evaluation", "1"], "--evaluation and --drives"),
        (["small", "--drives", "--track", "nowhere"], "no track 'nowhere'"),
        (["broken.py", "--reward", "broken.py"], "--reward goes with a model"),
        (["broken.py"], "broken.py:2"),
        (["small", "--output", "picture.jpg"], ".png"),
    ],
)
def test_preview_answers_bad_input(
    deepracer: Any, small_model: Any, tmp_path: Path, words: list[str], message: str
) -> None:
    small_model()
    (tmp_path / "broken.py").write_text(
        "def reward_function(params):\n    return params['nothing']\n", encoding="utf-8"
    )
    result = deepracer("reward", "preview", *words)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_explain_names_sections_and_writes_picture_and_page(
    deepracer: Any, trained: ModelFolder, tmp_path: Path
) -> None:
    assert deepracer("explain", "small").code == 2
    driven = deepracer("evaluate", "small", "--laps", 2, "--no-video", "--json").json
    result = deepracer("explain", "small", "--json", "--output", "explain.png")
    assert result.code == 0, result.err
    assert result.json["evaluation"] == driven["id"]
    assert [one["name"] for one in result.json["sections"]] == ["straight 1", "left 1", "straight 2", "left 2"]
    assert result.json["findings"]
    assert (tmp_path / "explain.png").read_bytes().startswith(PNG)
    page = Path(result.json["page"]).read_text(encoding="utf-8")
    assert "straight 2" in page
    assert "<svg" in page
    assert not re.search(r"(src|href)=.http", page)  # nothing to fetch
    shown = deepracer("explain", "small", "--evaluation", driven["id"])
    assert "straight 1" in shown.out
    assert deepracer("explain", "small", "--evaluation", "nine").code == 2


def test_explain_refuses_an_evaluation_whose_track_has_changed_or_whose_trace_is_empty(
    deepracer: Any, trained: ModelFolder
) -> None:
    driven = deepracer("evaluate", "small", "--laps", 1, "--no-video", "--json").json
    path = Path(driven["report"]).parent / "evaluation.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["hashes"]["track waypoints"] = "0" * 64
    path.write_text(json.dumps(data), encoding="utf-8")
    result = deepracer("explain", "small")
    assert result.code == 2
    assert "way points differ" in result.err
    # Nor one whose trace has lost its rows.
    driven = deepracer("evaluate", "small", "--laps", 1, "--no-video", "--json").json
    trace = Path(driven["report"]).parent / "evaluation-simtrace" / "0-iteration.csv"
    trace.write_text(trace.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    for words in (("explain", "small"), ("reward", "preview", "small")):
        result = deepracer(*words)
        assert result.code == 2
        assert "holds no steps, only a header" in result.err


@pytest.mark.parametrize(("race_type", "moves"), [("object_avoidance", False), ("head_to_head", True)])
def test_recorded_laps_among_objects_give_the_recorded_rewards(
    deepracer: Any, tmp_path: Path, race_type: str, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This policy never finishes; nobody wants to watch that for three minutes.
    monkeypatch.setattr("deepracer_training.evaluation.lap_limit_s", lambda *arguments, **options: 9.0)
    source = """
def reward_function(params):
    ahead = params["closest_objects"][1]
    x, y = params["objects_location"][ahead]
    seen = 1.0 if params["object_in_camera"] else 0.0
    print(f"speed={params['objects_speed'][ahead]}")
    return seen + abs(x - params["x"]) + params["objects_distance"][ahead] + 10.0 * params["is_crashed"]
"""
    (tmp_path / "objects.py").write_text(source, encoding="utf-8")
    words = ("create", "race", "--track", "oval", "--race-type", race_type, "--objects", 2, "--reward", "objects.py")
    assert deepracer(*words).code == 0
    built_in = deepracer("reward", "preview", "race", "--json")
    assert built_in.code == 0, built_in.err
    assert built_in.json["terms"][0]["maximum"] == (0.2 if moves else 0.0)
    settings = [f"--set={key}" for key in ("cars=2", "horizon_steps=16", "batch_size=32", "max_episode_steps=30")]
    assert deepracer("train", "race", "--steps", 32, *settings).code == 0
    driven = deepracer("evaluate", "race", "--laps", 1, "--no-video", "--json").json
    (lap,) = deepracer("reward", "preview", "race", "--json").json["laps"]
    assert lap["steps"] > 10
    assert lap["total"] == pytest.approx(lap["recorded_total"], rel=1e-9)
    told = deepracer("explain", "race", "--json").json
    assert {met["kind"] for met in told["meetings"]} <= {"bot car" if moves else "box"}
    assert sum(len(met["hits"]) for met in told["meetings"]) == driven["crash_count"]
    # A record that ends before the lap does is none.
    path = Path(driven["report"]).parent / "evaluation-simtrace" / "objects.csv"
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:-2]) + "\n", encoding="utf-8")
    result = deepracer("explain", "race")
    assert result.code == 2
    assert "does not tell where the objects were in all steps" in result.err
