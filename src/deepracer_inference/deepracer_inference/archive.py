"""Archives that travel between machines: .tar.gz, equal bytes for equal files, and nothing unexpected comes out of one.

An archive may come from anybody. So it is unpacked in full, within limits, and looked at before the first file is
written: only plain files with plain relative names, each once, each one expected. Owners, modes and times are neither
kept nor restored. No member is ever handed to `tarfile.extract`.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from deepracer_inference.errors import UserError
from deepracer_inference.files import atomic_directory, read_bytes, write_atomic

SUFFIX = ".tar.gz"

_CHUNK = 1 << 20
_IN_MEMORY = 16 << 20
"""Unpacked bytes that are held in memory; larger archives go through a temporary file."""
_PLAIN_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_MAX_NAME = 255
# What gzip and tarfile raise for damaged or malicious input. RecursionError: chains of extended headers.
_FORMAT_ERRORS = (EOFError, OverflowError, RecursionError, ValueError, gzip.BadGzipFile, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class ArchiveLimits:
    """The most that an archive may hold. The defaults fit a policy file many times over."""

    files: int = 64
    """Entries, folders included."""
    file_bytes: int = 256 << 20
    """Unpacked size of one file."""
    total_bytes: int = 512 << 20
    """Unpacked size of everything, headers included."""


DEFAULT_LIMITS = ArchiveLimits()


def write_archive(path: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write an archive atomically; equal files give equal bytes, whoever writes them and when.

    Args:
        path: Where it goes, usually `*.tar.gz`. Its folder must exist; an older file is replaced.
        files: Content, or the file with the content, by name in the archive: relative, with `/` between folders.

    Raises:
        UserError: A name cannot be used, or a file cannot be read.
        DeepRacerError: The archive cannot be written.
    """
    _check_names(list(files), str(path))
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            source = files[name]
            content = source if isinstance(source, bytes) else read_bytes(source)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    write_atomic(path, buffer.getvalue())


def read_archive(
    path: Path, *, allowed: Collection[str] | None = None, limits: ArchiveLimits = DEFAULT_LIMITS
) -> dict[str, bytes]:
    """Read an archive into memory: content by name.

    Args:
        path: The archive.
        allowed: Names that may occur; `*` and `?` stand for characters within one folder or file name, and a last `**`
            for everything below a folder. None allows any harmless name.
        limits: The most that it may hold.

    Raises:
        UserError: It is missing, damaged, too large, or holds anything but plain files with allowed names.
    """
    with _opened(path, allowed, limits) as (archive, entries):
        return {name: _content(archive, entry, path) for name, entry in entries.items()}


def extract_archive(
    path: Path, into: Path, *, allowed: Collection[str] | None = None, limits: ArchiveLimits = DEFAULT_LIMITS
) -> list[str]:
    """Unpack an archive into a folder, which is then whole, or untouched if anything is wrong.

    Args:
        path: The archive.
        into: The folder. Its parent must exist; an older folder is replaced as a whole.
        allowed: As in `read_archive`.
        limits: The most that it may hold.

    Returns:
        The names of all files, sorted.

    Raises:
        UserError: As `read_archive`.
        DeepRacerError: The folder cannot be written.
    """
    with _opened(path, allowed, limits) as (archive, entries), atomic_directory(into) as staging:
        for name, entry in entries.items():
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(archive, entry, path))
        return sorted(entries)


@contextmanager
def _opened(
    path: Path, allowed: Collection[str] | None, limits: ArchiveLimits
) -> Iterator[tuple[tarfile.TarFile, dict[str, tarfile.TarInfo]]]:
    """Unpack an archive within the limits and check every entry; yields it with its files by name."""
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as unpacked:
        # First all of it: gzip verifies length and checksum only at the end.
        _unpack(path, unpacked, limits)
        try:
            unpacked.seek(0)
            archive = tarfile.TarFile(fileobj=unpacked)
        except _FORMAT_ERRORS as error:
            raise _damaged(path, error) from error
        with archive:
            entries = _entries(archive, path, limits)
            _check_names(list(entries), str(path))
            for name in entries:
                if allowed is not None and not any(_matches(name, pattern) for pattern in allowed):
                    known = ", ".join(allowed)
                    raise UserError(f"{path} holds {name!r}, which does not belong there; allowed are: {known}")
            yield archive, entries


