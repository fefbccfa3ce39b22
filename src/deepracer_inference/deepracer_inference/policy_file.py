"""The policy file: a folder with the ONNX graph, AWS's metadata, and a manifest that vouches for both."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from deepracer_inference.action_space import ActionSpace, ContinuousActionSpace, DiscreteActionSpace
from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import atomic_directory, read_bytes, read_text, sha256_of
from deepracer_inference.graph import Graph
from deepracer_inference.metadata import ModelMetadata, parse_metadata
from deepracer_inference.observation import ObservationSpec

FORMAT = 1
GRAPH = "policy.onnx"
METADATA = "model_metadata.json"
MANIFEST = "manifest.json"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(StrictModel):
    """What the policy takes, commands and was made for, and the checksums of the other files."""

    format: Literal[1] = 1
    files: dict[str, _Sha256]
    """SHA-256 of each file by its name; all files but the manifest itself."""
    observation: ObservationSpec
    action_space: ActionSpace
    vehicle: Annotated[str, Field(min_length=1)]
    """Name of the vehicle that the policy was trained with."""
    control_period_s: Annotated[float, Field(gt=0.0)]
    """Time from one command to the next in training."""
    provenance: dict[str, str | int | float]
    """Where it comes from: training steps, seed, versions; for people, not for programs."""


@dataclass(frozen=True)
class PolicyFile:
    """A policy that has passed every check of `load_policy`."""

    folder: Path
    manifest: Manifest
    metadata: ModelMetadata
    onnx: bytes = field(repr=False)
    """The serialised graph, exactly the bytes that were checked."""


def write_policy(
    folder: Path,
    onnx: bytes,
    *,
    observation: ObservationSpec,
    action_space: DiscreteActionSpace | ContinuousActionSpace,
    neural_network: str,
    vehicle: str,
    control_period_s: float,
    provenance: Mapping[str, str | int | float],
    training_algorithm: Literal["clipped_ppo", "sac"] = "clipped_ppo",
) -> None:
    """Write a policy folder, replacing an older one as a whole; nothing is written if the policy could not be loaded.

    Args:
        folder: Where it goes. Its parent must exist.
        onnx: Serialised graph with the input `image` uint8 (N, H, W, 1) and the float32 outputs `steering_angle` (N,)
            rad, `speed` (N,) m/s and, for a discrete action space, `action_probabilities` (N, n).
        observation: The images that the graph takes.
        action_space: The commands that it returns.
        neural_network: Name of the network, for AWS's tools.
        vehicle: Name of the vehicle that it was trained with.
        control_period_s: Time from one command to the next.
        provenance: Where it comes from, for people.
        training_algorithm: Name of the algorithm, for AWS's tools.

    Raises:
        UserError: The graph does not fit the other arguments.
        DeepRacerError: The folder cannot be written.
    """
    Graph(onnx, str(folder / GRAPH), observation, action_space)
    metadata = ModelMetadata(
        action_space=action_space,
        neural_network=neural_network,
        sensor=observation.sensors,
        lidar_config=observation.lidar,
        training_algorithm=training_algorithm,
    )
    text_of_metadata = metadata.to_json().encode()
    manifest = Manifest(
        files={GRAPH: sha256_of(onnx), METADATA: sha256_of(text_of_metadata)},
        observation=observation,
        action_space=action_space,
        vehicle=vehicle,
        control_period_s=control_period_s,
        provenance=dict(provenance),
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    with atomic_directory(folder) as staging:
        (staging / GRAPH).write_bytes(onnx)
        (staging / METADATA).write_bytes(text_of_metadata)
        (staging / MANIFEST).write_bytes(text.encode())


def load_policy(folder: Path) -> PolicyFile:
    """Read a policy folder and verify all of it: files, checksums, agreement of metadata, manifest and graph.

    Nothing is unpickled, and no code of the folder is run. The graph may use standard ONNX operators only and must
    contain all of its weights.

    Raises:
        UserError: The folder is missing, incomplete, changed, of a newer format, or its parts disagree.
    """
    while True:
        generation = _generation(folder)
        try:
            return _load(folder)
        except UserError:
            # A training or an update may have put a new policy in place between the reading of two files.
            if _generation(folder) == generation:
                raise


def _generation(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _load(folder: Path) -> PolicyFile:
    _check_listing(folder)
    manifest = _read_manifest(folder / MANIFEST)
    contents = {name: read_bytes(folder / name) for name in (GRAPH, METADATA)}
    for name, content in contents.items():
        digest = sha256_of(content)
        if manifest.files[name] != digest:
            raise UserError(
                f"{folder / name} has been changed or damaged: its SHA-256 is {digest}, "
                f"but the manifest says {manifest.files[name]}; copy or export the policy again"
            )
    metadata = parse_metadata(contents[METADATA].decode("utf-8", "replace"), str(folder / METADATA))
    if other := _disagreement(metadata, manifest):
        raise UserError(f"{folder / METADATA} has {other} than {folder / MANIFEST}; export the policy again")
    Graph(contents[GRAPH], str(folder / GRAPH), manifest.observation, manifest.action_space)
    return PolicyFile(folder=folder, manifest=manifest, metadata=metadata, onnx=contents[GRAPH])


def _disagreement(metadata: ModelMetadata, manifest: Manifest) -> str | None:
    """Say what AWS's file describes differently, if anything: it is what other tools believe of the policy."""
    observation = manifest.observation
    if metadata.action_space != manifest.action_space:
        return "another action space"
    if metadata.sensor != observation.sensors:
        return f"other sensors ({', '.join(metadata.sensor)} instead of {', '.join(observation.sensors)})"
    if "DISCRETIZED_SECTOR_LIDAR" in metadata.sensor and metadata.lidar_config != observation.lidar:
        return "another lidar_config"
    return None


def _check_listing(folder: Path) -> None:
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    except FileNotFoundError as error:
        raise UserError(f"There is no policy folder {folder}") from error
    except NotADirectoryError as error:
        raise UserError(
            f"{folder} is a file, but a policy is a folder with {GRAPH}, {METADATA} and {MANIFEST}"
        ) from error
    except OSError as error:
        raise UserError(f"Cannot read the policy folder {folder}: {error.strerror}") from error
    expected = {GRAPH, METADATA, MANIFEST}
    if missing := sorted(expected - found.keys()):
        raise UserError(f"{folder} is not a whole policy: {', '.join(missing)} is missing")
    if extra := sorted(found.keys() - expected):
        raise UserError(
            f"{folder} holds {', '.join(extra[:5])}, but a policy consists of {GRAPH}, {METADATA} and {MANIFEST} only; "
            "remove what does not belong to it"
        )
    if not_files := sorted(name for name, is_file in found.items() if not is_file):
        raise UserError(f"{folder / not_files[0]} is a link or a folder, but a plain file is expected")


def _read_manifest(path: Path) -> Manifest:
    data = parse_json(read_text(path), str(path))
    if isinstance(data, dict) and data.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{path} has format {data['format']!r}, but this version reads format {FORMAT} only; "
            "update deepracer_inference"
        )
    manifest = parse(data, Manifest, str(path))
    if manifest.files.keys() != {GRAPH, METADATA}:
        raise UserError(
            f"{path}: files lists {', '.join(manifest.files) or 'none'}, but {GRAPH}, {METADATA} is expected"
        )
    return manifest
