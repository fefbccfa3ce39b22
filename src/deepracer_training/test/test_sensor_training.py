"""Models with other sensors than the front camera: networks, environment, training, export, evaluation."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from deepracer_inference.observation import ObservationSpec
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_training.agents import make_agent
from deepracer_training.checkpoint import CheckpointFolder, restore
from deepracer_training.evaluation import evaluate
from deepracer_training.export import onnx_bytes
from deepracer_training.learner import longest_rollout
from deepracer_training.models.config import ModelConfig, preset_config
from deepracer_training.models.folder import ModelFolder
from deepracer_training.networks import ActorCritic
from deepracer_training.observations import SensorBatch, from_inputs, stack
from deepracer_training.training import train

REWARD = "def reward_function(params):\n    return params['speed'] if params['all_wheels_on_track'] else 0.0\n"
CAMERAS = (("FRONT_FACING_CAMERA",), ("STEREO_CAMERAS",), ("FRONT_FACING_CAMERA", "STEREO_CAMERAS"))
LIDARS: tuple[tuple[str, ...], ...] = ((), ("LIDAR",), ("SECTOR_LIDAR",), ("DISCRETIZED_SECTOR_LIDAR",))
ALL = [(*cameras, *lidars) for cameras, lidars in itertools.product(CAMERAS, LIDARS)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("deepracer_sim.camera.world.FINEST_TEXEL", 0.02)  # or drawing the worlds takes longest


def random_inputs(observation: ObservationSpec, count: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    return {
        name: random.integers(0, 255, (count, *spec.shape)).astype(np.uint8)
        if spec.dtype == "uint8"
        else random.random((count, *spec.shape)).astype(np.float32)
        for name, spec in observation.inputs.items()
    }


@pytest.mark.parametrize("algorithm", ["clipped_ppo", "sac"])
@pytest.mark.parametrize("sensors", ALL, ids="+".join)
def test_every_legal_set_of_sensors_drives_and_each_sensor_matters(sensors: tuple[str, ...], algorithm: Any) -> None:
    config = preset_config("fast", name="m", track="riverside", algorithm=algorithm, sensors=sensors)
    torch.manual_seed(0)
    agent = make_agent(config)
    inputs = {name: torch.from_numpy(array) for name, array in random_inputs(config.observation, 3).items()}
    with torch.no_grad():
        before = agent.head(from_inputs(inputs))
        assert before.shape == (3, 2)
        for name, tensor in inputs.items():
            changed = inputs | {name: torch.zeros_like(tensor)}
            assert not torch.equal(agent.head(from_inputs(changed)), before), name
    graph = onnx.load_from_string(onnx_bytes(agent, config)).graph
    assert [node.name for node in graph.input] == list(config.observation.inputs)


@pytest.mark.parametrize("network", ["DEEP_CONVOLUTIONAL_NETWORK", "DEEP_CONVOLUTIONAL_NETWORK_DEEP"])
def test_aws_deep_networks_look_at_two_cameras_with_their_own_five_layers(network: str) -> None:
    observation = ObservationSpec(width=80, height=80, sensors=("STEREO_CAMERAS", "LIDAR"))
    space = preset_config("fast", name="m", track="riverside").action_space
    encoder: Any = ActorCritic(network, observation, space).encoder
    filters = [
        (layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for layer in encoder.embeddings["stereo_images"]
        if isinstance(layer, torch.nn.Conv2d)
    ]
    assert filters == [(32, 3, 1), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1)]
    dense = [layer.out_features for layer in encoder.embeddings["lidar"] if isinstance(layer, torch.nn.Linear)]
    assert dense == [256, 256]


@pytest.mark.parametrize("algorithm", ["clipped_ppo", "sac"])
def test_a_model_with_many_sensors_lives_like_any_other(algorithm: Any) -> None:
    sensors = ("FRONT_FACING_CAMERA", "STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR")
    data = preset_config("fast", name="m", track="riverside", algorithm=algorithm, sensors=sensors).model_dump()
    data["training"] |= {"cars": 16, "horizon_steps": 32, "warmup_steps": 100, "replay_size": 1000}
    folder = ModelFolder.create("m", ModelConfig.model_validate(data), REWARD)
    train(folder, steps=1)
    train(folder, steps=1, resume=True)
    policy = load_policy(folder.policy)
    assert policy.metadata.sensor == policy.manifest.observation.sensors == sensors
    agent = make_agent(folder.config)
    restore(CheckpointFolder(folder.checkpoints).load("best"), agent, None, None)
    inputs = random_inputs(folder.config.observation, 10)
    with torch.no_grad():
        head = agent.head(SensorBatch({name: torch.from_numpy(array) for name, array in inputs.items()})).numpy()
    command = OnnxPolicy(policy).act(inputs)
    expected = folder.config.action_space.scale(head)  # type: ignore[union-attr]
    np.testing.assert_allclose(command.steering_angle, expected[:, 0], atol=1e-4)
    np.testing.assert_allclose(command.speed, expected[:, 1], atol=1e-4)
    assert evaluate(folder, laps=1, video=False).laps == 1


def test_a_batch_of_sensors_is_cut_and_joined_like_a_tensor() -> None:
    steps = [SensorBatch({"a": torch.full((4, 2), float(t)), "b": torch.arange(4) + 10 * t}) for t in range(3)]
    rollout = stack(steps)
    assert isinstance(rollout, SensorBatch)
    flat = rollout.flatten(0, 1)
    assert len(flat) == 12
    assert flat.index_select(0, torch.tensor([1, 4, 11])).tensors["b"].tolist() == [1, 10, 23]
    halves = flat.chunk(2)
    assert [len(half) for half in halves] == [6, 6]
    assert torch.cat([half.tensors["a"] for half in halves]).equal(flat.tensors["a"])


def test_a_rollout_of_whole_episodes_is_cut_where_memory_ends() -> None:
    aws = ObservationSpec(width=160, height=120, crop_top=0.0)
    assert longest_rollout(aws) == 10_000
    both = aws.model_copy(update={"sensors": ("FRONT_FACING_CAMERA", "STEREO_CAMERAS")})
    assert longest_rollout(both) == 2**28 // (3 * 160 * 120)
