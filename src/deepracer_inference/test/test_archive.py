"""Archives from friends come back as they were; archives from anybody else leave nothing behind."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepracer_inference.archive import ArchiveLimits, extract_archive, read_archive, write_archive
from deepracer_inference.errors import DeepRacerError, UserError

FILES = {"policy.onnx": b"\x00\x01" * 700, "notes/read me.txt": "Grüße".encode(), "empty": b""}


def hostile(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    """Write an archive that `write_archive` never would."""
    with tarfile.open(path, "w:gz") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def entry(name: str, **changes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"from a file")
    write_archive(tmp_path / "a.tar.gz", {**FILES, "other": tmp_path / "source"})
    assert read_archive(tmp_path / "a.tar.gz") == {**FILES, "other": b"from a file"}
    names = extract_archive(tmp_path / "a.tar.gz", tmp_path / "out")
    assert names == ["empty", "notes/read me.txt", "other", "policy.onnx"]
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    write_archive(tmp_path / "one.tar.gz", FILES)
    source = tmp_path / "policy.onnx"
    source.write_bytes(FILES["policy.onnx"])
    os.utime(source, (1, 1))
    write_archive(tmp_path / "two.tar.gz", {"policy.onnx": source, **dict(reversed([*FILES.items()][1:]))})
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_tar_reads_what_we_write(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar.gz", FILES)
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert archive.getnames() == sorted(FILES)
        assert {(member.uid, member.gid, member.mtime, member.mode) for member in archive} == {(0, 0, 0, 0o644)}


def test_archives_of_other_tools_are_read(tmp_path: Path) -> None:
    folder = entry("./notes", type=tarfile.DIRTYPE)
    path = hostile(tmp_path / "a.tar.gz", (entry("./", type=tarfile.DIRTYPE), b""), (folder, b""), (entry("./a"), b"1"))
    assert read_archive(path) == {"a": b"1"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (entry("../evil"), "leads out of its folder"),
        (entry("a/../../evil"), "leads out of its folder"),
        (entry("/tmp/evil"), "leads out of its folder"),
        (entry("../evil", type=tarfile.DIRTYPE), "leads out of its folder"),
        (entry("a//evil"), "leads out of its folder"),
        (entry("..\\evil"), "characters that are not allowed"),
        (entry("evil\n"), "characters that are not allowed"),
        (entry("evil\udcff"), "characters that are not allowed"),
        (entry("e" * 300), "too long"),
        (entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "holds the link 'link'"),
        (entry("link", type=tarfile.LNKTYPE, linkname="good"), "holds the link 'link'"),
        (entry("device", type=tarfile.CHRTYPE), "holds the device 'device'"),
        (entry("device", type=tarfile.BLKTYPE), "holds the device 'device'"),
        (entry("pipe", type=tarfile.FIFOTYPE), "holds the pipe 'pipe'"),
        (entry("good"), "holds 'good' twice"),
        (entry("./good"), "holds 'good' twice"),
        (entry("good/evil"), "'good' is both a file and a folder"),
        (entry("extra.py"), r"holds 'extra.py', which does not belong there; allowed are: good"),
    ],
)
def test_a_hostile_entry_leaves_the_old_folder_as_it_was(tmp_path: Path, bad: tarfile.TarInfo, message: str) -> None:
    path = hostile(tmp_path / "a.tar.gz", (entry("good"), b"new"), (bad, b""))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "good").write_text("old")
    allowed = ["good", "good/**", "a/**", "*ev*", "link", "device", "pipe", "e" * 300]
    with pytest.raises(UserError, match=message):
        read_archive(path, allowed=allowed)
    with pytest.raises(UserError, match=message):
        extract_archive(path, tmp_path / "out", allowed=allowed)
    assert (tmp_path / "out" / "good").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "out"]


def test_patterns_stay_within_one_folder(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar.gz", {"a/x.txt": b"1", "b/c/d": b"2"})
    assert len(read_archive(tmp_path / "a.tar.gz", allowed=["?/*.txt", "b/**"])) == 2
    for allowed in (["*"], ["a/*", "b/*"], ["a/x.txt", "b"], ["**/d", "a/x.txt"], []):
        with pytest.raises(UserError, match="does not belong there"):
            read_archive(tmp_path / "a.tar.gz", allowed=allowed)


def test_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    limits = ArchiveLimits(files=3, file_bytes=1000, total_bytes=100_000)
    write_archive(tmp_path / "deep.tar.gz", {"zeros": bytes(50_000_000)})
    with pytest.raises(UserError, match=r"unpacks to more than 100,000 bytes"):
        read_archive(tmp_path / "deep.tar.gz", limits=limits)
    write_archive(tmp_path / "large.tar.gz", {"zeros": bytes(1001)})
    with pytest.raises(UserError, match="'zeros' has more than 1,000 bytes"):
        read_archive(tmp_path / "large.tar.gz", limits=limits)
    hostile(tmp_path / "many.tar.gz", *[(entry(f"{n}", type=tarfile.DIRTYPE), b"") for n in range(4)])
    with pytest.raises(UserError, match="more than 3 entries"):
        read_archive(tmp_path / "many.tar.gz", limits=limits)


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def with_size(block: bytes, size: int) -> bytes:
    """Change the size in a header, and its checksum."""
    field = b"%011o\0" % size if size >= 0 else (256**12 + size).to_bytes(12, "big")
    header = block[:124] + field + block[136:148] + b" " * 8 + block[156:512]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:] + block[512:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "no gzip": lambda tar: tar,
    "empty": lambda tar: b"",
    "no tar": lambda tar: gzip.compress(b"hello"),
    "cut gzip": lambda tar: gzip.compress(tar)[:-9],
    "flipped bit": lambda tar: (packed := gzip.compress(tar))[:30] + bytes([packed[30] ^ 4]) + packed[31:],
    "wrong checksum": lambda tar: (packed := gzip.compress(tar))[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
    "trailing text": lambda tar: gzip.compress(tar) + b"and more",
    "cut tar": lambda tar: gzip.compress(tar[:700]),
    "broken second header": lambda tar: gzip.compress(tar[:1030] + b"\x01" + tar[1031:]),
    "size beyond the end": lambda tar: gzip.compress(with_size(tar, 90_000)),
    "negative size": lambda tar: gzip.compress(with_size(tar, -1024)),
    "no files": lambda tar: gzip.compress(bytes(10240)),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_archive_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(DAMAGE[kind](tar_of((entry("a"), b"1"), (entry("b"), b"2" * 900))))
    with pytest.raises(UserError, match=r"a.tar.gz is (not a whole|an archive without)"):
        read_archive(path)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    header = entry("sparse", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999999"})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header)
    (tmp_path / "a.tar.gz").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="holds the special file 'sparse'"):
        read_archive(tmp_path / "a.tar.gz")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        read_archive(tmp_path / "missing.tar.gz")
    with pytest.raises(UserError, match="is a folder, but a file is expected"):
        read_archive(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a plain file"):
        read_archive(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["/a", "../a", "a/./b", "", "a\0b"])
def test_no_archive_is_written_with_names_that_would_be_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="the name"):
        write_archive(tmp_path / "a.tar.gz", {name: b""})
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeepRacerError, match="the folder does not exist"):
        write_archive(tmp_path / "no" / "a.tar.gz", FILES)
