"""From the training machine to the car: `export`, `deploy`, `rollback`, and the sheet for calibrating."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_training.cli.models import ModelArgument
from deepracer_training.cli.output import JsonFlag, print_facts, print_json

HostArgument = Annotated[str, typer.Argument(metavar="USER@HOST", help="The car, as ssh knows it.")]
ProgramOption = Annotated[
    str, typer.Option("--program", help="The command on the car, if its login shell does not find it.")
]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Int8Flag = Annotated[
    bool, typer.Option("--int8", help="Compute with 8-bit numbers; tells by how much the actions change.")
]

STDERR = 2
"""Where the car's own words go when this program's output is JSON."""

# Without colons: scp would take what follows for the path. An address that needs them has a name in ~/.ssh/config.
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9_.-]*")


def export(
    model: ModelArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Archive to write.  [default: MODEL.tar.gz here]")
    ] = None,
    int8: Int8Flag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write the one file that takes a model to a car: policy and vehicle, no code."""
    target = (output or Path(f"{model}.tar.gz")).expanduser().absolute()
    facts = _write(model, target, int8)
    if as_json:
        print_json(facts)
        return
    typer.echo(f"Exported {model} to {target}")
    print_facts(_readable(facts))


def deploy(
    model: ModelArgument,
    host: HostArgument,
    int8: Int8Flag = False,
    program: ProgramOption = "deepracer-car",
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Copy a model to a car over ssh and select it; the car refuses what does not fit."""
    _check_host(host)
    with TemporaryDirectory() as folder:
        archive = Path(folder) / f"{model}.tar.gz"
        facts = _write(model, archive, int8)
        # Needs no quotes: the name of a model is letters, digits, `_`, `-` and `.` only.
        name = f"deepracer-{facts['model']}-{facts['sha256'][:8]}.tar.gz"
        archive.rename(Path(folder) / name)
        # The archive goes whether or not the car took the model; the exit code is that of the installation.
        install = f"{_program(program)} install --select {name}; code=$?; rm -f {name}; exit $code"
        commands = [["scp", "-q", name, f"{host}:{name}"], ["ssh", host, install]]
        if not dry_run:
            for command in commands:
                _call(command, host, Path(folder), stdout=STDERR if as_json else None)
    # What somebody would type who does the same by hand.
    by_hand = ["deepracer", "export", facts["model"], *(["--int8"] if int8 else []), "--output", name]
    lines = [shlex.join(command) for command in (by_hand, *commands)]
    if as_json:
        print_json(facts | {"path": None, "host": host, "dry_run": dry_run, "commands": lines})
    elif dry_run:
        for line in lines:
            typer.echo(line)
    else:
        typer.echo(f"{model} drives {host} now; back to the model before with: deepracer rollback {host}")


def rollback(host: HostArgument, program: ProgramOption = "deepracer-car", dry_run: DryRunFlag = False) -> None:
    """Let a car go back to the model that it drove with before."""
    _check_host(host)
    command = ["ssh", host, f"{_program(program)} rollback"]
    if dry_run:
        typer.echo(shlex.join(command))
    else:
        _call(command, host)


def protractor(
    output: Annotated[Path, typer.Option("--output", "-o", help="PDF file to write.")] = Path("protractor.pdf"),
    vehicle: Annotated[str, typer.Option(help="Vehicle: a name, or a .yaml file.")] = "deepracer",
    paper: Annotated[str, typer.Option(metavar="a4|letter", help="Size of the paper.")] = "a4",
) -> None:
    """Write the sheet that wheel angles are read from, true to size, as PDF."""
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_training.report.protractor import write_sheet

    target = output.expanduser().absolute()
    write_sheet(target, load_vehicle(vehicle), paper)
    typer.echo(f"Wrote {target}; print it at 100 %, and check the printed scale with a ruler.")


def _write(model: str, target: Path, int8: bool) -> dict[str, Any]:
    """Write a model's archive and return what there is to say about it."""
    from deepracer_inference.files import sha256_of
    from deepracer_inference.model_archive import write_model_archive
    from deepracer_inference.policy_file import load_policy
    from deepracer_inference.vehicle import load_vehicle
    from deepracer_training.models.folder import ModelFolder

    folder = ModelFolder.open(model)
    if not folder.policy.is_dir():
        raise UserError(f"Model {model!r} has not been trained yet; do so with: deepracer train {model}")
    policy = load_policy(folder.policy)
    vehicle = load_vehicle(folder.config.vehicle)
    facts: dict[str, Any] = {"model": folder.name, "path": str(target)}
    with TemporaryDirectory() as staging:
        source = folder.policy
        if int8:
            from deepracer_training.quantization import quantize_policy

            source = Path(staging) / "policy"
            facts["int8"] = quantize_policy(policy, folder.config, vehicle, source).as_dict()
        write_model_archive(target, folder.name, source, vehicle)
    return facts | {
        "sha256": sha256_of(target),
        "bytes": target.stat().st_size,
        "vehicle": vehicle.name,
        "rate_hz": round(1.0 / policy.manifest.control_period_s, 3),
        "max_speed": policy.manifest.action_space.max_speed,
    }


def _readable(facts: dict[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {
        "size": f"{facts['bytes'] / 1024:.0f} KB",
        "vehicle": facts["vehicle"],
        "rate": f"{facts['rate_hz']:g} Hz",
        "top speed": f"{facts['max_speed']:g} m/s",
    }
    if "int8" in facts:
        change = facts["int8"]
        lines["int8"] = (
            f"steering changes by {change['steering_mean_deg']:.2f} degrees on average "
            f"({change['steering_max_deg']:.2f} at most), speed by {change['speed_mean']:.3f} m/s "
            f"({change['speed_max']:.3f}), on {change['images']} images"
        )
    return lines


def _check_host(host: str) -> None:
    # A host that begins with a dash would be an option of ssh.
    if not _HOST.fullmatch(host):
        raise UserError(f"{host!r} is not a car's address; give it as ssh takes it: USER@HOST")


def _program(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"--program {text!r} is no command: {error}") from error
    if not words:
        raise UserError("--program is empty; leave it out, or give the path of deepracer-car on the car")
    # The home folder is the car's, so its shell has to see the tilde without quotes.
    home, rest = ("~/", words[0][2:]) if words[0].startswith("~/") else ("", words[0])
    return home + shlex.join([rest, *words[1:]])


def _call(command: list[str], host: str, folder: Path | None = None, stdout: int | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise UserError(f"There is no {command[0]} on this machine; install the OpenSSH client")
    code = subprocess.run(command, check=False, cwd=folder, stdout=stdout).returncode
    if code == 255 or (command[0] == "scp" and code):
        raise DeepRacerError(f"{host} cannot be reached by {command[0]} (exit code {code}); try: ssh {host}")
    if code == 127:
        raise UserError(
            f"{host} does not know the command; install deepracer_inference[cli] there, or name it with --program"
        )
    if code:
        raise UserError(f"{host} has refused (exit code {code}); its reason is above, and the model before drives on")
