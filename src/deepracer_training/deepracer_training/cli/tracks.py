"""`deepracer tracks`: look at, check, make and exchange tracks."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_inference.errors import UserError
from deepracer_training.cli.output import (
    JsonFlag,
    PictureOption,
    print_drawing,
    print_facts,
    print_json,
    print_table,
    save_picture,
    warn,
)

if TYPE_CHECKING:
    from deepracer_sim.tracks.check import Problem
    from deepracer_sim.tracks.track import Track

app = typer.Typer(help="Look at, check, make and exchange tracks.", no_args_is_help=True)

TrackArgument = Annotated[
    str, typer.Argument(metavar="TRACK", help="Name of a track, with _cw or _ccw for its direction, or a .npy file.")
]
ForceFlag = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


@app.command("list")
def list_tracks(as_json: JsonFlag = False) -> None:
    """List the library's tracks and your own."""
    from deepracer_sim.tracks.library import describe, library_names, track_names

    ours, entries = set(library_names()), []
    for name in track_names():
        entry: dict[str, Any] = {"name": name, "source": "library" if name in ours else "own"}
        try:
            info = describe(name)
        except UserError as error:
            # One broken file of the user's must not hide the other tracks.
            entry["error"] = str(error)
        else:
            x_min, y_min, x_max, y_max = info.bounds
            entry |= {
                "title": info.title,
                "description": info.description,
                "length_m": info.length,
                "width_m": info.width,
                "area_m": [x_max - x_min, y_max - y_min],
            }
        entries.append(entry)
    if as_json:
        print_json(entries)
        return
    rows = [
        [entry["name"], "", "", "", entry["error"]]
        if "error" in entry
        else [
            entry["name"],
            f"{entry['length_m']:.1f} m",
            f"{entry['width_m']:.2f} m",
            "{:.1f} x {:.1f} m".format(*entry["area_m"]),
            entry["description"] or "your own",
        ]
        for entry in entries
    ]
    print_table(["name", "length", "width", "area", "what for"], rows, right=("length", "width", "area"))
    typer.echo("Every track can be driven both ways: add _cw or _ccw to its name.")


@app.command()
def show(track: TrackArgument, output: PictureOption = None, as_json: JsonFlag = False) -> None:
    """Draw a track: a PNG picture, and a small one here."""
    from deepracer_sim.tracks.library import load_track

    road = load_track(track)
    _show(road, output, as_json, {})


