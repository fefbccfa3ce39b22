from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteActionSpace
from deepracer_inference.errors import UserError
from deepracer_inference.graph import Graph
from deepracer_inference.observation import ObservationSpec

Build = Callable[..., bytes]


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NoSuchOperator"


def extra_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"rename": {"image": "input"}}, "has the inputs input, but this kind of policy has image"),
        ({"rename": {"speed": "velocity"}}, "has the outputs action_probabilities, steering_angle, velocity, but"),
        ({"edit": extra_output}, "has the outputs .*logits"),
        ({"image_type": TensorProto.FLOAT}, r"'image' is float32 \(N, 8, 8, 1\), but uint8 \(N, 8, 8, 1\) is expected"),
        ({"image_shape": (1, 8, 8, 1)}, r"'image' is uint8 \(1, 8, 8, 1\), but uint8 \(N, 8, 8, 1\) is expected"),
        ({"image_shape": ("N", 1, 8, 8)}, r"'image' is uint8 \(N, 1, 8, 8\), but"),
        ({"image_shape": ("N", "H", "W", 1)}, r"'image' is uint8 \(N, N, N, 1\), but"),
        ({"edit": unknown_operator}, "cannot be loaded by onnxruntime: .*NoSuchOperator"),
        ({"steering_table": np.array([-30.0, 0.0, 30.0], np.float32)}, "commands a steering_angle of -30 rad, outside"),
        ({"steering_table": np.array([np.nan, 0.0, 0.0], np.float32)}, "commands a steering_angle of nan rad"),
        ({"steering_table": np.zeros(1, np.float32), "edit": None}, None),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(
    build_discrete: Build,
    observation: ObservationSpec,
    discrete: DiscreteActionSpace,
    spoil: dict[str, Any],
    message: str | None,
) -> None:
    if message is None:
        # A table that is too short fails only for images that choose the later actions; the blank trial image does not.
        Graph(build_discrete(**spoil), "policy.onnx", observation, discrete)
        return
    with pytest.raises(UserError, match=message) as caught:
        Graph(build_discrete(**spoil), "policy.onnx", observation, discrete)
    assert str(caught.value).startswith("policy.onnx")
    assert "\n" not in str(caught.value)


def test_the_kind_of_the_action_space_must_fit(
    build_discrete: Build,
    build_continuous: Build,
    observation: ObservationSpec,
    discrete: DiscreteActionSpace,
    continuous: ContinuousActionSpace,
) -> None:
    with pytest.raises(UserError, match="has the outputs speed, steering_angle, but"):
        Graph(build_continuous(), "policy.onnx", observation, discrete)
    with pytest.raises(UserError, match="has the outputs action_probabilities, speed, steering_angle, but"):
        Graph(build_discrete(), "policy.onnx", observation, continuous)


def test_the_number_of_actions_must_fit(
    build_discrete: Build, observation: ObservationSpec, discrete: DiscreteActionSpace
) -> None:
    two = DiscreteActionSpace(actions=discrete.actions[:2])
    with pytest.raises(
        UserError, match=r"'action_probabilities' is float32 \(N, 3\), but float32 \(N, 2\) is expected"
    ):
        Graph(build_discrete(), "policy.onnx", observation, two)


def test_open_output_shapes_are_checked_by_a_trial_run(
    build_discrete: Build, observation: ObservationSpec, discrete: DiscreteActionSpace
) -> None:
    open_shapes = {"declared": {"steering_angle": ["a"], "action_probabilities": ["b", "c"]}}
    Graph(build_discrete(**open_shapes), "policy.onnx", observation, discrete)

    def keep_one(model: onnx.ModelProto) -> None:
        """Let the steering angle of the first image stand for all."""
        node = next(node for node in model.graph.node if "steering_angle" in node.output)
        node.output[0] = "all"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([True]), "first"))
        model.graph.node.append(helper.make_node("Compress", ["all", "first"], ["steering_angle"], axis=0))

    with pytest.raises(
        UserError, match=r"returns steering_angle of shape \(1,\) for two images, but \(2,\) is expected"
    ):
        Graph(build_discrete(edit=keep_one, **open_shapes), "policy.onnx", observation, discrete)


@pytest.mark.parametrize("content", [b"", b"\x08\x09", b"not onnx", b"\x80\x04\x95pickle"])
def test_what_is_not_a_model_is_refused(
    observation: ObservationSpec, discrete: DiscreteActionSpace, content: bytes
) -> None:
    with pytest.raises(UserError, match=r"^policy.onnx"):
        Graph(content, "policy.onnx", observation, discrete)


def test_a_damaged_model_never_escapes_as_another_exception(
    build_discrete: Build, observation: ObservationSpec, discrete: DiscreteActionSpace, rng: np.random.Generator
) -> None:
    content = build_discrete()
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] = rng.integers(0, 256)
        try:
            Graph(bytes(damaged), "policy.onnx", observation, discrete)
        except UserError:
            refused += 1
    assert refused > 100
