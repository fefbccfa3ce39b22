"""A policy in 8-bit numbers for slow processors, and by how much its actions differ from the original's."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.policy_file import GRAPH, PolicyFile, load_policy, write_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.tracks.library import load_track
from deepracer_training.models.config import ModelConfig

CARS, STEPS = 16, 40
SEED = 0
"""Of the places where the cars start."""


@dataclass(frozen=True)
class ActionChange:
    """Differences of the actions between the 8-bit policy and the original, on images that it was not fitted to."""

    images: int
    steering_mean_deg: float
    steering_max_deg: float
    speed_mean: float
    """m/s."""
    speed_max: float
    """m/s."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def quantize_policy(policy: PolicyFile, config: ModelConfig, vehicle: Vehicle, folder: Path) -> ActionChange:
    """Write an 8-bit version of a policy: weights per channel, activations fitted to what it sees on its track.

    Args:
        policy: The original.
        config: Its model: the track that it drives to see something.
        vehicle: Its vehicle.
        folder: Where the new policy file goes.

    Returns:
        How much its actions differ. The figures are also in its manifest.
    """
    images = drive(policy, config, vehicle)
    # Every other image fits the ranges of the activations, the rest tells the difference.
    onnx = _quantized(policy.onnx, images[::2])
    manifest = policy.manifest
    options: dict[str, Any] = {
        "observation": manifest.observation,
        "action_space": manifest.action_space,
        "neural_network": policy.metadata.neural_network,
        "vehicle": manifest.vehicle,
        "control_period_s": manifest.control_period_s,
    }
    with TemporaryDirectory() as place:
        write_policy(Path(place) / "policy", onnx, provenance={}, **options)
        change = _compare(policy, load_policy(Path(place) / "policy"), images[1::2])
    figures = {f"int8_{name}": round(value, 4) for name, value in change.as_dict().items()}
    write_policy(folder, onnx, provenance={**manifest.provenance, **figures}, **options)
    return change


def drive(policy: PolicyFile, config: ModelConfig, vehicle: Vehicle) -> NDArray[np.uint8]:
    """Return what a policy sees while it drives on its own track, (CARS * STEPS, H, W, 1)."""
    track, random = load_track(config.track), np.random.default_rng(SEED)
    simulator = EmbeddedSimulator(track, vehicle, CARS, observation=policy.manifest.observation)
    places = track.length * np.arange(CARS) / CARS
    poses = track.pose_at(places, random.uniform(-0.25, 0.25, CARS) * track.width)
    poses[:, 2] += random.uniform(-0.2, 0.2, CARS)
    simulator.reset(np.arange(CARS), poses)
    driver, seen = OnnxPolicy(policy), []
    for _ in range(STEPS):
        images = simulator.images()[..., np.newaxis].copy()
        seen.append(images)
        command = driver.act(images)
        simulator.step(command.steering_angle.astype(np.float64), command.speed.astype(np.float64))
    return np.concatenate(seen)


def _quantized(onnx: bytes, images: NDArray[np.uint8]) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches = iter(np.array_split(images, max(1, len(images) // CARS)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"image": batch}

    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "original.onnx", Path(folder) / GRAPH
        source.write_bytes(onnx)
        # It advises on every call to prepare the graph, which has nothing to gain: no batch norm, no unknown shapes.
        logging.disable(logging.WARNING)
        try:
            quantize_static(
                source,
                target,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()


def _compare(original: PolicyFile, changed: PolicyFile, images: NDArray[np.uint8]) -> ActionChange:
    before, after = OnnxPolicy(original).act(images), OnnxPolicy(changed).act(images)
    steering = np.rad2deg(np.abs(after.steering_angle - before.steering_angle))
    speed = np.abs(after.speed - before.speed)
    return ActionChange(
        len(images), float(steering.mean()), float(steering.max()), float(speed.mean()), float(speed.max())
    )
