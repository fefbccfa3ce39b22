from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deepracer_inference import files
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import atomic_directory, read_bytes, read_text, sha256_of, write_atomic


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def listing(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_writes_bytes_and_utf8_text(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"\x00\xff")
    write_atomic(tmp_path / "b", "Zürich\n")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_bytes() == b"Z\xc3\xbcrich\n"
    assert listing(tmp_path) == ["a", "b"]


def test_new_file_follows_the_umask_and_old_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    previous = os.umask(0o027)
    try:
        write_atomic(path, "new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o664)
        write_atomic(path, "newer")
        assert stat.S_IMODE(path.stat().st_mode) == 0o664
        with atomic_directory(tmp_path / "folder"):
            pass
        assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    finally:
        os.umask(previous)


def test_writes_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "file")
    write_atomic(link, "content")
    assert link.is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_failing_disk_is_named_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", fail_with(number))
    with pytest.raises(DeepRacerError, match=reason) as caught:
        write_atomic(path, "new")
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 1
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["file"]


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DeepRacerError, match="File too large"):
            write_atomic(path, b"x" * 5000)
        with (
            pytest.raises(DeepRacerError, match=r"policy: File too large"),
            atomic_directory(tmp_path / "policy") as staging,
        ):
            (staging / "weights").write_bytes(b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["file"]


def test_missing_folder_and_folder_in_the_way_are_named(tmp_path: Path) -> None:
    with pytest.raises(DeepRacerError, match="the folder does not exist"):
        write_atomic(tmp_path / "nowhere" / "file", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DeepRacerError, match="Is a directory"):
        write_atomic(tmp_path / "folder", "x")
    assert listing(tmp_path) == ["folder"]


def test_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", "x")
    assert listing(tmp_path) == []


KILLED_WRITER = """
import sys
from pathlib import Path
from deepracer_inference.files import atomic_directory, write_atomic
root = Path(sys.argv[1])
for round in range(10**9):
    letter = b"ab"[round % 2 :][:1]
    write_atomic(root / "file", letter * 300_000)
    with atomic_directory(root / "folder") as staging:
        (staging / "one").write_bytes(letter * 1000)
        (staging / "two").write_bytes(letter * 1000)
    print(round, flush=True)
"""


def test_a_killed_writer_leaves_whole_content(tmp_path: Path) -> None:
    source = Path(files.__file__).parents[1]
    for rounds in (1, 2, 4):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source)},
        ) as writer:
            assert writer.stdout is not None
            for _ in range(rounds):
                assert writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        content = (tmp_path / "file").read_bytes()
        assert content in (b"a" * 300_000, b"b" * 300_000)
        assert listing(tmp_path / "folder") == ["one", "two"]
        assert (tmp_path / "folder" / "one").read_bytes() == (tmp_path / "folder" / "two").read_bytes()


def test_directory_appears_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_directory(target) as staging:
        (staging / "sub").mkdir()
        (staging / "sub" / "file").write_text("content")
        assert not target.exists()
    assert (target / "sub" / "file").read_text() == "content"
    assert listing(tmp_path) == ["folder"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_directory_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_directory(target) as staging:
            (staging / name).write_text(name)
    assert listing(target) == ["new"]
    assert listing(tmp_path) == ["folder"]


def test_a_reader_never_finds_the_place_empty(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    if not files._exchange(tmp_path / "x", tmp_path / "y"):
        pytest.skip("this file system cannot swap two folders in one step")
    target.mkdir()
    done = threading.Event()

    def replace() -> None:
        for _ in range(100):
            with atomic_directory(target):
                pass
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    absent = 0
    while not done.is_set():
        absent += not target.exists()
    writer.join()
    assert absent == 0


def test_what_a_killed_process_has_left_is_removed_and_what_a_living_one_builds_is_not(tmp_path: Path) -> None:
    abandoned = tmp_path / f"{files.TEMPORARY_PREFIX}abandoned"
    abandoned.mkdir()
    (abandoned / "half").write_text("x")
    fresh = tmp_path / f"{files.TEMPORARY_PREFIX}fresh"
    fresh.mkdir()
    long_ago = abandoned.stat().st_mtime - 3600.0
    os.utime(abandoned, (long_ago, long_ago))
    with atomic_directory(tmp_path / "slow") as slow:
        os.utime(slow, (long_ago, long_ago))
        with atomic_directory(tmp_path / "quick"):
            assert slow.is_dir() and fresh.is_dir() and not abandoned.exists()
    assert (tmp_path / "slow").is_dir() and (tmp_path / "quick").is_dir()


def test_a_failing_block_keeps_the_old_directory_and_its_own_exception(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_directory(target) as staging:
        (staging / "old").touch()
    with pytest.raises(ZeroDivisionError), atomic_directory(target) as staging:
        (staging / "new").touch()
        1 / 0  # noqa: B018
    with pytest.raises(FileNotFoundError), atomic_directory(target):
        (tmp_path / "unrelated").read_text()
    assert listing(target) == ["old"]
    assert listing(tmp_path) == ["folder"]


def test_a_full_disk_inside_the_block_names_the_directory(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with (
        pytest.raises(DeepRacerError, match=r"folder: the disk is full"),
        atomic_directory(target) as staging,
    ):
        raise OSError(errno.ENOSPC, "No space left on device", str(staging / "file"))
    assert listing(tmp_path) == []


def test_directory_refuses_to_replace_a_file_and_names_a_missing_parent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeepRacerError, match="is a file"), atomic_directory(tmp_path / "file"):
        pass
    with pytest.raises(DeepRacerError, match="does not exist"), atomic_directory(tmp_path / "no" / "folder"):
        pass


def test_sha256(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(b"abc") == expected
    assert sha256_of(tmp_path / "file") == expected
    big = os.urandom(3_000_000)
    (tmp_path / "big").write_bytes(big)
    assert sha256_of(tmp_path / "big") == hashlib.sha256(big).hexdigest()
    with pytest.raises(DeepRacerError, match="Cannot read"):
        sha256_of(tmp_path / "missing")


def test_reading_explains_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        read_bytes(tmp_path / "missing")
    with pytest.raises(UserError, match="is a folder"):
        read_bytes(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a plain file"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(UserError, match="Cannot read"):
        read_bytes(tmp_path / "nul\0")
    (tmp_path / "latin").write_bytes(b"first\nZ\xfcrich")
    with pytest.raises(UserError, match=r"not a UTF-8 text file \(byte 0xfc in line 2\)"):
        read_text(tmp_path / "latin")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbftext")
    assert read_text(tmp_path / "bom") == "text"


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "read_bytes", fail_with(errno.EACCES))
    with pytest.raises(UserError, match="permission denied"):
        read_bytes(tmp_path / "file")
