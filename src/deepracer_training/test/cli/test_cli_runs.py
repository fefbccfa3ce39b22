"""`train`, `evaluate` and `show`, and that no failure of theirs harms a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.config import dump_yaml
from deepracer_training.models.folder import ModelFolder

PNG = b"\x89PNG\r\n\x1a\n"


def spoil_config(folder: ModelFolder) -> str:
    folder.config_path.write_text(folder.config_path.read_text(encoding="utf-8") + "\ntrakc: oval\n", encoding="utf-8")
    return "unknown key 'trakc'; did you mean 'track'?"


def spoil_track(folder: ModelFolder) -> str:
    dump_yaml(folder.config.model_copy(update={"track": "atlantis"}), folder.config_path)
    return "atlantis"


def remove_reward(folder: ModelFolder) -> str:
    folder.reward.unlink()
    return "reward_function.py"


def break_reward(folder: ModelFolder) -> str:
    folder.reward.write_text("def reward_function(params)\n    return 1.0\n", encoding="utf-8")
    return "reward_function.py:1"


@pytest.mark.parametrize("spoil", [spoil_config, spoil_track, remove_reward, break_reward])
def test_train_refuses_a_spoilt_model_and_leaves_it_as_it_was(
    deepracer: Any, trained: ModelFolder, spoil: Any, snapshot: Any
) -> None:
    folder = trained
    message = spoil(folder)
    before = snapshot(folder.path)
    for words in ([], ["--resume"]):
        result = deepracer("train", "small", "--steps", 64, *words, "--json")
        assert result.code == 2
        assert message in result.err
        assert "Traceback" not in result.err
        assert result.out == ""
        assert snapshot(folder.path) == before


def test_train_has_nothing_to_resume_before_the_first_training(deepracer: Any, small_model: Any, snapshot: Any) -> None:
    folder = small_model()
    before = snapshot(folder.path)
    result = deepracer("train", "small", "--steps", 64, "--resume")
    assert result.code == 2
    assert "no checkpoint" in result.err
    assert snapshot(folder.path) == before


def test_train_resumes_only_from_a_whole_checkpoint_of_its_own(
    deepracer: Any, trained: ModelFolder, snapshot: Any
) -> None:
    folder = trained
    (checkpoint,) = folder.checkpoints.glob("*.safetensors")
    for content in (b"", checkpoint.read_bytes()[:1000], b"PK\x03\x04 a pickle of someone else's"):
        checkpoint.write_bytes(content)
        before = snapshot(folder.path)
        result = deepracer("train", "small", "--steps", 64, "--resume")
        assert result.code == 2
        assert checkpoint.name in result.err
        assert "Traceback" not in result.err
        assert snapshot(folder.path) == before


@pytest.mark.parametrize("words", [["--minutes", "0"], ["--steps", "-5"], ["--minutes", "1", "--steps", "64"]])
def test_train_needs_one_positive_budget(deepracer: Any, words: list[str], small_model: Any, snapshot: Any) -> None:
    folder = small_model()
    before = snapshot(folder.path)
    result = deepracer("train", "small", *words)
    assert result.code == 2
    assert "budget" in result.err
    assert snapshot(folder.path) == before


def test_a_model_goes_from_training_to_evaluation_and_show(deepracer: Any, tmp_path: Path, small_model: Any) -> None:
    folder = small_model()
    trained = deepracer("train", "small", "--steps", 128, "--seed", 3, "--json")
    assert trained.code == 0, trained.err
    assert trained.json["steps"] == 128
    assert trained.json["ended_early"] is False
    assert trained.json["peak_rss_mb"] > 0
    assert Path(trained.json["policy"], "policy.onnx").is_file()

    driven = deepracer("evaluate", "small", "--laps", 1, "--seed", 2, "--no-video", "--json")
    assert driven.code == 0, driven.err
    wanted = {
        "laps",
        "laps_completed",
        "off_track_count",
        "lap_time_mean_s",
        "lap_time_std_s",
        "trace_sha256",
        "report",
    }
    assert wanted <= driven.json.keys()
    assert driven.json["laps"] == 1
    assert Path(driven.json["report"]).is_file()

    listed = deepracer("list", "--json").json
    assert [entry["model"] for entry in listed] == ["small"]
    assert listed[0]["training"]["steps"] == 128
    assert listed[0]["evaluation"]["trace_sha256"] == driven.json["trace_sha256"]

    shown = deepracer("show", "small", "--output", "curves.png")
    assert shown.code == 0, shown.err
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
    assert str(folder.path) in shown.out
    assert "128 steps" in shown.out


def test_all_clean_tells_a_bad_evaluation_by_the_exit_code(deepracer: Any, trained: ModelFolder) -> None:
    words = ("evaluate", "small", "--laps", 2, "--no-video", "--json")
    untrained = deepracer(*words, "--all-clean")
    clean = untrained.json["laps_completed"] == 2 and untrained.json["off_track_count"] == 0
    assert untrained.code == (0 if clean else 1)
    assert deepracer(*words).code == 0


def test_evaluate_needs_a_policy(deepracer: Any, small_model: Any, snapshot: Any) -> None:
    folder = small_model()
    before = snapshot(folder.path)
    result = deepracer("evaluate", "small")
    assert result.code == 2
    assert "deepracer train small" in result.err
    assert snapshot(folder.path) == before


def run_with_small_disk(limit: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process whose files may not grow beyond `limit` bytes, which fails like a full disk."""
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from deepracer_training.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    # Without this, Python would try to write the byte code of what it imports.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_full_disk_while_creating_leaves_no_model(deepracer_home: Path) -> None:
    done = run_with_small_disk(100, "create", "first")
    assert done.returncode == 1
    assert "Cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (deepracer_home / "models" / "first").exists()


def test_a_full_disk_while_training_keeps_the_last_checkpoint(
    deepracer: Any, trained: ModelFolder, snapshot: Any
) -> None:
    folder = trained
    before = snapshot(folder.checkpoints) | snapshot(folder.policy)
    done = run_with_small_disk(20_000, "train", "small", "--steps", "64", "--resume")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(folder.checkpoints) | snapshot(folder.policy) == before
    assert deepracer("train", "small", "--steps", 64, "--resume", "--json").json["steps"] == 128
