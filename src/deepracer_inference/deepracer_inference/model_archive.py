"""The one file that takes a model to a car: policy file, vehicle file and checksums in an archive; no code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from deepracer_inference.archive import ArchiveLimits, read_archive, write_archive
from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_bytes, sha256_of
from deepracer_inference.policy_file import GRAPH, MANIFEST, METADATA, load_policy
from deepracer_inference.vehicle import Vehicle
from deepracer_inference.yaml_text import read_yaml_text, write_yaml_text

CONTENTS = "contents.json"
VEHICLE = "vehicle.yaml"
POLICY = tuple(f"policy/{name}" for name in (GRAPH, METADATA, MANIFEST))
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"

LIMITS = ArchiveLimits(files=8, file_bytes=64 << 20, total_bytes=96 << 20)
"""AWS's largest network is a graph of 20 MB."""


class Contents(StrictModel):
    """`contents.json`: the model's name, and the checksum of everything else in the archive."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
    files: dict[str, str]
    """SHA-256 by name."""


@dataclass(frozen=True)
class ModelArchive:
    """A model archive whose checksums are right; its policy has not been opened yet."""

    name: str
    digest: str
    """SHA-256 over all of its files: equal models have equal ones."""
    vehicle: Vehicle
    """The vehicle that the model was trained with."""
    files: dict[str, bytes]
    """Content by name, without `contents.json`."""


def write_model_archive(path: Path, name: str, policy_folder: Path, vehicle: Vehicle) -> None:
    """Write a model's archive atomically; the policy is verified first.

    Args:
        path: Where it goes.
        name: The model's name on the car.
        policy_folder: The policy file.
        vehicle: The vehicle that the model was trained with.

    Raises:
        UserError: The policy is not whole, or the name cannot be used.
        DeepRacerError: The archive cannot be written.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"{name!r} cannot name a model: use up to 64 letters, digits, `_`, `-` and `.`, "
            "the first one a letter or a digit"
        )
    load_policy(policy_folder)
    files = {inside: read_bytes(policy_folder / inside.split("/")[1]) for inside in POLICY}
    files[VEHICLE] = write_yaml_text(vehicle.model_dump(mode="json")).encode()
    contents = Contents(name=name, files={inside: sha256_of(content) for inside, content in files.items()})
    text = json.dumps(contents.model_dump(mode="json"), indent=2) + "\n"
    write_archive(path, {**files, CONTENTS: text.encode()})


def read_model_archive(path: Path) -> ModelArchive:
    """Read a model's archive and verify its list of files and their checksums.

    Raises:
        UserError: It is not such an archive, or has been changed.
    """
    files = read_archive(path, allowed=[CONTENTS, VEHICLE, *POLICY], limits=LIMITS)
    if missing := sorted({CONTENTS, VEHICLE, *POLICY} - files.keys()):
        raise UserError(
            f"{path} is not the archive of a model: {', '.join(missing)} is missing; "
            "write one with: deepracer export MODEL"
        )
    source = f"{path}: {CONTENTS}"
    listing = files.pop(CONTENTS)
    contents = parse(parse_json(listing.decode("utf-8", "replace"), source), Contents, source)
    digests = {name: sha256_of(content) for name, content in files.items()}
    for name, digest in digests.items():
        if contents.files.get(name) != digest:
            raise UserError(
                f"{path}: {name} has been changed or damaged: its SHA-256 is {digest}, "
                f"but {CONTENTS} says {contents.files.get(name)}; export the model again"
            )
    if extra := sorted(contents.files.keys() - digests.keys()):
        raise UserError(f"{source} lists {', '.join(extra)}, which is not in the archive")
    vehicle_source = f"{path}: {VEHICLE}"
    vehicle_text = files[VEHICLE].decode("utf-8", "replace")
    vehicle = parse(read_yaml_text(vehicle_text, vehicle_source), Vehicle, vehicle_source)
    digest = sha256_of(json.dumps(digests, sort_keys=True).encode())
    return ModelArchive(contents.name, digest, vehicle, files)
