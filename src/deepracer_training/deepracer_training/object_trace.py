"""The objects of an evaluation as a file beside its trace: where each of them was after each step."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, write_atomic
from deepracer_sim.objects import BOT_CAR, BOX, RIVAL, Objects

if TYPE_CHECKING:
    from deepracer_sim.simulator import FloatArray, IntArray
    from deepracer_sim.tracks.track import Track
    from deepracer_training.laps import LapRecord

COLUMNS = ("episode", "steps", "object", "kind", "x", "y", "yaw", "speed")
"""x, y in m, yaw in degrees, speed in m/s."""

KINDS = {kind.name: kind for kind in (BOX, BOT_CAR, RIVAL)}


def write_object_trace(path: Path, records: Sequence[LapRecord], objects: Objects) -> None:
    """Write one row per lap, step and object.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    lines = [",".join(COLUMNS)]
    for episode, record in enumerate(records):
        for row, poses in zip(record.rows, record.objects, strict=True):
            for index, (x, y, yaw) in enumerate(poses.tolist()):
                degrees, speed = math.degrees(math.remainder(yaw, math.tau)), float(objects.speed[episode, index])
                kind = objects.kinds[index].name
                lines.append(f"{episode},{row.steps},{index},{kind},{x!r},{y!r},{degrees!r},{speed!r}")
    write_atomic(path, "\n".join(lines) + "\n")


def read_object_trace(path: Path, track: Track) -> dict[int, Objects]:
    """Read where the objects were.

    Returns:
        For each episode its objects, with the world after each step in the place of the world of each car.

    Raises:
        UserError: The file is not one of ours.
    """
    rows: dict[int, list[list[list[float]]]] = {}
    kinds: dict[int, list[str]] = {}
    try:
        for row in csv.DictReader(io.StringIO(read_text(path))):
            episode, index = int(row["episode"]), int(row["object"])
            steps, names = rows.setdefault(episode, []), kinds.setdefault(episode, [])
            if index == 0:
                steps.append([])
            if index == len(names):
                names.append(row["kind"])
            steps[-1].append([float(row[name]) for name in ("x", "y", "yaw", "speed")])
        if any(len(there) != len(kinds[episode]) for episode, steps in rows.items() for there in steps):
            raise ValueError("an object is missing in a step")
        return {episode: recorded(track, kinds[episode], np.array(steps)) for episode, steps in rows.items()}
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(f"{path} is not a trace of objects ({error}); evaluate again") from error


def recorded(track: Track, kinds: Sequence[str], rows: FloatArray) -> Objects:
    """Return objects as they were after each of S steps.

    Args:
        track: The road.
        kinds: Name of each object's kind (M).
        rows: x, y, yaw, speed of each (S, M, 4), m, m, degrees, m/s.
    """
    objects = Objects(track, [KINDS[name] for name in kinds], len(rows), seed=0)
    objects.poses[:] = rows[..., :3]
    objects.poses[..., 2] = np.radians(rows[..., 2])
    objects.speed[:] = rows[..., 3]
    place = track.project(np.ascontiguousarray(rows[..., :2].reshape(-1, 2)))
    objects.arc_length[:] = place.arc_length.reshape(objects.arc_length.shape)
    objects.lateral[:] = place.lateral.reshape(objects.lateral.shape)
    objects.moving = any(name != BOX.name for name in kinds)
    return objects


def worlds(objects: Objects, rows: IntArray) -> Objects:
    """Return some of the worlds of recorded objects, `rows` (K,), as objects of K cars."""
    some = Objects(objects.track, objects.kinds, len(rows), objects.seed)
    for name in ("poses", "speed", "arc_length", "lateral", "solid"):
        setattr(some, name, getattr(objects, name)[rows])
    some.moving = objects.moving
    return some
