"""Recorded laps: a trace together with the track that it was driven on, found by the name of a model or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepracer_inference.config import nearest
from deepracer_inference.errors import UserError
from deepracer_inference.files import sha256_of
from deepracer_sim.objects import Objects
from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.track import Track
from deepracer_training.models.folder import ModelFolder
from deepracer_training.object_trace import read_object_trace
from deepracer_training.results import OBJECTS, RESULT, TRACE, EvaluationResult
from deepracer_training.traces import Trace, read_trace

FAR_FROM_TRACK = 2.0
"""Widths of the road; a trace whose median row is farther from the centre line was driven somewhere else."""


@dataclass(frozen=True)
class Recording:
    """Laps that were driven at some time."""

    name: str
    """For people: which laps these are."""
    track: Track
    trace: Trace
    folder: Path | None = None
    """Of the evaluation, if it is one."""
    result: EvaluationResult | None = None
    """Of the evaluation, if it is one."""
    objects: Mapping[int, Objects] | None = None
    """What stood or drove on the road: for each episode, with a world for each of its steps."""


def evaluation_ids(folder: ModelFolder) -> list[str]:
    """Return the evaluations of a model, the oldest first."""
    return sorted(path.parent.name for path in folder.evaluations.glob(f"[!.]*/{RESULT}"))


def open_evaluation(folder: ModelFolder, name: str | None = None) -> Recording:
    """Find an evaluation's trace and its track.

    Args:
        folder: The model.
        name: The evaluation's id, or a part of it that no other one has; the latest when omitted.

    Raises:
        UserError: There is none of this name, it is damaged, or its track is not what it was.
    """
    names = evaluation_ids(folder)
    if not names:
        raise UserError(f"Model {folder.name!r} has no evaluation yet; make one with: deepracer evaluate {folder.name}")
    wanted = names[-1] if name is None else name
    found = [wanted] if wanted in names else [one for one in names if wanted in one]
    if not found:
        raise UserError(f"Model {folder.name!r} has no evaluation {wanted!r}; {nearest(wanted, names)}")
    if len(found) > 1:
        raise UserError(f"{wanted!r} fits {len(found)} evaluations of {folder.name!r}, {', '.join(found)}: name one")
    path = folder.evaluations / found[0]
    result = EvaluationResult.read(path)
    track = _track_of(folder, result)
    trace = read_trace(path / TRACE)
    if not len(trace):
        raise UserError(
            f"{path / TRACE} holds no steps, only a header; evaluate again: deepracer evaluate {folder.name}"
        )
    objects = read_object_trace(path / OBJECTS, track) if (path / OBJECTS).is_file() else None
    if objects is not None:
        _check_objects(objects, trace, path / OBJECTS)
    return Recording(f"evaluation {found[0]} of {folder.name}", track, trace, path, result, objects)


def open_trace(path: Path, track: str) -> Recording:
    """Read a trace file of AWS's simulator or ours.

    Args:
        path: The CSV file.
        track: Name or file of the track that it was driven on; traces do not name it.

    Raises:
        UserError: The file is no trace, is empty, or was driven on another track.
    """
    trace, road = read_trace(path), load_track(track)
    if not len(trace):
        raise UserError(f"{path} holds no steps, only a header")
    points = road.project([[x, y] for x, y in zip(trace.x, trace.y, strict=True)])
    distance = sorted(abs(points.lateral).tolist())[len(trace) // 2]
    length = float(trace.track_length[0])
    if distance > FAR_FROM_TRACK * road.width or (length > 0.0 and abs(length / road.length - 1.0) > 0.1):
        raise UserError(
            f"{path} was not driven on {road.name}: its track is {length:.2f} m long, this one {road.length:.2f} m, "
            f"and half of its steps are more than {distance:.2f} m beside the centre line; name the right one with "
            "--track"
        )
    return Recording(path.name, road, trace)


def _check_objects(objects: Mapping[int, Objects], trace: Trace, path: Path) -> None:
    """Refuse a record of objects that ends before the laps do."""
    for lap in trace.episodes():
        there = objects.get(int(lap.episode[0]))
        if there is None or len(there.poses) < int(lap.steps.max()):
            raise UserError(f"{path} does not tell where the objects were in all steps of the trace; evaluate again")


def _track_of(folder: ModelFolder, result: EvaluationResult) -> Track:
    """Return the track of an evaluation: the model's own when the name fits, so that a file keeps its path."""
    configured = folder.config.track
    own = Path(configured).stem if configured.endswith(".npy") else configured
    track = load_track(configured if own == result.track else result.track)
    expected = result.hashes.get("track waypoints")
    if expected is not None and sha256_of(track.rows().tobytes()) != expected:
        raise UserError(
            f"Track {result.track} is not the one that evaluation {result.id} of {folder.name!r} was driven on: its "
            f"way points differ; evaluate again: deepracer evaluate {folder.name} --track {result.track}"
        )
    return track
