"""`deepracer cameras`: compare a simulator's camera over ROS topics with the embedded one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_training.cli.output import (
    JsonFlag,
    PictureOption,
    number,
    print_facts,
    print_json,
    print_table,
    save_picture,
)
from deepracer_training.cli.tracks import TrackArgument

if TYPE_CHECKING:
    from deepracer_sim.gazebo.agreement import FrameAgreement


def cameras(
    track: TrackArgument,
    vehicle: Annotated[str, typer.Option(help="Name of a vehicle, or a vehicle file.")] = "deepracer",
    poses: Annotated[int, typer.Option(min=1, max=200, help="Poses, spread evenly over the lap.")] = 8,
    lateral: Annotated[float, typer.Option(min=-1.0, max=1.0, help="Poses so far left of the centre line, m.")] = 0.0,
    turned: Annotated[float, typer.Option(min=-90.0, max=90.0, help="Poses turned to the left by so much, deg.")] = 0.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600.0, help="A simulator may take so long to answer, s.")
    ] = 30.0,
    output: PictureOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Render the same poses in Gazebo and in the embedded simulator, and report how the images differ.

    Wants a simulator of one car in lock-step: ros2 launch deepracer_bringup simulation.launch.py simulator:=gazebo
    headless:=true mode:=lockstep track:=TRACK.
    """
    import numpy as np

    from deepracer_inference.errors import UserError
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_sim.embedded import EmbeddedSimulator
    from deepracer_sim.gazebo.agreement import LINES, compare_frames
    from deepracer_sim.tracks.library import load_track
    from deepracer_training.report.cameras import cameras_figure

    try:
        from deepracer_sim.nodes.ros_simulator import RosSimulator
    except ModuleNotFoundError as error:
        raise UserError(f"There is no {error.name} here: `deepracer cameras` talks to Gazebo over ROS 2.") from error

    road, car = load_track(track), load_vehicle(vehicle)
    ours = EmbeddedSimulator(road, car, 1)
    other = RosSimulator(road, car, 1, timeout_s=timeout, connect_timeout_s=timeout)
    arcs = np.linspace(0.0, road.length, poses, endpoint=False)
    places = road.pose_at(arcs, lateral) + np.array([0.0, 0.0, np.radians(turned)])
    frames, results = [], []
    try:
        for arc, place in zip(arcs, places, strict=True):
            for simulator in (ours, other):
                simulator.reset(np.array([0]), place[None])
            pair = other.images()[0].copy(), ours.images()[0].copy()
            x, y, yaw = place.tolist()
            results.append(compare_frames(road, car.camera, (x, y, yaw), float(arc), *pair))
            frames.append(pair)
    finally:
        other.close()
    titles = [f"{arc:.1f} m" for arc in arcs]
    picture = save_picture(cameras_figure(frames, titles), output, f"cameras-{road.name}")
    if as_json:
        shown = [{"arc_length_m": float(arc), **asdict(result)} for arc, result in zip(arcs, results, strict=True)]
        print_json({"track": road.name, "poses": shown, "lines": _summary(results, LINES), "picture": str(picture)})
        return
    print_table(
        ("pose", "grey Gazebo", "grey embedded", "mean |diff|", "99 %", "sky Gazebo", "sky embedded", "lines"),
        [
            (
                title,
                number(each.mean_first, 1),
                number(each.mean_second, 1),
                number(each.mean_absolute, 1),
                number(each.p99_absolute),
                number(each.mean_sky_first, 1),
                number(each.mean_sky_second, 1),
                str(len(each.lines)),
            )
            for title, each in zip(titles, results, strict=True)
        ],
        right=("grey Gazebo", "grey embedded", "mean |diff|", "99 %", "sky Gazebo", "sky embedded", "lines"),
    )
    print_table(
        ("line", "places", "mean shift px", "mean |shift| px", "largest px"),
        [
            (
                name,
                str(line["places"]),
                *(number(line[key], 2) for key in ("mean_px", "mean_absolute_px", "largest_px")),
            )
            for name, line in _summary(results, LINES).items()
        ],
        right=("places", "mean shift px", "mean |shift| px", "largest px"),
    )
    print_facts({"picture": picture})


def _summary(results: list[FrameAgreement], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return by line how far to the right it is in Gazebo, over all poses and rows; None where it was never seen."""
    summary = {}
    for name in names:
        shifts = [line.first - line.second for each in results for line in each.lines if line.name == name]
        sizes = [abs(shift) for shift in shifts]
        summary[name] = {
            "places": len(shifts),
            "mean_px": sum(shifts) / len(shifts) if shifts else None,
            "mean_absolute_px": sum(sizes) / len(sizes) if sizes else None,
            "largest_px": max(sizes, default=None),
        }
    return summary
