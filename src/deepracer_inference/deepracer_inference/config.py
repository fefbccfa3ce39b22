"""Typed configuration: every file is checked at the edge, and every mistake is named in the user's own words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic

from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text, write_atomic
from deepracer_inference.yaml_text import read_yaml_text, write_yaml_text


class StrictModel(pydantic.BaseModel):
    """Base of every configuration class: unknown keys are errors, numbers are finite, instances never change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=pydantic.BaseModel)

Location = tuple[int | str, ...]


def load_yaml(path: Path, schema: type[T]) -> T:
    """Read a YAML file into a typed object.

    Args:
        path: The file.
        schema: What it must contain.

    Raises:
        UserError: The file cannot be read, is not YAML, or does not fit the schema. All problems are listed at once.
    """
    return parse(read_yaml_text(read_text(path), path), schema, str(path))


def parse(data: object, schema: type[T], source: str) -> T:
    """Check data that has already been loaded from YAML or JSON.

    Types are strict: a text is never taken for a number, nor `true` for 1. Only a whole number may stand for a float.

    Args:
        data: Nested dict, list, str, int, float, bool, None.
        schema: What it must contain.
        source: Where the data came from, for messages; usually a file name.

    Raises:
        UserError: As `load_yaml`.
    """
    if not isinstance(data, dict):
        raise UserError(f"{source}: a mapping of keys is expected, but {_show(data)} was given")
    # Through JSON, because pydantic's strict mode takes lists for tuples and texts for enums only there.
    text = json.dumps(data, default=_jsonable)
    try:
        return schema.model_validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        # Unknown keys first: a misspelt key is usually also why another one is missing.
        details = sorted(
            (detail for detail in error.errors(include_url=False) if not _is_echo(detail)),
            key=lambda detail: detail["type"] != "extra_forbidden",
        )
    problems = list(dict.fromkeys(_describe(detail, data, schema) for detail in details))
    if len(problems) == 1:
        raise UserError(f"{source}: {problems[0]}")
    raise UserError("\n  ".join([f"{source}: {len(problems)} problems:", *problems]))


def parse_json(text: str, source: str) -> object:
    """Read a JSON document into nested dict, list, str, int, float, bool and None.

    Raises:
        UserError: It is not JSON, or a key stands twice in one object; line and column are named where known.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{source} is not valid JSON: {where}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source} is not valid JSON: {error}") from error


def dump_yaml(model: StrictModel, path: Path) -> None:
    """Write a typed object to a YAML file, atomically; `load_yaml` reads back an equal object.

    Raises:
        DeepRacerError: The file cannot be written.
    """
    write_atomic(path, write_yaml_text(model.model_dump(mode="json")))


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or all of them if none is near."""
    matches = difflib.get_close_matches(word.lower(), [name.lower() for name in known], n=1)
    for name in known:
        if matches and name.lower() == matches[0]:
            return f"did you mean '{name}'?"
    return f"known: {', '.join(known)}" if known else "none is known here"


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{twice}' stands twice in one object; remove one of them")
    return mapping


def _jsonable(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    return str(value)


def _is_echo(detail: Any) -> bool:
    # pydantic counts only the valid entries of a list, so each wrong entry also makes the list too short.
    return bool(detail["type"] == "too_short" and detail["ctx"]["min_length"] <= len(detail["input"]))


def _describe(detail: Any, data: object, schema: type[pydantic.BaseModel]) -> str:
    """Put one pydantic error into one sentence."""
    kind, context = detail["type"], detail.get("ctx", {})
    location: Location = detail["loc"]
    key = _dotted(location, data, keep_last=kind == "missing")
    if kind == "missing":
        return f"the key '{key}' is missing"
    if kind == "extra_forbidden":
        return f"unknown key '{key}'; {nearest(str(location[-1]), _known_keys(location[:-1], schema))}"
    if kind == "union_tag_not_found":
        # The discriminator arrives quoted.
        return f"the key '{key}.{context['discriminator'].strip(chr(39))}' is missing"
    if kind in ("value_error", "json_invalid"):
        # The second: nested too deeply, or half of a UTF-16 pair in a text.
        message = str(context["error"])
        return f"{key}: {message}" if key else message
    if kind == "union_tag_invalid":
        key, given = f"{key}.{context['discriminator'].strip(chr(39))}", f"'{context['tag']}'"
    else:
        given = _show(detail["input"])
    return f"{key or 'the whole'} is {given}, but {_expected(kind, context, detail['msg'])} is expected"


def _expected(kind: str, context: dict[str, Any], message: str) -> str:
    phrases = {
        "greater_than": "a value above {gt}",
        "greater_than_equal": "a value of at least {ge}",
        "less_than": "a value below {lt}",
        "less_than_equal": "a value of at most {le}",
        "finite_number": "a finite number",
        "float_type": "a number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "bool_type": "true or false",
        "string_type": "a text",
        "string_pattern_mismatch": "a text of the form {pattern}",
        "string_too_short": "a text of at least {min_length} characters",
        "string_too_long": "a text of at most {max_length} characters",
        "too_short": "a list of at least {min_length} entries",
        "too_long": "a list of at most {max_length} entries",
        "list_type": "a list",
        "tuple_type": "a list",
        "dict_type": "a mapping of keys",
        "model_type": "a mapping of keys",
        "model_attributes_type": "a mapping of keys",
        "literal_error": "{expected}",
        "enum": "{expected}",
        "union_tag_invalid": "{expected_tags}",
    }
    return phrases[kind].format(**context) if kind in phrases else f"something else ({message})"


def _dotted(location: Location, data: object, *, keep_last: bool) -> str:
    """Write a pydantic location as `actions[2].speed`, without the names of union members that pydantic mixes in."""
    text = ""
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(data, list) and isinstance(part, int):
            text += f"[{part}]"
            data = data[part] if part < len(data) else None
        elif isinstance(data, dict) and (part in data or (last and keep_last)):
            text += f".{part}" if text else str(part)
            data = data.get(part)
    return text


def _known_keys(location: Location, schema: type[pydantic.BaseModel]) -> list[str]:
    models = [schema]
    for part in location:
        fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
        if fields:
            models = [model for field in fields for model in _models_in(field.annotation)]
        elif isinstance(part, str):
            # A union member's tag: keep the member whose discriminating Literal holds it.
            tagged = [m for m in models if any(part in get_args(f.annotation) for f in m.model_fields.values())]
            models = tagged or models
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _show(value: object) -> str:
    """Write a given value the way a user wrote it, shortened."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping of keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} entries"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
