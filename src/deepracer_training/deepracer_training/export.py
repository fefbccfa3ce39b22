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
from deepracer_training.sac_networks import SoftActorCritic

OPSET = 17
"""Understood by every onnxruntime since 1.12 and by OpenVINO 2022.3, which the oldest cars run."""


def onnx_bytes(agent: ActorCritic | SoftActorCritic, config: ModelConfig) -> bytes:
    """Return the deployable graph of an agent as an ONNX model."""
    inputs = config.observation.inputs
    policy = DeployedPolicy(agent, config.action_space, list(inputs)).eval()
    blank = tuple(torch.zeros((2, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in inputs.values())
    names = policy.output_names
    with warnings.catch_warnings(), torch.no_grad(), TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        # The TorchScript exporter needs no further package and is exact for these layers; torch marks it as legacy.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            policy,
            blank,
            str(path),
            input_names=list(inputs),
            output_names=names,
            dynamic_axes={name: {0: "cars"} for name in [*inputs, *names]},
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def export_policy(
    folder: ModelFolder,
    config: ModelConfig,
    agent: ActorCritic | SoftActorCritic,
    vehicle: Vehicle,
    provenance: dict[str, Any],
) -> None:
    """Write the model's policy file, replacing the previous one in one step."""
    write_policy(
        folder.policy,
        onnx_bytes(agent, config),
        observation=config.observation,
        action_space=config.action_space,
        neural_network=config.network,
        training_algorithm=config.training_algorithm,
        vehicle=config.vehicle,
        control_period_s=vehicle.control_period_s,
        provenance=provenance,
    )
