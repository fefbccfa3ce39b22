"""Files that are either whole or absent: atomic writes, atomic folders, checksums and reads with clear errors.

A process may be killed at any moment and a disk may fill up. A reader must then find the old content or the new one,
never half of it. Everything is written beside its final place, forced to the disk, and renamed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from deepracer_inference.errors import DeepRacerError, UserError

TEMPORARY_PREFIX = ".tmp-"
"""Start of the name of every unfinished file or folder; only a killed process leaves one behind."""

_ABANDONED_S = 60.0
"""Younger unfinished folders are left alone: their owner may not have locked them yet."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# A file system or C library that cannot swap two folders in one step answers with one of these.
_EXCHANGE_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP, errno.EPERM}
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def home() -> Path:
    """Return the user's folder of models, tracks and pictures: `$DEEPRACER_HOME`, or `~/.deepracer`."""
    return Path(os.environ.get("DEEPRACER_HOME") or "~/.deepracer").expanduser().absolute()


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that any reader sees the old content or all of the new one.

    Args:
        path: Where the file goes. Its folder must exist. A symbolic link is written through. An existing file keeps its
            permissions, a new one gets those of the process's umask.
        data: Content; text is written as UTF-8.

    Raises:
        DeepRacerError: The disk is full, the folder is missing or not writable, and so on.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    temporary = _temporary_beside(target)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with open(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _write_error(path, error) from error
        raise


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Build a folder beside its final place and move it there when the block ends without an exception.

    An existing folder at `path` is replaced as a whole. On Linux both are swapped in one step, so that a reader never
    finds the place empty; elsewhere there is a moment without a folder, but never one with a mixture. What killed
    processes have left unfinished beside it is removed.

    Args:
        path: Where the folder goes. Its parent must exist.

    Yields:
        An empty folder to fill. It is removed if the block fails.

    Raises:
        DeepRacerError: `path` is a file, or the disk refuses.
    """
    target = Path(os.path.realpath(path))
    staging = _temporary_beside(target)
    try:
        if target.exists() and not target.is_dir():
            raise DeepRacerError(f"{path} is a file, but a folder has to be written there; remove or rename the file")
        _remove_abandoned(target.parent)
        staging.mkdir()
        with ExitStack() as lock:
            with suppress(OSError):  # A file system without locks: nobody can take this folder for an abandoned one.
                lock.enter_context(_locked(staging))
            yield staging
            _sync_tree(staging)
            _move_into_place(staging, target)
        _sync_folder(target.parent)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError) and _is_about(error, staging, target):
            raise _write_error(path, error) from error
        raise


def sha256_of(source: Path | bytes) -> str:
    """Return the SHA-256 of a file or of bytes, as 64 lower-case hexadecimal digits.

    Raises:
        DeepRacerError: The file cannot be read.
    """
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
        return digest.hexdigest()
    try:
        with open(source, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise DeepRacerError(f"Cannot read {source}: {_reason(error)}") from error
    return digest.hexdigest()


def read_bytes(path: Path) -> bytes:
    """Read a file that the user named.

    Raises:
        UserError: It is missing, is not a plain file, or cannot be read.
    """
    try:
        # Opening a pipe would wait for its writer for ever, so ask first.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a plain file"
            raise UserError(f"{path} is {kind}, but a file is expected")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path.
        reason = _reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"Cannot read {path}: {reason}") from error


def read_text(path: Path) -> str:
    """Read a UTF-8 text file that the user named; a byte order mark is dropped.

    Raises:
        UserError: As `read_bytes`, or the content is not UTF-8.
    """
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} is not a UTF-8 text file (byte 0x{content[error.start]:02x} in line {line}); save it as UTF-8"
        ) from error


def _temporary_beside(target: Path) -> Path:
    # Not derived from the target's name, which may already be as long as the file system allows.
    return target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, which the system releases however the process ends.

    Raises:
        BlockingIOError: Somebody else holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    """Remove the unfinished folders of killed processes; tidying up is no reason to fail."""
    for folder in parent.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _ABANDONED_S:
                with _locked(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _move_into_place(staging: Path, target: Path) -> None:
    if not target.exists():
        os.rename(staging, target)
    elif _exchange(staging, target):
        # The new folder is in place, so an old file that cannot be removed is no reason to report a failure.
        shutil.rmtree(staging, ignore_errors=True)
    else:
        retired = _temporary_beside(target)
        os.rename(target, retired)
        try:
            os.rename(staging, target)
        except OSError:
            os.rename(retired, target)
            raise
        shutil.rmtree(retired, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step with Linux's renameat2(2); False if the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _EXCHANGE_UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            if not file.is_symlink():
                _sync(file, os.O_RDONLY)
        _sync_folder(Path(root))


def _sync_folder(folder: Path) -> None:
    # Without this a power cut can undo the rename although the file's content is safe.
    try:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some network file systems cannot sync a folder.
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_about(error: OSError, staging: Path, target: Path) -> bool:
    """Tell a failed write of the folder from the block's own errors, which must stay what they are."""
    if error.filename is None or error.errno in _DISK_ERRORS:
        return True
    return str(error.filename).startswith(str(staging)) or str(error.filename) == str(target)


def _write_error(path: Path, error: OSError) -> DeepRacerError:
    return DeepRacerError(f"Cannot write {path}: {_reason(error)}")


def _reason(error: OSError) -> str:
    hints = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "permission denied",
        errno.ENOENT: "the folder does not exist",
    }
    return hints.get(error.errno or 0) or error.strerror or str(error)
