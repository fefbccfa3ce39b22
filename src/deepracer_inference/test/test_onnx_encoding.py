from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from deepracer_inference.errors import UserError
from deepracer_inference.onnx_encoding import check_self_contained


def external_tensor() -> onnx.TensorProto:
    tensor = TensorProto(name="weights", dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def graph_with(tensor: onnx.TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [tensor])


def in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(external_tensor())


def in_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external_tensor())


def in_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external_tensor()))


def in_branch(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=graph_with(external_tensor())))


def in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external_tensor())
    model.functions.add(name="f").node.append(node)


def in_function_default(model: onnx.ModelProto) -> None:
    model.functions.add(name="f").attribute_proto.append(helper.make_attribute("a", external_tensor()))


def in_training_info(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.CopyFrom(graph_with(external_tensor()))


def only_location(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


@pytest.mark.parametrize(
    "edit",
    [
        in_initializer,
        in_sparse_initializer,
        in_constant,
        in_branch,
        in_function,
        in_function_default,
        in_training_info,
        only_location,
    ],
)
def test_weights_in_another_file_are_found_everywhere(build_discrete: Callable[..., bytes], edit: object) -> None:
    with pytest.raises(UserError, match=r"policy.onnx keeps weights in another file"):
        check_self_contained(build_discrete(edit=edit), "policy.onnx")


def test_foreign_operators_are_found_in_branches_too(build_discrete: Callable[..., bytes]) -> None:
    def edit(model: onnx.ModelProto) -> None:
        inner = helper.make_graph([helper.make_node("Evil", [], ["x"], domain="my.plugin")], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner))

    with pytest.raises(UserError, match=r"uses an operator of the domain 'my.plugin'"):
        check_self_contained(build_discrete(edit=edit), "policy.onnx")


def test_a_normal_model_passes(build_discrete: Callable[..., bytes], build_continuous: Callable[..., bytes]) -> None:
    check_self_contained(build_discrete(), "policy.onnx")
    check_self_contained(build_continuous(), "policy.onnx")


@pytest.mark.parametrize(
    "content", [b"\x0a", b"\x0a\x05ab", b"\x80" * 12, b"\x0b", b"\x09\x01", b"\x00\x01x", b"PK\x03\x04", b"<html>"]
)
def test_what_is_not_protobuf_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match=r"is not an ONNX model"):
        check_self_contained(content, "policy.onnx")


@given(st.binary(max_size=200))
def test_any_bytes_are_accepted_or_refused_clearly(content: bytes) -> None:
    try:
        check_self_contained(content, "policy.onnx")
    except UserError as error:
        assert str(error).startswith("policy.onnx ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_truncated_model_never_hides_its_end(build_discrete: Callable[..., bytes], data: st.DataObject) -> None:
    # Whatever prefix onnx itself can read, this check can read too.
    content = build_discrete()
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        onnx.load_model_from_string(content)
    except Exception:
        return
    check_self_contained(content, "policy.onnx")
