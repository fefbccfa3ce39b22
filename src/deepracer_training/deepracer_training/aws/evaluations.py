"""AWS's traces and metrics as evaluations of ours."""

from __future__ import annotations

import re
import reprlib
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from deepracer_inference.config import parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import atomic_directory, read_bytes, read_text, sha256_of, write_atomic
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_sim.tracks.track import Track
from deepracer_training.evaluation import next_number
from deepracer_training.laps import LapRecord
from deepracer_training.metrics import EvaluationMetric, write_evaluation_metrics
from deepracer_training.models.folder import ModelFolder, make_directory
from deepracer_training.recordings import open_trace
from deepracer_training.report.html import write_report
from deepracer_training.report.plots import driven_speed
from deepracer_training.results import METRICS, REPORT, RESULT, TRACE, EvaluationResult, summarize
from deepracer_training.traces import Trace, TraceRow

_STAMP = re.compile(r"\d{14}")
VIOLATIONS = {
    "off_track_count": EpisodeStatus.OFF_TRACK,
    "crash_count": EpisodeStatus.CRASHED,
    "immobilized_count": EpisodeStatus.IMMOBILIZED,
    "reversed_count": EpisodeStatus.REVERSED,
}


def import_evaluation(
    folder: ModelFolder, trace: Path, *, track: str, metrics: Path | None = None, source: str | None = None
) -> EvaluationResult:
    """Write `evaluations/<id>/` from a trace; the trace itself is kept byte by byte.

    Args:
        folder: The model that drove.
        trace: A simtrace of AWS's simulator or ours; every episode counts as a lap.
        track: Name or file of the track.
        metrics: AWS's metrics of the same laps, which know times and counts better than the trace does.
        source: Where it comes from, for people; the trace's path when omitted.

    Raises:
        UserError: A file is damaged, or was driven on another track; nothing was written.
        DeepRacerError: The folder cannot be written.
    """
    recording = open_trace(trace, track)
    road, episodes = recording.track, list(recording.trace.episodes())
    known = read_evaluation_metrics(metrics) if metrics else []
    if len(known) != len(episodes):
        known = [None] * len(episodes)
    records = [lap_record(lap, road, metric) for lap, metric in zip(episodes, known, strict=True)]
    content = read_bytes(trace)
    created = _time_of(recording.trace, trace)
    make_directory(folder.evaluations)
    name = f"{created:%Y%m%d-%H%M%S}-{next_number(folder.evaluations)}"
    target = folder.evaluations / name
    config = folder.config
    with atomic_directory(target) as building:
        (building / TRACE).parent.mkdir()
        write_atomic(building / TRACE, content)
        write_evaluation_metrics(building / METRICS, _metrics(records, episodes))
        result = EvaluationResult(
            id=name,
            created=created.isoformat(timespec="seconds"),
            model=folder.name,
            track=road.name,
            track_length_m=road.length,
            vehicle=config.vehicle,
            seed=None,
            world_seed=None,
            **summarize(records, config.action_space.max_speed),
            reward_error=None,
            trace_sha256=sha256_of(content),
            hashes={"track waypoints": sha256_of(road.rows().tobytes())},
            versions={},
            provenance={"imported from": source or str(trace)},
            trace=TRACE,
            metrics=METRICS,
            report=REPORT,
            video=None,
        )
        write_atomic(building / RESULT, result.model_dump_json(indent=2) + "\n")
        write_report(building, result, road, folder)
    return result.anchored(target)