@app.command("import")
def import_track(
    file: Annotated[Path, typer.Argument(help="AWS's .npy file of way points.")],
    name: Annotated[str | None, typer.Option(help="Name here; the file's name when omitted.")] = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Check AWS's track file and take it into your own tracks."""
    from deepracer_sim.tracks.check import check_track
    from deepracer_sim.tracks.library import save_track
    from deepracer_sim.tracks.npy import read_npy

    road = read_npy(file.expanduser())
    target = save_track(road.renamed(name or re.sub(r"[^A-Za-z0-9_-]", "_", road.name)), overwrite=force)
    problems = [problem for problem in check_track(road) if problem.severity != "info"]
    if as_json:
        print_json(_facts(road.renamed(target.stem)) | {"path": str(target), "problems": [asdict(p) for p in problems]})
        return
    for problem in problems:
        warn(str(problem))
    typer.echo(f"Imported {file} as track {target.stem}; see it with: deepracer tracks show {target.stem}")


@app.command()
def generate(
    seed: Annotated[int, typer.Option(min=0, help="Number of the circuit; equal seeds give equal tracks.")],
    length: Annotated[
        float | None, typer.Option(help="Length of a lap, m (met to 5 %); 18 to 32 when omitted.")
    ] = None,
    width: Annotated[float, typer.Option(help="Width of the road, m.")] = 0.76,
    area: Annotated[str, typer.Option(metavar="WxD", help="Floor to fit into, m.")] = "9x6",
    name: Annotated[str | None, typer.Option(help="Name of the track; generated_<seed> when omitted.")] = None,
    output: PictureOption = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Draw a new circuit by chance that keeps to AWS's building rules, and add it to your own tracks."""
    from deepracer_sim.tracks.generate import generate_track
    from deepracer_sim.tracks.library import save_track

    size = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", area)
    if not size:
        raise UserError(f"--area is {area!r}, but a width and a depth in metres such as 9x6 are expected.")
    floor = (float(size[1]), float(size[2]))
    options = {} if length is None else {"length": length}
    road = generate_track(seed, width=width, area=floor, name=name, **options)
    target = save_track(road, overwrite=force)
    _show(road, output, as_json, {"path": str(target)})


@app.command()
def check(
    track: TrackArgument,
    as_json: JsonFlag = False,
) -> None:
    """Explain what is wrong with a track; exit code 2 if it cannot be used."""
    from deepracer_sim.tracks.check import check_array, check_track, errors_of
    from deepracer_sim.tracks.library import load_track
    from deepracer_sim.tracks.npy import read_array

    # A file is checked as it is: load_track would stop at its first error.
    if track.endswith(".npy"):
        problems = check_array(read_array(Path(track).expanduser()))
    else:
        problems = check_track(load_track(track))
    errors = errors_of(problems)
    if as_json:
        print_json({"track": track, "ok": not errors, "problems": [asdict(problem) for problem in problems]})
    else:
        _print_problems(problems)
        typer.echo(f"{track} {'cannot be used' if errors else 'can be used'}.")
    if errors:
        raise typer.Exit(UserError.exit_code)


@app.command()
def export(
    track: TrackArgument,
    file: Annotated[Path, typer.Argument(help="The .npy file to write.")],
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a track as AWS's .npy file of way points."""
    from deepracer_sim.tracks.library import load_track
    from deepracer_sim.tracks.npy import write_npy

    road, target = load_track(track), file.expanduser().absolute()
    if target.suffix != ".npy":
        raise UserError(f"{file} does not end in .npy, as AWS's track files do.")
    if target.exists() and not force:
        raise UserError(f"{file} exists; add --force to overwrite it.")
    write_npy(road, target)
    if as_json:
        print_json(_facts(road) | {"path": str(target)})
    else:
        typer.echo(f"Wrote {target}")


def _facts(track: Track) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = track.bounds
    return {
        "name": track.name,
        "length_m": track.length,
        "width_m": track.width,
        "area_m": [x_max - x_min, y_max - y_min],
        "direction": "counter-clockwise" if track.is_ccw else "clockwise",
        "min_radius_m": track.min_radius,
        "waypoints": len(track.center),
    }


def _show(track: Track, output: Path | None, as_json: bool, more: dict[str, Any]) -> None:
    from deepracer_training.cli.drawing import track_drawing
    from deepracer_training.report.plots import track_figure

    facts = _facts(track) | more
    facts["picture"] = str(save_picture(track_figure(track), output, f"track-{track.name}"))
    if as_json:
        print_json(facts)
        return
    print_drawing(track_drawing(track))
    print_facts(
        {
            "track": track.name,
            "length": f"{track.length:.2f} m",
            "width": f"{track.width:.2f} m",
            "area": "{:.2f} x {:.2f} m".format(*facts["area_m"]),
            "direction": facts["direction"],
            "tightest bend": f"{track.min_radius:.2f} m radius at the centre line",
            "way points": facts["waypoints"],
            **({"file": facts["path"]} if "path" in facts else {}),
            "picture": facts["picture"],
        }
    )


def _print_problems(problems: list[Problem]) -> None:
    colors = {"error": typer.colors.RED, "warning": typer.colors.YELLOW, "info": typer.colors.BRIGHT_BLACK}
    for problem in problems:
        typer.echo(f"{typer.style(problem.severity.ljust(7), fg=colors[problem.severity])}  {problem}")