def _unpack(path: Path, target: IO[bytes], limits: ArchiveLimits) -> None:
    try:
        # Opening a pipe would wait for its writer for ever, so ask first.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is {'a folder' if path.is_dir() else 'not a plain file'}, but a file is expected")
        with open(path, "rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as packed:
            total = 0
            while chunk := packed.read(_CHUNK):
                total += len(chunk)
                if total > limits.total_bytes:
                    raise UserError(f"{path} unpacks to more than {_megabytes(limits.total_bytes)}; it is refused")
                target.write(chunk)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}") from error
    except _FORMAT_ERRORS as error:  # Before OSError, of which BadGzipFile is one.
        raise _damaged(path, error) from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}") from error


def _entries(archive: tarfile.TarFile, path: Path, limits: ArchiveLimits) -> dict[str, tarfile.TarInfo]:
    """Return the plain files by name; refuse everything that is neither a plain file nor a folder."""
    entries: dict[str, tarfile.TarInfo] = {}
    count, end = 0, 0
    try:
        while (entry := archive.next()) is not None:
            count += 1
            if count > limits.files:
                raise UserError(f"{path} holds more than {limits.files} entries; it is refused")
            if entry.size < 0 or entry.offset_data <= end:
                # A negative size leads back to an earlier header, and older versions of tarfile around for ever.
                raise tarfile.ReadError("an entry lies before the one that precedes it")
            end = entry.offset_data
            name = entry.name.removeprefix("./").rstrip("/")
            if entry.isdir():
                if name not in ("", "."):
                    _check_names([name], str(path))
                continue
            if entry.type not in _PLAIN_TYPES or entry.issparse():
                raise UserError(f"{path} holds {_kind(entry)} {entry.name!r}, but only plain files are allowed")
            if entry.size > limits.file_bytes:
                raise UserError(f"{path}: {name!r} has more than {_megabytes(limits.file_bytes)}; it is refused")
            end += entry.size
            if name in entries:
                raise UserError(f"{path} holds {name!r} twice")
            entries[name] = entry
        _check_rest(archive, end)
    except _FORMAT_ERRORS as error:
        raise _damaged(path, error) from error
    if not entries:
        raise UserError(f"{path} is an archive without files")
    return entries


def _check_rest(archive: tarfile.TarFile, end: int) -> None:
    """Make sure that nothing but zeros follows the last entry: tarfile takes a broken header for the end."""
    file = archive.fileobj
    assert file is not None
    file.seek(end)
    while chunk := file.read(_CHUNK):
        if chunk.count(0) < len(chunk):
            raise tarfile.ReadError("there is something unreadable between or behind its entries")


def _check_names(names: list[str], source: str) -> None:
    """Refuse names that could reach outside the folder, hide something, or stand in each other's way."""
    folders = {name[:position] for name in names for position, letter in enumerate(name) if letter == "/"}
    for name in names:
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise UserError(
                f"{source}: the name {name!r} leads out of its folder; only plain relative names are allowed"
            )
        if not name.isprintable() or "\\" in name or len(name.encode()) > _MAX_NAME:
            raise UserError(f"{source}: the name {name!r} has characters that are not allowed, or is too long")
        if name in folders:
            raise UserError(f"{source}: {name!r} is both a file and a folder")


def _matches(name: str, pattern: str) -> bool:
    given, expected = name.split("/"), pattern.split("/")
    if expected[-1] == "**":
        if len(given) < len(expected):
            return False
        given, expected = given[: len(expected) - 1], expected[:-1]
    return len(given) == len(expected) and all(map(fnmatchcase, given, expected))


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> bytes:
    try:
        file = archive.extractfile(entry)
        content = file.read() if file else b""
    except _FORMAT_ERRORS as error:
        raise _damaged(path, error) from error
    if len(content) != entry.size:
        raise _damaged(path, EOFError(f"{entry.name} is cut off"))
    return content


def _kind(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "the link"
    if entry.ischr() or entry.isblk():
        return "the device"
    return "the pipe" if entry.isfifo() else "the special file"


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error) or type(error).__name__
    return UserError(f"{path} is not a whole .tar.gz archive: {reason}; copy or export it again")


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB" if size >= 1 << 20 else f"{size:,} bytes"
