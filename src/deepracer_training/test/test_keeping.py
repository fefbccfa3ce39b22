"""Whole models: renamed, deleted, kept as archives and brought back, and nothing hostile let in."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from deepracer_inference.archive import ArchiveLimits
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_training.models import keeping
from deepracer_training.models.config import preset_config
from deepracer_training.models.folder import ModelFolder, model_names
from deepracer_training.models.keeping import backup_model, delete_model, rename_model, restore_model
from deepracer_training.models.lineage import family_trees

REWARD = "def reward_function(params):\n    return 1.0\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def make(name: str = "m") -> ModelFolder:
    folder = ModelFolder.create(name, preset_config("fast", name=name, track="oval"), REWARD)
    for part in ("training/checkpoints/000001.safetensors", "evaluations/1/evaluation-simtrace/0-iteration.csv"):
        (folder.path / part).parent.mkdir(parents=True)
        (folder.path / part).write_bytes(part.encode())
    return folder


def contents(folder: ModelFolder) -> dict[str, bytes]:
    files = (path for path in folder.path.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in files}


def archive(path: Path, files: dict[str, bytes], link: str | None = None) -> Path:
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
    return path


def test_a_renamed_model_is_the_same_under_its_new_name() -> None:
    folder = make()
    folder.config_path.write_text("# my best one\n" + folder.config_path.read_text(), encoding="utf-8")
    before = contents(folder)
    renamed = rename_model(folder, "new")
    assert model_names() == ["new"]
    after = contents(renamed)
    assert after.pop("model.yaml") == before.pop("model.yaml").replace(b"name: m\n", b"name: new\n")
    assert after == before
    assert rename_model(renamed, "123").config.name == "123"


def test_a_model_with_a_broken_model_yaml_keeps_its_name() -> None:
    folder = make()
    folder.config_path.write_text("name: [\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"m/model.yaml is not valid YAML"):
        rename_model(folder, "new")
    assert model_names() == ["m"]


def test_what_is_being_trained_stays_where_it_is(tmp_path: Path) -> None:
    folder = make()
    with folder.lock():
        for action in (
            lambda: rename_model(folder, "new"),
            lambda: delete_model(folder),
            lambda: backup_model(folder, tmp_path / "m.tar.gz"),
        ):
            with pytest.raises(DeepRacerError, match="being trained"):
                action()
    assert model_names() == ["m"]


def test_a_taken_or_impossible_name_is_refused() -> None:
    make(), make("other")
    for name in ("other", "../outside", ""):
        with pytest.raises(UserError):
            rename_model(ModelFolder.open("m"), name)
    assert model_names() == ["m", "other"]


def test_delete_leaves_nothing_behind(home: Path) -> None:
    delete_model(make())
    assert [path.name for path in (home / "models").iterdir()] == [".lock"]


def test_an_archive_brings_everything_back(tmp_path: Path) -> None:
    folder = make()
    before = contents(folder)
    path = tmp_path / "m.tar.gz"
    assert backup_model(folder, path) == len(before)
    first = path.read_bytes()
    backup_model(folder, path)
    assert path.read_bytes() == first
    with pytest.raises(UserError, match="exists"):
        restore_model(path)
    copy = restore_model(path, "copy")
    assert copy.config.name == "copy"
    delete_model(folder)
    assert contents(restore_model(path)) == before


def test_a_backup_can_always_be_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make()
    (folder.path / "notes.txt").write_text("the fast one", encoding="utf-8")
    backup_model(folder, tmp_path / "m.tar.gz")
    assert (restore_model(tmp_path / "m.tar.gz", "copy").path / "notes.txt").read_text() == "the fast one"
    monkeypatch.setattr(keeping, "BACKUP_LIMITS", ArchiveLimits(files=4))
    with pytest.raises(UserError, match=r"5 files .* more than an archive may hold"):
        backup_model(folder, tmp_path / "large.tar.gz")
    monkeypatch.setattr(keeping, "BACKUP_LIMITS", ArchiveLimits(file_bytes=100))
    with pytest.raises(UserError, match="more than an archive may hold"):
        backup_model(folder, tmp_path / "large.tar.gz")
    assert not (tmp_path / "large.tar.gz").exists()
    folder.config_path.write_text("name: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"m/model\.yaml"):
        backup_model(folder, tmp_path / "broken.tar.gz")
    assert not (tmp_path / "broken.tar.gz").exists()


def test_the_damage_of_another_model_leaves_nothing_half_done(home: Path) -> None:
    make(), make("damaged")
    (ModelFolder.open("damaged").path / "lineage.json").write_text("{", encoding="utf-8")
    rename_model(ModelFolder.open("m"), "new")
    assert [node.name for node in family_trees()] == ["damaged", "new"]
    delete_model(ModelFolder.open("new"))
    assert sorted(path.name for path in (home / "models").iterdir()) == [".lock", "damaged"]


def test_links_are_not_kept(tmp_path: Path) -> None:
    folder = make()
    (folder.path / "training" / "secret").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="secret is a link"):
        backup_model(folder, tmp_path / "m.tar.gz")
    with pytest.raises(UserError, match=r"\.tar\.gz"):
        backup_model(folder, tmp_path / "m.zip")
    assert not (tmp_path / "m.tar.gz").exists()


@pytest.mark.parametrize(
    ("change", "link", "message"),
    [
        ({"m/../../evil": b"x"}, None, "leads out"),
        ({"/etc/evil": b"x"}, None, "leads out"),
        ({"evil.so": b"x"}, None, "does not belong"),
        ({"other/model.yaml": b"x"}, None, "2 models"),
        ({"m/model.yaml": None}, None, "model.yaml is missing"),
        ({"m/reward_function.py": None}, None, "reward_function.py is missing"),
        ({"m/model.yaml": b"name: [\n"}, None, "m.tar.gz/model.yaml"),
        ({"m/lineage.json": b"{"}, None, "m.tar.gz/lineage.json"),
        ({}, "m/training/link", "link"),
    ],
)
def test_a_hostile_or_foreign_archive_is_refused_whole(
    home: Path, tmp_path: Path, change: dict[str, bytes | None], link: str | None, message: str
) -> None:
    folder = make()
    good = {"m/model.yaml": folder.config_path.read_bytes(), "m/reward_function.py": REWARD.encode()}
    delete_model(folder)
    files = {name: content for name, content in {**good, **change}.items() if content is not None}
    path = archive(tmp_path / "m.tar.gz", files, link)
    with pytest.raises(UserError, match=message):
        restore_model(path)
    assert [entry.name for entry in (home / "models").iterdir()] == [".lock"]
    assert not (tmp_path / "evil").exists()
