from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import deepracer_inference
from deepracer_inference.action_space import ContinuousActionSpace
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.observation import ObservationSpec, observe
from deepracer_inference.policy_file import load_policy, write_policy
from deepracer_inference.runtime import OnnxPolicy


@pytest.fixture
def policy(policy_folder: Path) -> OnnxPolicy:
    return OnnxPolicy(load_policy(policy_folder))


@pytest.fixture
def continuous_policy(
    tmp_path: Path,
    build_continuous: Callable[..., bytes],
    observation: ObservationSpec,
    continuous: ContinuousActionSpace,
) -> OnnxPolicy:
    write_policy(
        tmp_path / "continuous",
        build_continuous(),
        observation=observation,
        action_space=continuous,
        neural_network="compact",
        vehicle="deepracer",
        control_period_s=1.0 / 15.0,
        provenance={},
    )
    return OnnxPolicy(load_policy(tmp_path / "continuous"))


def flat_images(*levels: int) -> npt.NDArray[np.uint8]:
    return np.stack([np.full((8, 8, 1), level, np.uint8) for level in levels])


def test_a_batch_of_images_is_driven_one_by_one(policy: OnnxPolicy) -> None:
    # The test graph steers right in the dark, straight in between, left in the light (see build_discrete).
    command = policy.act(flat_images(0, 128, 255))
    np.testing.assert_allclose(command.steering_angle, [-math.pi / 6, 0.0, math.pi / 6], rtol=1e-6)
    np.testing.assert_allclose(command.speed, [1.0, 2.0, 1.0])
    assert command.steering_angle.dtype == command.speed.dtype == np.float32


def test_probabilities_are_those_of_the_network(policy: OnnxPolicy) -> None:
    probabilities = policy.act(flat_images(255)).probabilities
    assert probabilities is not None
    # Brightness 1 gives the logits -6, 0, 2.
    weights = np.exp([-6.0, 0.0, 2.0])
    np.testing.assert_allclose(probabilities, [weights / weights.sum()], rtol=1e-5)


def test_a_continuous_policy_has_no_probabilities(continuous_policy: OnnxPolicy) -> None:
    command = continuous_policy.act(flat_images(100, 200))
    np.testing.assert_allclose(command.steering_angle, [0.1, 0.2], rtol=1e-5)
    np.testing.assert_allclose(command.speed, [2.1, 2.2], rtol=1e-5)
    assert command.probabilities is None


def test_drive_observes_the_frame_first(
    policy: OnnxPolicy, observation: ObservationSpec, rng: np.random.Generator
) -> None:
    bright_sky = np.zeros((120, 160, 3), np.uint8)
    bright_sky[:30] = 255  # Only the cropped quarter is bright.
    assert policy.drive(bright_sky).steering_angle.tolist() == pytest.approx([-math.pi / 6])
    frame = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    expected = policy.act(observe(frame, observation)[None])
    np.testing.assert_array_equal(policy.drive(frame).probabilities, expected.probabilities)


def test_two_runtimes_agree_bit_by_bit(policy_folder: Path, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    first, second = (OnnxPolicy(load_policy(policy_folder)).act(images) for _ in range(2))
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    np.testing.assert_array_equal(first.steering_angle, second.steering_angle)


def test_views_of_larger_arrays_are_accepted(policy: OnnxPolicy) -> None:
    images = np.repeat(flat_images(0, 128, 255), 2, axis=0)
    assert policy.act(images[::2]).speed.tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("images", "given"),
    [
        (np.zeros((1, 8, 8), np.uint8), r"shape \(1, 8, 8\)"),
        (np.zeros((8, 8, 1), np.uint8), r"shape \(8, 8, 1\)"),
        (np.zeros((1, 24, 40, 1), np.uint8), r"shape \(1, 24, 40, 1\)"),
        (np.zeros((0, 8, 8, 1), np.uint8), r"shape \(0, 8, 8, 1\)"),
        (np.zeros((1, 8, 8, 1), np.float32), "type float32"),
    ],
)
def test_other_images_are_refused(policy: OnnxPolicy, images: npt.NDArray[Any], given: str) -> None:
    with pytest.raises(DeepRacerError, match=given) as caught:
        policy.act(images)
    assert "expects (N, 8, 8, 1) of type uint8" in str(caught.value)


def test_a_command_that_is_not_finite_is_never_returned(continuous_policy: OnnxPolicy) -> None:
    with pytest.raises(DeepRacerError, match="returned a steering_angle that is not a finite number"):
        continuous_policy.act(flat_images(0, 255))


def test_a_graph_that_fails_while_driving_is_named(policy_folder: Path, build_discrete: Callable[..., bytes]) -> None:
    # Its table holds only the action that the check on blank images chooses.
    short = build_discrete(steering_table=np.zeros(1, np.float32))
    policy = OnnxPolicy(dataclasses.replace(load_policy(policy_folder), onnx=short))
    with pytest.raises(DeepRacerError, match=r"policy.onnx failed to run"):
        policy.act(flat_images(255))


def test_the_car_needs_no_training_library() -> None:
    modules = "config, files, vehicle, observation, action_space, metadata, policy_file, runtime"
    script = f"""
import sys
from deepracer_inference import {modules}
print(sorted(set(sys.modules) & {{"torch", "onnx", "numba", "scipy", "gymnasium", "deepracer_sim"}}))
"""
    source = Path(deepracer_inference.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert result.stdout.strip() == "[]"
