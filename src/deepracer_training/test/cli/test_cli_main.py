"""What all commands have in common: help, exit codes, and errors that are one message."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_help_names_every_command(deepracer: Any) -> None:
    result = deepracer("--help")
    assert result.code == 0
    for command in ("tracks", "create", "validate", "train", "evaluate", "list", "show", "world"):
        assert re.search(rf"\b{command}\b", result.out), command
    result = deepracer("tracks", "--help")
    for command in ("list", "show", "import", "generate", "check", "export"):
        assert re.search(rf"\b{command}\b", result.out), command


def test_help_loads_no_heavy_library() -> None:
    """`deepracer --help` under half a second is a matter of what it imports."""
    code = (
        "import sys; sys.argv = ['deepracer', '--help']\n"
        "from deepracer_training.cli.main import main\nmain()\n"
        "heavy = {'numpy', 'torch', 'numba', 'matplotlib', 'scipy', 'cv2', 'onnxruntime', 'pydantic'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mistyped_option_is_a_users_mistake(deepracer: Any) -> None:
    result = deepracer("create", "first", "--trak", "oval")
    assert result.code == 2
    assert "--track" in result.err


@pytest.mark.parametrize("command", ["train", "evaluate", "show", "validate"])
def test_an_unknown_model_gets_the_nearest_name(deepracer: Any, command: str, small_model: Any) -> None:
    small_model()
    result = deepracer(command, "smal")
    assert result.code == 2
    assert "did you mean 'small'?" in result.err


def test_a_home_that_cannot_be_written_is_a_failure_and_not_a_mistake(
    deepracer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "file"))
    for words in (["create", "first"], ["tracks", "generate", "--seed", "1"], ["tracks", "show", "oval"]):
        result = deepracer(*words)
        assert result.code == 1, words
        assert str(tmp_path / "file") in result.err
        assert "Traceback" not in result.err


def test_an_error_of_the_system_is_reported_without_a_traceback(
    deepracer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: object) -> None:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr("deepracer_training.models.folder.ModelFolder.open", full)
    result = deepracer("train", "small")
    assert result.code == 1
    assert result.err.strip().endswith("/some/file: No space left on device")


def test_a_bug_is_not_hidden(deepracer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(name: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("deepracer_training.models.folder.ModelFolder.open", bug)
    with pytest.raises(ZeroDivisionError):
        deepracer("train", "small")
