from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deepracer_inference.action_space import ContinuousActionSpace, DiscreteAction, DiscreteActionSpace, Range
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.policy_file import write_policy

GraphBuilder = Callable[..., bytes]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def observation() -> ObservationSpec:
    return ObservationSpec(width=8, height=8, crop_top=0.25)


@pytest.fixture(scope="session")
def discrete() -> DiscreteActionSpace:
    actions = ((-30.0, 1.0), (0.0, 2.0), (30.0, 1.0))
    return DiscreteActionSpace(actions=tuple(DiscreteAction(steering_angle=a, speed=v) for a, v in actions))


@pytest.fixture
def continuous() -> ContinuousActionSpace:
    return ContinuousActionSpace(steering_angle=Range(low=-20.0, high=30.0), speed=Range(low=1.0, high=3.0))


@pytest.fixture(scope="session")
def build_discrete(discrete: DiscreteActionSpace) -> GraphBuilder:
    """A graph that steers left in the light, straight in between, right in the dark.

    The brightness b (mean of the image, 0..1) gives the logits -8 b, 0, 8 b - 8 for right, straight, left; +-2 offsets
    put the changes at b = 0.25 and 0.75.
    """

    def build(**changes: Any) -> bytes:
        return _model(
            [
                helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
                helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
                helper.make_node("Reshape", ["mean", "column"], ["brightness"]),
                helper.make_node("MatMul", ["brightness", "slope"], ["sloped"]),
                helper.make_node("Add", ["sloped", "offset"], ["logits"]),
                helper.make_node("Softmax", ["logits"], ["action_probabilities"], axis=1),
                helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
                helper.make_node("Gather", ["steering_table", "best"], ["steering_angle"]),
                helper.make_node("Gather", ["speed_table", "best"], ["speed"]),
            ],
            {
                "axes": np.array([1, 2, 3]),
                "column": np.array([-1, 1]),
                "slope": np.array([[-8.0, 0.0, 8.0]], np.float32) / np.float32(255.0),
                "offset": np.array([2.0, 0.0, -6.0], np.float32),
                "steering_table": changes.pop("steering_table", discrete.table()[:, 0]),
                "speed_table": discrete.table()[:, 1],
            },
            outputs={"steering_angle": ["N"], "speed": ["N"], "action_probabilities": ["N", 3]},
            **changes,
        )

    return build


@pytest.fixture
def build_continuous() -> GraphBuilder:
    """A graph that steers 0.001 rad and adds 0.001 m/s to 2 m/s per gray level of the first pixel; NaN at 255."""

    def build(**changes: Any) -> bytes:
        return _model(
            [
                helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
                helper.make_node("Slice", ["float", "starts", "ends", "axes"], ["pixel"]),
                helper.make_node("Reshape", ["pixel", "flat"], ["level"]),
                helper.make_node("Mul", ["level", "slope"], ["angle"]),
                helper.make_node("Sub", ["brightest", "level"], ["headroom"]),
                helper.make_node("Div", ["headroom", "headroom"], ["one"]),
                helper.make_node("Mul", ["angle", "one"], ["steering_angle"]),
                helper.make_node("Add", ["angle", "offset"], ["speed"]),
            ],
            {
                "starts": np.array([0, 0]),
                "ends": np.array([1, 1]),
                "axes": np.array([1, 2]),
                "flat": np.array([-1]),
                "slope": np.array([0.001], np.float32),
                "offset": np.array([2.0], np.float32),
                "brightest": np.array([255.0], np.float32),
            },
            outputs={"steering_angle": ["N"], "speed": ["N"]},
            **changes,
        )

    return build


@pytest.fixture(scope="session")
def write_discrete(
    build_discrete: GraphBuilder, observation: ObservationSpec, discrete: DiscreteActionSpace
) -> Callable[[Path], Path]:
    """Writes a correct discrete policy."""

    def write(folder: Path) -> Path:
        write_policy(
            folder,
            build_discrete(),
            observation=observation,
            action_space=discrete,
            neural_network="compact",
            vehicle="deepracer",
            control_period_s=1.0 / 15.0,
            provenance={"seed": 3, "steps": 1000, "reward": 1.5, "version": "0.1.0"},
        )
        return folder

    return write


@pytest.fixture
def policy_folder(tmp_path: Path, write_discrete: Callable[[Path], Path]) -> Path:
    """A correct discrete policy."""
    return write_discrete(tmp_path / "policy")


def _model(
    nodes: list[Any],
    constants: dict[str, Any],
    *,
    outputs: dict[str, list[Any]],
    image_shape: tuple[Any, ...] = ("N", 8, 8, 1),
    image_type: int = TensorProto.UINT8,
    rename: dict[str, str] | None = None,
    declared: dict[str, list[Any]] | None = None,
    edit: Callable[[onnx.ModelProto], None] | None = None,
) -> bytes:
    """Build a model; the last four arguments spoil it in one way each."""
    names = rename or {}
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(names.get("image", "image"), image_type, image_shape)],
        [
            helper.make_tensor_value_info(names.get(name, name), TensorProto.FLOAT, shape)
            for name, shape in (outputs | (declared or {})).items()
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if edit:
        edit(model)
    return bytes(model.SerializeToString())
