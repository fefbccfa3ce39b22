"""The track library: our own circuits, the user's own files, and finding either by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from deepracer_inference.config import StrictModel, load_yaml, nearest
from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import home
from deepracer_sim.tracks.layout import LayoutError, round_corners
from deepracer_sim.tracks.npy import read_npy, write_npy
from deepracer_sim.tracks.track import Track

DEFAULT_TRACK = "riverside"
"""The circuit for a first model."""

_FOLDER = Path(__file__).parent / "library"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DIRECTIONS = {"_ccw": True, "_cw": False}

Corner = tuple[float, float, Annotated[float, Field(gt=0.0)]]


class TrackDesign(StrictModel):
    """A library file: the circuit as a polygon with rounded corners."""

    title: str
    """Name for people."""
    description: str
    """One sentence about what it is good for."""
    width: Annotated[float, Field(ge=0.3, le=3.0)]
    """Width of the road between its borders, m."""
    corners: Annotated[tuple[Corner, ...], Field(min_length=3)]
    """x, y and radius of the bend at the centre line, m, in driving order; the lap starts between the first two."""


@dataclass(frozen=True)
class TrackInfo:
    """What a list of tracks shows; lengths in m, `bounds` as in `Track.bounds`."""

    name: str
    title: str
    description: str
    length: float
    width: float
    bounds: tuple[float, float, float, float]


def user_track_folder() -> Path:
    """Folder of the user's own tracks, `$DEEPRACER_HOME/tracks`."""
    return home() / "tracks"


def library_names() -> list[str]:
    """Names of the circuits that come with the package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def track_names() -> list[str]:
    """Names that `load_track` knows: the library's and the user's, sorted, without direction suffixes."""
    return sorted({*library_names(), *(path.stem for path in user_track_folder().glob("*.npy"))})


def load_track(name_or_path: str | Path) -> Track:
    """Find a track by its name or read it from a file.

    Args:
        name_or_path: A library name, the name of a file in the user's track folder, or a path that ends in `.npy`.
            Names may carry `_cw` or `_ccw`, which forces the driving direction.

    Raises:
        UserError: If there is no such track, or its file is bad.
    """
    text = str(name_or_path)
    if text.endswith(".npy"):
        return read_npy(Path(text).expanduser())
    track = _named(text)
    if track is not None:
        return track
    for suffix, ccw in _DIRECTIONS.items():
        base = _named(text.removesuffix(suffix)) if text.endswith(suffix) else None
        if base is not None:
            return (base if base.is_ccw == ccw else base.reversed()).renamed(text)
    hint = nearest(text, track_names())
    raise UserError(f"There is no track '{text}' ({hint}); a file is given by its path, ending in .npy")


def save_track(track: Track, *, overwrite: bool = False) -> Path:
    """Put a track into the user's folder, where `load_track` finds it by its name.

    Args:
        track: The track, under the name that it is to have there.
        overwrite: Whether a track of this name may be replaced.

    Raises:
        UserError: If the name is unfit or taken.
        DeepRacerError: If the folder cannot be written.
    """
    if not _NAME.fullmatch(track.name):
        raise UserError(f"'{track.name}' is no name for a track; use letters, digits, hyphens and underscores")
    if any(track.name.removesuffix(suffix) in library_names() for suffix in ("", *_DIRECTIONS)):
        raise UserError(f"'{track.name}' is the name of a track in the library; choose another one with --name")
    path = user_track_folder() / f"{track.name}.npy"
    if path.exists() and not overwrite:
        raise UserError(
            f"Track '{track.name}' exists in {path.parent}; take another --name, or overwrite it with --force"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeepRacerError(f"Cannot make the folder {path.parent}: {error.strerror}") from error
    write_npy(track, path)
    return path


def describe(name: str) -> TrackInfo:
    """Tell title, description and size of a track; tracks from files have their name as title.

    Raises:
        UserError: If there is no such track, or its file is bad.
    """
    track = load_track(name)
    names = library_names()
    base = next((base for suffix in ("", *_DIRECTIONS) if (base := name.removesuffix(suffix)) in names), None)
    title, description = track.name, ""
    if base:
        design = _design(base)
        title, description = design.title, design.description
    return TrackInfo(name, title, description, track.length, track.width, track.bounds)


def _named(name: str) -> Track | None:
    """Library track or user's file of exactly this name."""
    if name in library_names():
        return _library_track(name)
    path = user_track_folder() / f"{name}.npy"
    return read_npy(path) if name and Path(name).name == name and path.is_file() else None


@cache
def _library_track(name: str) -> Track:
    design = _design(name)
    try:
        return round_corners(np.array(design.corners)).track(name, design.width)
    except LayoutError as error:
        raise UserError(f"{_FOLDER / name}.yaml: {error}") from error


def _design(name: str) -> TrackDesign:
    return load_yaml(_FOLDER / f"{name}.yaml", TrackDesign)
