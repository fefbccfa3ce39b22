"""ROS parameters from a typed description: names, defaults, ranges and texts have their one home in a pydantic model.

    class Settings(StrictModel):
        cars: int = Field(default=1, ge=1, le=64, description="Number of cars.")

`declare(node, Settings)` declares `cars` with this description and range, checks what the user gave with the same
messages as every configuration file, and returns `Settings`. Fields that are models themselves become dotted names;
where a field has no description, the text under it in the source code is taken.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node

from deepracer_inference.config import StrictModel, parse
from deepracer_inference.errors import DeepRacerError

S = TypeVar("S", bound=StrictModel)

OWN_PREFIXES = ("use_sim_time", "qos_overrides.", "start_type_description_service")
"""Parameters that rclpy declares itself."""


def make_node(name: str) -> Node:
    """Make a node that `declare` can be used on: it knows all parameters that the user gave, also misspelt ones."""
    return Node(name, automatically_declare_parameters_from_overrides=True)


def declare(
    node: Node, schema: type[S], *, changeable: tuple[str, ...] = (), on_change: Callable[[S], None] | None = None
) -> S:
    """Declare the parameters of a node and return their values.

    Args:
        node: From `make_node`.
        schema: The parameters; every field has a default, and a description.
        changeable: Names that may be set while the node runs; the others are read-only.
        on_change: Called with all values after a change; a `DeepRacerError` that it raises rejects the change.

    Raises:
        UserError: A value is wrong or a name unknown.
    """
    given = {
        name: parameter.value
        for name, parameter in node.get_parameters_by_prefix("").items()
        if not name.startswith(OWN_PREFIXES)
    }
    fields = dict(_flatten(schema))
    texts = dict(_descriptions(schema))
    source = f"the parameters of {node.get_name()}"
    current = _checked(schema, {**_values(schema()), **given}, source)
    for name in given:
        node.undeclare_parameter(name)
    for name, value in _values(current).items():
        # The value, not the user's text of it: 2 for a float would otherwise be rejected as an integer.
        node.declare_parameter(
            name, value, _descriptor(fields[name], texts[name], name not in changeable), ignore_override=True
        )

    def check(parameters: list[Any]) -> SetParametersResult:
        nonlocal current
        ours = {parameter.name: parameter.value for parameter in parameters if parameter.name in fields}
        try:
            new = _checked(schema, {**_values(current), **ours}, source)
            if on_change:
                on_change(new)
        except DeepRacerError as error:
            return SetParametersResult(successful=False, reason=str(error))
        current = new
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    return current


def _checked(schema: type[S], flat: dict[str, Any], source: str) -> S:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = list(value) if hasattr(value, "tolist") else value
    return parse(nested, schema, source)


def _values(model: StrictModel, prefix: str = "") -> dict[str, Any]:
    """Return a model's values by dotted names."""
    flat: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        flat |= _values(value, f"{prefix}{name}.") if isinstance(value, StrictModel) else {f"{prefix}{name}": value}
    return flat


def _flatten(schema: type[StrictModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in schema.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, StrictModel):
            yield from _flatten(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _descriptions(schema: type[StrictModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the description of every field: the field's own, or the text that stands under it in the source code."""
    below: dict[str, str] = {}
    for owner in reversed(schema.__mro__):
        if issubclass(owner, StrictModel):
            body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body  # type: ignore[attr-defined]
            for line, following in itertools.pairwise(body):
                match line, following:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        below[name] = " ".join(text.split())
    for name, field in schema.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, StrictModel):
            yield from _descriptions(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or below.get(name, "")


def _descriptor(field: FieldInfo, description: str, read_only: bool) -> ParameterDescriptor:
    low = next((float(m.ge) for m in field.metadata if isinstance(m, annotated_types.Ge)), None)  # type: ignore[arg-type]
    high = next((float(m.le) for m in field.metadata if isinstance(m, annotated_types.Le)), None)  # type: ignore[arg-type]
    descriptor = ParameterDescriptor(description=description, read_only=read_only)
    if get_origin(field.annotation) is Literal:
        descriptor.additional_constraints = "one of " + ", ".join(get_args(field.annotation))
    elif low is not None and high is not None:
        if field.annotation is int:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
