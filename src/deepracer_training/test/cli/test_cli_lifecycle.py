"""`clone`, `lineage`, `rename`, `delete`, `backup`, `restore`, `compare`, `sweep`, `import`, `export-logs` as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.policy_file import GRAPH
from deepracer_training.models.folder import ModelFolder, model_names

SPACE = "lr: [0.001, 0.00001]\n"


def test_a_model_is_cloned_compared_kept_and_removed(deepracer: Any, trained: ModelFolder, tmp_path: Path) -> None:
    cloned = deepracer("clone", "small", "worse", "--set", "action_space.speed.high=1.1", "--by", "reward", "--json")
    assert cloned.code == 0, cloned.err
    assert cloned.json["lineage"]["parent"] == "small"
    assert cloned.json["config"]["action_space"]["speed"]["high"] == 1.1
    assert (ModelFolder.open("worse").policy / GRAPH).is_file()
    assert [change["key"] for change in cloned.json["lineage"]["changes"]] == ["action_space.speed.high"]

    tree = deepracer("lineage", "worse")
    assert "worse  from best by reward" in tree.out
    assert tree.out.index("small") < tree.out.index("worse")
    assert deepracer("lineage", "--json").json[0]["children"][0]["model"] == "worse"

    page = tmp_path / "page.html"
    compared = deepracer("compare", "small", "worse", "--laps", 2, "-o", page, "--json")
    assert compared.code == 0, compared.err
    difference = compared.json["entries"][1]["difference"]
    assert difference["paired"] == 2
    assert compared.json["entries"][1]["settings"][0]["key"] == "action_space.speed.high"
    assert page.is_file()
    again = deepracer("compare", "small", "worse", "--laps", 2)
    assert "evaluating" not in again.err
    for heading in (
        "complete",
        "lap time",
        "Difference from small",
        "action_space.speed.high",
        f"worse: {difference['verdict']}",
    ):
        assert heading in again.out

    assert deepracer("backup", "worse", "-o", tmp_path / "worse.tar.gz").code == 0
    assert deepracer("rename", "worse", "slow", "--json").json["before"] == "worse"
    assert deepracer("restore", tmp_path / "worse.tar.gz", "--json").json["model"] == "worse"
    asked = deepracer("delete", "worse", "slow")
    assert (asked.code, "--force" in asked.err) == (2, True)
    assert deepracer("delete", "worse", "slow", "--force").code == 0
    assert model_names() == ["small"]


def test_a_clone_takes_every_option_of_a_new_model(deepracer: Any, trained: ModelFolder) -> None:
    options = ["--track", "oval", "--reward", "follow_center", "--action-space", "discrete", "--seed", 7]
    result = deepracer("clone", "small", "other", *options, "--race-type", "object_avoidance", "--from", "last")
    assert result.code == 0, result.err
    config = ModelFolder.open("other").config
    assert (config.track, config.action_space.kind, config.training.seed) == ("oval", "discrete", 7)
    assert config.race_type == "object_avoidance"
    assert config.race is not None
    assert "policy head     starts anew, the action space was continuous" in result.out
    assert "Next: deepracer train other" in result.out


def test_a_sweep_ends_in_a_ranking(deepracer: Any, trained: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    words = ["sweep", "small", "--space", "space.yaml", "--trials", 2, "--steps", 64, "--laps", 1, "--name", "s"]
    result = deepracer(*words, "--json")
    assert result.code == 0, result.err
    assert result.json["finished"] is True
    assert sorted(result.json["ranking"]) == ["s-00", "s-01"]
    assert Path(result.json["page"]).is_file()
    again = deepracer(*words)
    assert "1 of 2" not in again.err
    assert f"Next: deepracer show {result.json['ranking'][0]}" in again.out


def test_logs_of_a_model_are_exported_and_come_back(deepracer: Any, trained: ModelFolder, tmp_path: Path) -> None:
    assert deepracer("export-logs", "small", "-o", "logs").code == 0
    assert json.loads((tmp_path / "logs" / "model" / "model_metadata.json").read_text())["version"] == "5"
    imported = deepracer("import", "logs", "--name", "again", "--preset", "fast", "--json")
    assert imported.code == 0, imported.err
    assert imported.json["config"]["track"] == "pebble"
    hyperparameters = ModelFolder.open("again").config.hyperparameters
    assert hyperparameters == ModelFolder.open("small").config.hyperparameters


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clone", "smal", "new"], "did you mean 'small'"),
        (["clone", "small", "small"], "exists"),
        (["clone", "small", "a/b"], "cannot name a model"),
        (["clone", "small", "small", "--replace", "--force"], "cannot replace itself"),
        (["clone", "small", "new", "--from", "middle"], "best, last or none"),
        (["clone", "small", "new", "--by", "beauty"], "progress, reward, lap_time"),
        (["clone", "small", "new", "--set", "lr"], "KEY=VALUE"),
        (["clone", "small", "new", "--set", "lr=7"], "7 is not between"),
        (["clone", "small", "new", "--track", "ovall"], "did you mean 'oval'"),
        (["clone", "small", "new", "--reward", "nothing.py"], "There is no file nothing.py"),
        (["clone", "small", "new", "--race-type", "football"], "race_type"),
        (["lineage", "smal"], "did you mean 'small'"),
        (["rename", "small", "small"], "exists"),
        (["rename", "small", ".."], "cannot name a model"),
        (["delete", "smal", "--force"], "did you mean 'small'"),
        (["backup", "small", "-o", "small.zip"], ".tar.gz"),
        (["backup", "small", "-o", "nowhere/small.tar.gz"], "nowhere"),
        (["restore", "small.tar.gz"], "There is no file small.tar.gz"),
        (["restore", "text.txt"], "not a whole .tar.gz archive"),
        (["compare", "small"], "no evaluation yet"),
        (["compare", "small", "nobody"], "nobody"),
        (["compare", "small/1"], "no evaluation"),
        (["compare", "small", "--laps", "0"], "--laps"),
        (["compare", "small", "--seeds", "0"], "--seeds"),
        (["compare", "small", "-o", "page.pdf"], ".html"),
        (["sweep", "small", "--space", "nothing.yaml"], "There is no file nothing.yaml"),
        (["sweep", "small", "--space", "text.txt"], "a mapping of keys"),
        (["sweep", "small", "--space", "space.yaml", "--steps", "-3"], "must be positive"),
        (["sweep", "small", "--space", "space.yaml", "--minutes", "1", "--steps", "1"], "either"),
        (["sweep", "small", "--space", "space.yaml", "--from", "middle"], "none, best or last"),
        (["sweep", "small", "--space", "space.yaml", "--name", "a b"], "cannot name a model"),
        (["import", "nowhere"], "There is no file nowhere"),
        (["import", "."], "no model_metadata.json"),
        (["import", "text.txt"], "not a whole .tar.gz archive"),
        (["import", "trace.csv"], "--into"),
        (["import", "trace.csv", "--into", "small"], "There is no file trace.csv"),
        (["import", ".", "--into", "small"], "belong to a trace"),
        (["export-logs", "smal"], "did you mean 'small'"),
        (["export-logs", "small", "-o", "."], "there already"),
    ],
)
def test_bad_input_is_one_clear_message(
    deepracer: Any, small_model: Any, tmp_path: Path, words: list[str], message: str
) -> None:
    small_model()
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    (tmp_path / "text.txt").write_text("just words\n", encoding="utf-8")
    before = ModelFolder.open("small").config_path.read_bytes()
    result = deepracer(*words)
    assert result.code == (1 if "nowhere/" in " ".join(words) else 2), result.err
    assert message in result.err
    assert "Traceback" not in result.err
    assert model_names() == ["small"]
    assert ModelFolder.open("small").config_path.read_bytes() == before
