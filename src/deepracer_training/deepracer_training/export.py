"""From the trained network to the policy file that drives the simulator, Gazebo and the car."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from deepracer_inference.policy_file import write_policy
from deepracer_inference.vehicle import Vehicle
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder
from deepracer_training.networks import ActorCritic, DeployedPolicy

OPSET = 17
"""Understood by every onnxruntime since 1.12 and by OpenVINO 2022.3, which the oldest cars run."""


def onnx_bytes(agent: ActorCritic, config: ModelConfig) -> bytes:
    """Return the deployable graph of an agent as an ONNX model."""
    policy = DeployedPolicy(agent, config.action_space).eval()
    image = torch.zeros((2, *config.observation.shape), dtype=torch.uint8)
    names = policy.output_names
    with warnings.catch_warnings(), torch.no_grad(), TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        # The TorchScript exporter needs no further package and is exact for these layers; torch marks it as legacy.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            policy,
            (image,),
            str(path),
            input_names=["image"],
            output_names=names,
            dynamic_axes={name: {0: "cars"} for name in ["image", *names]},
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def export_policy(
    folder: ModelFolder, config: ModelConfig, agent: ActorCritic, vehicle: Vehicle, provenance: dict[str, Any]
) -> None:
    """Write the model's policy file, replacing the previous one in one step."""
    write_policy(
        folder.policy,
        onnx_bytes(agent, config),
        observation=config.observation,
        action_space=config.action_space,
        neural_network=config.network,
        vehicle=config.vehicle,
        control_period_s=vehicle.control_period_s,
        provenance=provenance,
    )