def read_evaluation_metrics(path: Path) -> list[dict[str, Any] | None]:
    """Return the laps of AWS's evaluation metrics.

    Raises:
        UserError: It is no such file.
    """
    data = parse_json(read_text(path), str(path))
    laps = data.get("metrics") if isinstance(data, dict) else None
    if not isinstance(laps, list) or not all(isinstance(lap, dict) for lap in laps):
        raise UserError(f"{path} is not a metrics file of AWS: a list under the key 'metrics' is expected")
    keys = ("elapsed_time_in_milliseconds", *VIOLATIONS)
    for lap in laps:
        for key in keys:
            value = lap.get(key, 0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
                raise UserError(f"{path}: {key} is {reprlib.repr(value)}, but a number from 0 to 1e12 is expected")
    return list(laps)


def lap_record(lap: Trace, track: Track, metric: dict[str, Any] | None) -> LapRecord:
    """Return one episode of a trace as a lap.

    Args:
        lap: The episode.
        track: Where it was driven.
        metric: AWS's metrics of it, if they are known.

    Raises:
        UserError: A status in the trace is not one of AWS's.
    """
    # AWS's clock starts one period before the first row.
    periods = np.diff(lap.time_s)
    start_s = float(lap.time_s[0]) - (float(np.median(periods)) if len(periods) else 0.0)
    rows = [_row(lap, index, start_s) for index in range(len(lap))]
    statuses = [_status(str(status)) for status in lap.status]
    complete = statuses[-1] is EpisodeStatus.LAP_COMPLETE or float(lap.progress[-1]) >= 100.0
    speed, driven = driven_speed(lap)
    counts = {name: _entries(statuses, status) for name, status in VIOLATIONS.items()}
    if metric:
        counts = {name: int(metric.get(name, counts[name])) for name in VIOLATIONS}
        rows[-1] = replace(rows[-1], time_s=float(metric.get("elapsed_time_in_milliseconds", 0)) / 1000.0)
    record = LapRecord(
        start_m=float(track.project([[lap.x[0], lap.y[0]]]).arc_length[0]),
        rows=rows,
        speeds=speed[driven].tolist() or [0.0],
        status=EpisodeStatus.LAP_COMPLETE if complete else statuses[-1],
        lap_time_s=rows[-1].time_s if complete else None,
        reset_count=sum(counts.values()),
    )
    for name, count in counts.items():
        setattr(record, name, count)
    return record


def _row(lap: Trace, index: int, start_s: float) -> TraceRow:
    return TraceRow(
        episode=int(lap.episode[index]),
        steps=int(lap.steps[index]),
        x=float(lap.x[index]),
        y=float(lap.y[index]),
        yaw=float(lap.yaw[index]),
        steering_angle=float(lap.steering_angle[index]),
        speed=float(lap.speed[index]),
        action=str(lap.action[index]),
        reward=float(lap.reward[index]),
        done=bool(lap.done[index]),
        all_wheels_on_track=bool(lap.all_wheels_on_track[index]),
        progress=float(lap.progress[index]),
        closest_waypoint=int(lap.closest_waypoint[index]),
        track_length=float(lap.track_length[index]),
        time_s=float(lap.time_s[index]) - start_s,
        status=str(lap.status[index]),
        pause_s=float(lap.pause_s[index]),
        obstacle_crashes=int(lap.obstacle_crashes[index]),
    )


def _status(text: str) -> EpisodeStatus:
    try:
        return EpisodeStatus(text.strip().lower().replace(" ", "_"))
    except ValueError as error:
        known = ", ".join(status.value for status in EpisodeStatus)
        raise UserError(f"episode_status {text!r} is not one of AWS's: {known}") from error


def _entries(statuses: list[EpisodeStatus], wanted: EpisodeStatus) -> int:
    """Count how often a status begins; AWS writes it in every row while it lasts."""
    return sum(
        status is wanted and (not index or statuses[index - 1] is not wanted) for index, status in enumerate(statuses)
    )


def _metrics(records: list[LapRecord], episodes: list[Trace]) -> list[EvaluationMetric]:
    return [
        EvaluationMetric(
            trial=number,
            start_s=float(episode.time_s[-1]) - record.rows[-1].time_s,
            elapsed_s=record.rows[-1].time_s,
            progress=record.rows[-1].progress,
            status=record.status,
            crash_count=record.crash_count,
            immobilized_count=record.immobilized_count,
            off_track_count=record.off_track_count,
            reversed_count=record.reversed_count,
        )
        for number, (record, episode) in enumerate(zip(records, episodes, strict=True), 1)
    ]


def _time_of(trace: Trace, path: Path) -> datetime:
    """Return when a trace was begun: newer ones have the wall's clock, of older ones the folder's name tells it."""
    begun = float(trace.wall_clock[0])
    if 1e9 < begun < 1e10:
        return datetime.fromtimestamp(begun, timezone.utc)
    if stamp := _STAMP.search(path.absolute().parent.parent.name):
        with suppress(ValueError):
            return datetime.strptime(stamp.group(), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return datetime.now(timezone.utc)
