"""A look into a serialised ONNX model before onnxruntime touches it.

It reads just enough of the protobuf encoding (https://protobuf.dev/programming-guides/encoding/) to know that no tensor
is to be loaded from another file and no operator from a plug-in. The `onnx` package could do it, but it is large and
not on the car.
"""

from __future__ import annotations

from collections.abc import Iterator

from deepracer_inference.errors import UserError

# Message type -> field number -> type of the message in that field: all paths to nodes and tensors in onnx/onnx.proto.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NODE_DOMAIN = 7
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_STANDARD_DOMAINS = (b"", b"ai.onnx")


def check_self_contained(onnx: bytes, source: str) -> None:
    """Refuse a model that refers to anything outside itself.

    Args:
        onnx: The serialised model.
        source: File name for messages.

    Raises:
        UserError: It is not protobuf, keeps tensors in other files, or uses operators that are not ONNX's own.
    """
    pending = [("model", memoryview(onnx))]
    try:
        while pending:
            message, content = pending.pop()
            for field, value in _fields(content):
                is_external = message == "tensor" and (
                    field == _TENSOR_EXTERNAL_DATA or (field == _TENSOR_DATA_LOCATION and value != 0)
                )
                if is_external:
                    raise UserError(f"{source} keeps weights in another file; export it with all weights inside")
                if isinstance(value, int):
                    continue
                if message == "node" and field == _NODE_DOMAIN and bytes(value) not in _STANDARD_DOMAINS:
                    name = bytes(value[:60]).decode("utf-8", "replace")
                    raise UserError(
                        f"{source} uses an operator of the domain '{name}'; only standard ONNX operators are allowed"
                    )
                if field in _CHILDREN[message]:
                    pending.append((_CHILDREN[message][field], value))
    except _EncodingError as error:
        raise UserError(f"{source} is not an ONNX model: {error}") from error


class _EncodingError(ValueError):
    pass


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Iterate over the fields of one message: number, and a varint's value or a block's bytes (0 for fixed numbers)."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        field, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = _varint(content, position)
            yield field, value
            continue
        if wire_type == 2:
            size, position = _varint(content, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise _EncodingError(f"unknown wire type {wire_type}")
        if field == 0 or size > len(content) - position:
            raise _EncodingError("it ends in the middle of a field")
        if wire_type == 2:
            yield field, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise _EncodingError("it ends in the middle of a number")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _EncodingError("a number is too long")
