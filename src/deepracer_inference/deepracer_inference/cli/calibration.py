"""`calibrate` and `calibration`: measure a car, look at the result, exchange it with AWS's file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepracer_inference.cli.output import JsonFlag, print_facts, print_json, print_table
from deepracer_inference.errors import UserError

if TYPE_CHECKING:
    from deepracer_inference.calibration import Calibration

METHODS = {"protractor": "protractor", "circle": "turning circle"}

VehicleOption = Annotated[
    str | None,
    typer.Option(help="Vehicle: a name, or a .yaml file.  [default: that of this car's calibration, else deepracer]"),
]

app = typer.Typer(help="Look at this car's calibration, undo it, exchange it with AWS's file.", no_args_is_help=True)


def calibrate(
    vehicle: VehicleOption = None,
    method: Annotated[
        str,
        typer.Option(metavar="protractor|circle", help="Read wheel angles off the printed sheet, or drive circles."),
    ] = "protractor",
    top_speed: Annotated[float, typer.Option(min=0.3, max=10.0, help="Measure throttles up to this speed, m/s.")] = 2.0,
    floor: Annotated[float, typer.Option(min=2.0, max=100.0, help="Free floor ahead of the car, m.")] = 5.0,
    reverse: Annotated[bool, typer.Option(help="Measure driving backwards, too.")] = True,
    sysfs: Annotated[Path, typer.Option(hidden=True)] = Path("/sys"),
) -> None:
    """Measure which pulses give which wheel angle and which speed; run it on the car."""
    from deepracer_inference.calibrate.bench import BoardBench
    from deepracer_inference.calibrate.wizard import Plan, Wizard
    from deepracer_inference.calibration import load_calibration, save_calibration
    from deepracer_inference.cli.dialogue import TerminalDialogue

    if method not in METHODS:
        raise UserError(f"--method is {method!r}, but protractor or circle is expected")
    car = car_vehicle(vehicle)
    start = load_calibration(car)
    plan = Plan(METHODS[method], reverse, top_speed, floor)  # type: ignore[arg-type]
    typer.echo(f"Calibration of a {car.title}. Ctrl-C ends it at any time; the car then stops and nothing is saved.")
    with BoardBench(car, start.neutral, sysfs) as bench:
        dialogue = TerminalDialogue()
        result = Wizard(car, start, bench, dialogue, plan).run()
        _print(result)
        if not dialogue.confirm("save", "Save this calibration?"):
            raise UserError("Nothing has been saved")
    typer.echo(f"Saved {save_calibration(result)}; back to the one before with: deepracer calibration undo")


@app.command()
def show(vehicle: VehicleOption = None, as_json: JsonFlag = False) -> None:
    """Show the calibration in use."""
    from deepracer_inference.calibration import load_calibration

    calibration = load_calibration(car_vehicle(vehicle))
    if as_json:
        print_json(_as_json(calibration))
    else:
        _print(calibration)


@app.command()
def undo(as_json: JsonFlag = False) -> None:
    """Go back to the calibration before; doing it twice changes nothing."""
    from deepracer_inference.calibration import restore_calibration

    calibration = restore_calibration()
    if as_json:
        print_json(_as_json(calibration))
    else:
        typer.echo(f"Back to the calibration of {calibration.date or 'no date'}.")


@app.command("import")
def import_aws(
    file: Annotated[Path, typer.Argument(help="AWS's calibration.json.")] = Path("/opt/aws/deepracer/calibration.json"),
    vehicle: VehicleOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take over AWS's calibration: its ends and middle; angles and speeds stay unmeasured."""
    from deepracer_inference.aws_calibration import read_aws_calibration
    from deepracer_inference.calibration import save_calibration

    calibration = read_aws_calibration(file.expanduser(), car_vehicle(vehicle))
    path = save_calibration(calibration)
    if as_json:
        print_json(_as_json(calibration) | {"path": str(path)})
    else:
        typer.echo(f"Saved {path}. Its angles and speeds are not measured yet; do so with: deepracer calibrate")


@app.command("export")
def export_aws(
    file: Annotated[Path, typer.Argument(help="Where AWS's calibration.json goes.")], vehicle: VehicleOption = None
) -> None:
    """Write the calibration as AWS's file, for AWS's own software."""
    from deepracer_inference.aws_calibration import aws_json
    from deepracer_inference.calibration import load_calibration
    from deepracer_inference.files import write_atomic

    write_atomic(file.expanduser(), aws_json(load_calibration(car_vehicle(vehicle))))
    typer.echo(f"Wrote {file}")


def car_vehicle(name: str | None) -> Any:
    """Return the vehicle of this car: the named one, that of its calibration, or the DeepRacer."""
    from deepracer_inference.calibration import Calibration, calibration_path
    from deepracer_inference.config import load_yaml
    from deepracer_inference.vehicle import load_vehicle

    if name is None and (path := calibration_path()).exists():
        name = load_yaml(path, Calibration).vehicle
    return load_vehicle(name or "deepracer")


def _as_json(calibration: Calibration) -> dict[str, Any]:
    return calibration.model_dump(mode="json") | {"is_measured": calibration.is_measured}


def _print(calibration: Calibration) -> None:
    throttle = calibration.throttle
    print_facts(
        {
            "vehicle": calibration.vehicle,
            "date": calibration.date or "-",
            "steering": calibration.steering_method,
            "speed": calibration.throttle_method,
            "neutral": f"{throttle.neutral_ns / 1000:.0f} us",
            "dead band": f"{throttle.reverse_from_ns / 1000:.0f} to {throttle.forward_from_ns / 1000:.0f} us",
            "measured": "yes" if calibration.is_measured else "no: these are promises of the vehicle file",
        }
    )
    rows = [
        ["angle", f"{p.pulse_ns / 1000:.0f}", f"{math.degrees(p.angle):+.1f} degrees"] for p in calibration.steering
    ]
    rows += [["reverse", f"{p.pulse_ns / 1000:.0f}", f"{-p.speed:+.2f} m/s"] for p in reversed(throttle.reverse)]
    rows += [["forward", f"{p.pulse_ns / 1000:.0f}", f"{p.speed:+.2f} m/s"] for p in throttle.forward]
    print_table(["what", "pulse, us", "measured" if calibration.is_measured else "assumed"], rows, right=["pulse, us"])
