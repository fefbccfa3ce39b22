"""`deepracer world`: write Gazebo's world of a track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepracer_training.cli.output import JsonFlag, print_json
from deepracer_training.cli.tracks import TrackArgument


def world(
    track: TrackArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the world's files; worlds in $DEEPRACER_HOME when omitted. Worlds share it.",
        ),
    ] = None,
    real_time_factor: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Simulated seconds per second; 0: as fast as possible.")
    ] = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Write Gazebo's world of a track; prints the path of the SDF file, as in: gz sim $(deepracer world oval)."""
    from deepracer_inference.files import home
    from deepracer_sim.gazebo.world import write_world
    from deepracer_sim.tracks.library import load_track

    folder = home() / "worlds" if output is None else output.expanduser().absolute()
    files = write_world(load_track(track), folder, real_time_factor=real_time_factor)
    if as_json:
        print_json({name: str(path) for name, path in files._asdict().items()})
    else:
        typer.echo(files.sdf)
