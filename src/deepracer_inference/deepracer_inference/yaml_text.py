"""YAML as configuration files need it: the YAML 1.2 core types, no duplicate keys, no tags, no aliases.

PyYAML's own safe loader implements YAML 1.1, which reads `3e-4` as a text, `no` as false, `010` as eight and `1:30` as
ninety, keeps the last of two equal keys in silence, and expands nested aliases until the memory is full.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deepracer_inference.errors import UserError

_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"

# https://yaml.org/spec/1.2.2/#1032-tag-resolution, with the first characters that PyYAML uses to look a pattern up.
_CORE_TYPES = (
    (_NULL, r"^(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    (_BOOL, r"^(?:true|True|TRUE|false|False|FALSE)$", [*"tTfF"]),
    (_INT, r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", [*"-+0123456789"]),
    (
        _FLOAT,
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        [*"-+.0123456789"],
    ),
)


class _Loader(yaml.SafeLoader):
    def compose_node(self: Any, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(_at(mark, "aliases (*name) are not supported; repeat the value"))
        return yaml.SafeLoader.compose_node(self, parent, index)


class _Dumper(yaml.SafeDumper):
    """Quotes a text exactly when `_Loader` would otherwise read something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


# Empty, so that nothing of YAML 1.1 is inherited.
_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {}
_Dumper.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _CORE_TYPES:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)
    _Dumper.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def _construct_scalar(loader: _Loader, node: yaml.Node) -> object:
    text = str(loader.construct_scalar(node)) if isinstance(node, yaml.ScalarNode) else None
    try:
        if text is None:
            raise ValueError
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return {"true": True, "false": False}[text.lower()]
        if node.tag == _INT:
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    except (KeyError, ValueError):
        kind = node.tag.rpartition(":")[2]
        raise yaml.YAMLError(_at(node.start_mark, f"this is not a valid {kind}")) from None


def _construct_text(loader: _Loader, node: Any) -> object:
    return loader.construct_scalar(node)


def _construct_list(loader: _Loader, node: Any) -> object:
    return loader.construct_sequence(node, deep=True)


def _construct_mapping(loader: _Loader, node: Any) -> object:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError(_at(node.start_mark, "a mapping (key: value) is expected"))
    mapping: dict[str, object] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.YAMLError(_at(key_node.start_mark, "a key must be a plain word"))
        key = str(key_node.value)
        if key in mapping:
            raise yaml.YAMLError(_at(key_node.start_mark, f"the key '{key}' stands here twice; remove one of them"))
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


def _represent_text(dumper: Any, text: str) -> Any:
    # PyYAML writes Unicode's own line breaks raw into other styles and then reads them back as spaces.
    style = '"' if any(character in text for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _refuse_tag(loader: _Loader, node: yaml.Node) -> object:
    raise yaml.YAMLError(_at(node.start_mark, f"the tag {node.tag} is not supported"))


for _tag, *_ in _CORE_TYPES:
    _Loader.add_constructor(_tag, _construct_scalar)
_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)
_Loader.add_constructor("tag:yaml.org,2002:seq", _construct_list)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_constructor(None, _refuse_tag)
_Dumper.add_representer(str, _represent_text)


def read_yaml_text(text: str, source: str | Path) -> object:
    """Parse one YAML document into dict, list, str, int, float, bool and None.

    Args:
        text: The document.
        source: File name for error messages.

    Raises:
        UserError: The text is empty or is not such a document; line and column are named, counted from 1.
    """
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        what = error.problem or error.context or "syntax error"
        raise UserError(f"{source} is not valid YAML: {_at(where, what) if where else what}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"line {line} holds the unprintable character U+{error.character:04X}"
        raise UserError(f"{source} is not valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise UserError(f"{source} is not valid YAML: it is nested too deeply") from error
    if data is None:
        raise UserError(f"{source} is empty, but a mapping of keys is expected")
    return data


def write_yaml_text(data: object) -> str:
    """Return block-style YAML that `read_yaml_text` reads back as the same data; keys keep their order."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def edit_yaml_text(text: str, data: Mapping[str, object]) -> str:
    """Return a document with other values in it; lines of values that stay are kept to the letter, with their comments.

    Args:
        text: The document, a mapping of keys that `read_yaml_text` reads.
        data: What the result has to say.
    """
    edits: list[tuple[int, int, str]] = []
    _edit(yaml.compose(text, Loader=_Loader), data, text, 0, edits)
    edited = text
    for start, end, replacement in sorted(edits, reverse=True):
        edited = edited[:start] + replacement + edited[end:]
    try:
        faithful = read_yaml_text(edited, "") == data
    except UserError:
        faithful = False
    # Comments are worth less than values, should somebody have found a way of writing YAML that is not foreseen here.
    return edited if faithful else write_yaml_text(data)


def _edit(node: Any, data: object, text: str, indent: int, edits: list[tuple[int, int, str]]) -> None:
    """Collect (start, end, replacement) for the value at `node`, which stands `indent` columns deep."""
    block = isinstance(node, yaml.MappingNode) and not node.flow_style
    entries = {key.value: (key, value) for key, value in node.value} if block else {}
    if isinstance(data, Mapping) and entries.keys() & data.keys():
        indent = node.start_mark.column
        for name, (key, value) in entries.items():
            if name in data:
                _edit(value, data[name], text, indent + 2, edits)
            else:
                edits.append((text.rfind("\n", 0, key.start_mark.index) + 1, _end_of_line(text, _end(value)) + 1, ""))
        if added := {name: value for name, value in data.items() if name not in entries}:
            place = _end_of_line(text, _end(node))
            edits.append((place, place, "\n" + _indented(added, indent)))
    elif _Loader("").construct_object(node, deep=True) != data:
        start = node.start_mark.index
        # The line break and the spaces before a block belong to it.
        start = len(text[:start].rstrip()) if isinstance(node, yaml.CollectionNode) else start
        start = start - 1 if text[start - 1] == " " else start
        edits.append((start, _end(node), _inline(data, indent)))


def _inline(data: object, indent: int) -> str:
    """Write a value as it follows a colon."""
    if isinstance(data, Mapping | list | tuple) and data:
        return "\n" + _indented(data, indent)
    return " " + write_yaml_text(data).removesuffix("...\n").strip()


def _indented(data: object, indent: int) -> str:
    return "\n".join(" " * indent + line for line in write_yaml_text(data).splitlines())


def _end(node: Any) -> int:
    """Return where a value ends; PyYAML counts the comments after a block as part of it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _end_of_line(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _at(mark: Any, problem: str) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
