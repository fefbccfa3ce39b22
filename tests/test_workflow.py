"""The story of docs/workflow.md, run as it is written, with small models and short drives."""

from __future__ import annotations

import re
import shlex
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepracer_inference.config import dump_yaml
from deepracer_training.cli.main import main
from deepracer_training.models.folder import ModelFolder, model_names

ROOT = Path(__file__).resolve().parents[1]
STORY = ROOT / "docs" / "workflow.md"
STEPS = ("track", "Create", "Train", "Monitor", "Evaluate", "Clone", "Race")
"""The steps of AWS's console."""

BLOCK = re.compile(r"^```(sh|python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class File:
    """A block of Python or YAML whose first line, a comment, is the name of a file."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line that begins with `deepracer`: the words after it."""

    words: tuple[str, ...]

    def option(self, name: str) -> str | None:
        """Return the value of an option, if it was given."""
        return self.words[self.words.index(name) + 1] if name in self.words else None

    def in_small(self) -> list[str]:
        """Return the words with a short training, one lap and no video instead."""
        words = list(self.words)
        if "--minutes" in words:
            at = words.index("--minutes")
            words[at : at + 2] = ["--steps", "32"]
        for option in ("--laps", "--trials"):
            if option in words:
                words[words.index(option) + 1] = "1"
        return [*words, "--no-video"] if words[0] in ("evaluate", "race") else words


def read_story(path: Path) -> list[File | Command]:
    """Return what the document tells its reader to do, in its order."""
    story: list[File | Command] = []
    for kind, body in BLOCK.findall(path.read_text(encoding="utf-8")):
        if kind != "sh":
            story.append(File(body.partition("\n")[0].removeprefix("# ").strip(), body))
            continue
        for line in body.splitlines():
            program, *words = shlex.split(line, comments=True)
            assert program == "deepracer", f"the story types nothing but deepracer: {line}"
            story.append(Command(tuple(words)))
    return story


def shrink(name: str) -> None:
    """Give a model that has not been trained yet a training that takes a moment."""
    folder = ModelFolder.open(name)
    config = folder.config
    training = config.training.model_copy(update={"cars": 2, "horizon_steps": 16, "max_episode_steps": 30})
    hyperparameters = config.hyperparameters.model_copy(update={"batch_size": 32, "num_epochs": 3})
    changed = config.model_copy(update={"training": training, "hyperparameters": hyperparameters})
    dump_yaml(changed, folder.config_path)


def test_the_story_has_all_seven_steps_and_its_pictures() -> None:
    text = STORY.read_text(encoding="utf-8")
    titles = re.findall(r"^## (\d)\. (.+)$", text, re.MULTILINE)
    assert [number for number, _ in titles] == [str(number) for number in range(1, len(STEPS) + 1)]
    for step, (_, title) in zip(STEPS, titles, strict=True):
        assert step in title
    shown = PICTURE.findall(text)
    assert len(shown) >= 4
    for name in shown:
        data = (STORY.parent / name).read_bytes()
        assert data.startswith(PNG)
        width, _ = struct.unpack(">II", data[16:24])
        assert width <= 1000
        assert len(data) < 200_000


def test_every_command_of_the_story_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    story = read_story(STORY)
    used = {part.words[0] for part in story if isinstance(part, Command)}
    assert {"tracks", "create", "reward", "train", "show", "evaluate", "explain", "clone", "compare", "race"} <= used
    for part in story:
        if isinstance(part, File):
            Path(part.name).write_text(part.text, encoding="utf-8")
            continue
        before = set(model_names())
        words = part.in_small()
        code = main(words)
        printed = capfd.readouterr()
        assert code == 0, f"deepracer {shlex.join(words)} returned {code}: {printed.err}"
        assert "Traceback" not in printed.err
        assert printed.out
        output = part.option("--output")
        if output is not None:
            data = Path(output).read_bytes()
            beginnings = {".png": PNG, ".html": b"<!doctype html>", ".gz": b"\x1f\x8b"}
            assert data.startswith(beginnings[Path(output).suffix])
        if words[0] in ("create", "clone"):
            for name in set(model_names()) - before:
                shrink(name)
    assert ModelFolder.open("racer").policy.is_dir()
