"""AWS's track files: a NumPy array (N, 6) of centre, inner and outer way points, closed, in driving direction [D 3]."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_bytes, write_atomic
from deepracer_sim.tracks.check import check_array, errors_of
from deepracer_sim.tracks.track import Track

SIZE_LIMIT = 1024 * 1024
"""Largest file that is read, bytes; AWS's own are below 20 kB, so anything larger is some other file."""


def read_array(path: Path) -> NDArray[Any]:
    """Read whatever array the file holds; nothing in it is ever unpickled.

    Raises:
        UserError: If the file is missing, unreadable or no NumPy array file.
    """
    if path.is_file() and path.stat().st_size > SIZE_LIMIT:
        raise UserError(f"{path} is larger than {SIZE_LIMIT // 2**20} MiB, so it is no track file")
    data = read_bytes(path)
    try:
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        if "Object arrays" in str(error):
            reason = "holds pickled Python objects, which could run code and are refused; save plain float64 numbers"
        else:
            reason = "is damaged or not in NumPy's .npy format"
        raise UserError(f"{path} {reason}") from error
    return np.asarray(array)


def read_npy(path: Path) -> Track:
    """Read a track from AWS's format; it is named after the file.

    Raises:
        UserError: If the file cannot be read or `check_array` finds errors (warnings do not hinder).
    """
    array = read_array(path)
    errors = errors_of(check_array(array))
    if errors:
        more = f" ({len(errors) - 1} more: run `deepracer tracks check`)" if len(errors) > 1 else ""
        raise UserError(f"{path}: {errors[0]}{more}")
    return Track.from_rows(path.stem, array)


def write_npy(track: Track, path: Path) -> None:
    """Write a track in AWS's format; reading it back gives the same numbers bit for bit."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, track.rows(), version=(1, 0), allow_pickle=False)
    write_atomic(path, buffer.getvalue())
