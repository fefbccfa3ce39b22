"""The models on a car: `models`, `install`, `select`, `rollback`. Run on the car, by `deepracer deploy` or by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deepracer_inference.cli.calibration import VehicleOption, car_vehicle
from deepracer_inference.cli.output import JsonFlag, print_json, print_table
from deepracer_inference.errors import UserError

app = typer.Typer(help="The models on this car.", no_args_is_help=True)


@app.command()
def models(as_json: JsonFlag = False) -> None:
    """List the models on this car."""
    from deepracer_inference.model_store import ModelStore

    store = ModelStore()
    state = {store.previous: "previous", store.current: "selected"}
    entries: list[dict[str, Any]] = []
    for name in store.models():
        try:
            manifest = store.policy(name).manifest
        except UserError as error:
            entries.append({"model": name, "state": state.get(name), "error": str(error)})
            continue
        entries.append(
            {
                "model": name,
                "state": state.get(name),
                "vehicle": manifest.vehicle,
                "max_speed": manifest.action_space.max_speed,
            }
        )
    if as_json:
        print_json(entries)
    elif entries:
        rows = [
            [e["model"], e["state"] or "", e["error"], ""]
            if "error" in e
            else [e["model"], e["state"] or "", e["vehicle"], f"{e['max_speed']:g} m/s"]
            for e in entries
        ]
        print_table(["model", "state", "trained for", "top speed"], rows, right=["top speed"])
    else:
        typer.echo(f"There are no models in {store.root} yet; bring one with: deepracer deploy MODEL USER@CAR")


@app.command()
def install(
    archive: Annotated[Path, typer.Argument(help="Archive written by `deepracer export`.")],
    select: Annotated[bool, typer.Option("--select", help="Drive with it from now on, if it fits this car.")] = False,
    vehicle: VehicleOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Verify and unpack a model."""
    from deepracer_inference.model_store import ModelStore

    store = ModelStore()
    name = store.install(archive.expanduser())
    if select:
        _select(store, name, vehicle)
    if as_json:
        print_json({"model": name, "selected": select, "path": str(store.root / name)})
    else:
        typer.echo(f"Installed {name}{' and selected it' if select else ''}.")


@app.command()
def select(
    model: Annotated[
        str, typer.Argument(help="Name of a model on this car; the newest version of it if there are more.")
    ],
    vehicle: VehicleOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Drive with a model from now on; a running inference node loads it at once."""
    from deepracer_inference.model_store import ModelStore

    _report(_select(ModelStore(), model, vehicle), as_json)


@app.command()
def rollback(vehicle: VehicleOption = None, as_json: JsonFlag = False) -> None:
    """Go back to the model that was selected before, if it still fits this car."""
    from deepracer_inference.model_store import ModelStore

    store = ModelStore()
    # The car may have been calibrated anew since.
    _report(_select(store, store.way_back(), vehicle), as_json)


def _select(store: Any, model: str, vehicle: str | None) -> str:
    from deepracer_inference.calibration import load_calibration
    from deepracer_inference.fit import check_fit

    name, car = store.find(model), car_vehicle(vehicle)
    try:
        check_fit(store.policy(name), car, load_calibration(car), store.trained_with(name))
    except UserError as error:
        raise UserError(f"{error}. {store.current or 'No model'} stays selected") from error
    return str(store.select(name))


def _report(name: str, as_json: bool) -> None:
    if as_json:
        print_json({"model": name})
    else:
        typer.echo(f"Selected {name}.")
