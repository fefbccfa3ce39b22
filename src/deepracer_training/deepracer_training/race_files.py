"""What a race between models leaves: figures, a trace of each car, a picture and a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.files import atomic_directory, home, write_atomic
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.objects import RIVAL, Objects
from deepracer_training.traces import TraceWriter

if TYPE_CHECKING:
    from deepracer_sim.tracks.track import Track
    from deepracer_training.racing import Racer, RaceResult

RESULT, PICTURE, VIDEO = "race.json", "race.png", "race.mp4"


def write_race(result: RaceResult, racers: Sequence[Racer], road: Track, *, video: bool) -> Path:
    """Write `$DEEPRACER_HOME/races/<id>/`, all of it or nothing, and return the folder.

    Args:
        result: Figures of the race.
        racers: The cars with their laps.
        road: The track.
        video: Whether to film the winner.

    Raises:
        DeepRacerError: The folder cannot be written.
    """
    from deepracer_training.report.plots import save_png
    from deepracer_training.report.race_plots import race_figure

    races = home() / "races"
    try:
        races.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeepRacerError(f"Cannot create the folder {races}: {error.strerror}") from error
    stamp = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    number = 1
    while (target := races / f"{stamp}-{number}").exists():
        number += 1
    by_place = sorted(racers, key=lambda racer: next(one.place for one in result.racers if one.grid == racer.grid))
    with atomic_directory(target) as building:
        write_atomic(building / RESULT, result.model_dump_json(indent=2) + "\n")
        for racer in racers:
            _write_trace(building / f"{racer.grid}-{racer.folder.name}.csv", racer)
        save_png(race_figure(road, by_place), building / PICTURE)
        if video:
            from deepracer_training.report.video import write_video

            winner = by_place[0]
            vehicle = load_vehicle(winner.policy.manifest.vehicle)
            others = Objects(road, [RIVAL] * (len(racers) - 1), 1, 0)
            camera = EmbeddedSimulator(road, vehicle, 1, objects=others, seed=result.seed)
            title = f"{winner.folder.name} against {', '.join(one.folder.name for one in by_place[1:])} on {road.name}"
            write_video(building / VIDEO, winner.laps, camera, title)
    return target


def _write_trace(path: Path, racer: Racer) -> None:
    """Write the laps of one car as AWS's trace, one after the other on the clock of the race."""
    writer, start_s = TraceWriter(), 0.0
    for lap in racer.laps:
        for row in lap.rows:
            time_s = round(start_s + row.time_s, 6)
            writer.add(replace(row, time_s=time_s, wall_clock=time_s))
        start_s += float(np.round(lap.rows[-1].time_s, 6))
    writer.write(path)
