"""The page of an evaluation: one HTML file with everything inside, nothing to fetch, for any browser."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from deepracer_inference.action_space import ContinuousActionSpace
from deepracer_inference.files import write_atomic
from deepracer_sim.race_settings import RaceSettings
from deepracer_sim.simulator import FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder
from deepracer_training.object_trace import read_object_trace
from deepracer_training.report.page import render
from deepracer_training.report.plots import path_figure, svg, training_panels
from deepracer_training.results import OBJECTS, REPORT, TRACE, VIDEO, EvaluationResult
from deepracer_training.traces import read_trace

TEMPLATE = "report.html"
MAX_EMBEDDED_VIDEO = 8 * 2**20
"""Bytes; a larger video is only linked, beside the page."""

Table = list[tuple[str, str]]


def write_report(folder: Path, result: EvaluationResult, track: Track, model: ModelFolder) -> None:
    """Write the page into the folder of an evaluation, from the files that are already there.

    Args:
        folder: With the trace and the video.
        result: Figures of the evaluation.
        track: The road.
        model: For its configuration, reward function and training curves.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    video = folder / VIDEO
    embedded = video.is_file() and video.stat().st_size <= MAX_EMBEDDED_VIDEO
    log = model.metrics_jsonl
    curves = training_panels(log) if log.is_file() and log.stat().st_size else {}
    page = render(
        TEMPLATE,
        result=result,
        grade="bad" if result.laps_completed < result.laps else "fair" if result.reset_count else "good",
        verdict=_verdict(result),
        tiles=_tiles(result),
        video=_data_url(video, "video/mp4") if embedded else VIDEO if result.video else None,
        path=Markup(svg(path_figure(track, read_trace(folder / TRACE), boxes=_boxes(folder, result, track)))),
        curves={title: Markup(svg(figure)) for title, figure in curves.items()},
        model=_model_tables(model.config),
        reward_function=_text(model.reward),
        provenance={
            "Evaluation": [
                ("seed", "none" if result.seed is None else str(result.seed)),
                ("world seed", "none" if result.world_seed is None else str(result.world_seed)),
                ("id", result.id),
            ],
            "Policy": [(key, str(value)) for key, value in result.provenance.items()],
            "Versions": list(result.versions.items()),
        },
        hashes=[("trace", result.trace_sha256), *result.hashes.items()],
    )
    write_atomic(folder / REPORT, page)


def _verdict(result: EvaluationResult) -> str:
    laps = f"{result.laps_completed} of {result.laps} laps complete"
    counts = {
        "off track": result.off_track_count,
        "crashed": result.crash_count,
        "immobilized": result.immobilized_count,
        "reversed": result.reversed_count,
    }
    failures = [f"{count} x {name}" for name, count in counts.items() if count]
    return f"{laps}, {', '.join(failures) if failures else 'no violation of the rules'}"


def _tiles(result: EvaluationResult) -> list[tuple[str, str, str]]:
    """Return label, value and remark of the figures that matter most."""
    return [
        (
            "Laps complete",
            f"{result.laps_completed} / {result.laps}",
            "from random starts, standing" if result.seed is not None else "episodes of the trace",
        ),
        ("Best lap", _number(result.lap_time_best_s, 2, " s"), f"slowest {_number(result.lap_time_worst_s, 2, ' s')}"),
        (
            "Mean lap",
            _number(result.lap_time_mean_s, 2, " s"),
            f"± {_number(result.lap_time_std_s, 2, ' s')}, {_percent(result.consistency)} of the mean",
        ),
        (
            "Mean speed",
            f"{result.mean_speed:.2f} m/s",
            f"{_percent(result.mean_speed_share)} of the model's {result.top_speed:g} m/s",
        ),
        (
            "Off track",
            str(result.off_track_count),
            f"{result.reset_count} reset{'' if result.reset_count == 1 else 's'} in all",
        ),
        *([("Crashes", str(result.crash_count), _opponents(result.race))] if result.race is not None else []),
        ("Reward per lap", f"{result.reward_mean:.1f}", "mean of all laps"),
    ]


def _boxes(folder: Path, result: EvaluationResult, track: Track) -> FloatArray | None:
    """Return where the boxes of all laps were (K, 3); they stay where they are."""
    if result.race is None or result.race.boxes is None or not (folder / OBJECTS).is_file():
        return None
    return np.concatenate([objects.poses[0] for objects in read_object_trace(folder / OBJECTS, track).values()])


def _opponents(race: RaceSettings) -> str:
    if race.boxes is not None:
        return f"with {race.boxes.count} boxes, {race.collision_penalty_s:g} s each"
    number = race.bots.number if race.bots is not None else 0
    return f"with {number} cars, {race.collision_penalty_s:g} s each"


def _model_tables(config: ModelConfig) -> dict[str, Table]:
    space = config.action_space
    if isinstance(space, ContinuousActionSpace):
        actions = [
            ("steering", f"{space.steering_angle.low:g} to {space.steering_angle.high:g}°"),
            ("speed", f"{space.speed.low:g} to {space.speed.high:g} m/s"),
        ]
    else:
        actions = [
            (f"action {index}", f"{action.steering_angle:g}°, {action.speed:g} m/s")
            for index, action in enumerate(space.actions)
        ]
    observation = config.observation
    return {
        "Model": [
            ("track", config.track),
            ("race type", config.race_type.replace("_", " ")),
            ("vehicle", config.vehicle),
            ("network", config.network),
            ("observation", f"{observation.width} x {observation.height} grey"),
            ("action space", space.kind),
            *actions,
        ],
        "Hyperparameters": _rows(config.hyperparameters.model_dump().items()),
        "Training": _rows(config.training.model_dump().items()),
    }


def _rows(items: Iterable[tuple[str, Any]]) -> Table:
    return [(key.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value)) for key, value in items]


def _number(value: float | None, digits: int, unit: str) -> str:
    return "\u2013" if value is None else f"{value:.{digits}f}{unit}"


def _percent(share: float | None) -> str:
    return "\u2013" if share is None else f"{100 * share:.1f} %"


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
