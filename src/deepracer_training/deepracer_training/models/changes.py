"""Changes of a configuration: settings given as `KEY=VALUE`, and what differs between two configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from deepracer_inference.config import StrictModel, nearest, parse
from deepracer_inference.errors import UserError
from deepracer_inference.yaml_text import edit_yaml_text, read_yaml_text
from deepracer_training.models.config import ModelConfig

SECTIONS = ("hyperparameters", "training")
"""Whose keys may be named without their section."""


class Change(StrictModel):
    """One setting that differs between two configurations."""

    key: str
    """Dotted, as `hyperparameters.lr`."""
    before: JsonValue
    """None where the key was missing."""
    after: JsonValue
    """None where it is missing now."""

    def __str__(self) -> str:
        """`hyperparameters.lr 0.001 -> 0.0003`."""
        return f"{self.key} {_show(self.before)} -> {_show(self.after)}"


def apply_settings(config: ModelConfig, settings: Sequence[str]) -> ModelConfig:
    """Return a configuration with some settings changed, checked as if it had been read from model.yaml.

    Args:
        config: To start from.
        settings: Each `KEY=VALUE`: the key dotted as in model.yaml, its section left out if it is one of `SECTIONS`;
            the value as in YAML.

    Raises:
        UserError: There is no such key, or the value is refused.
    """
    data = config.model_dump(mode="json")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise UserError(f"--set {setting!r}: KEY=VALUE is expected, for example --set lr=0.0003")
        if key.strip() == "name":
            raise UserError(f"--set {setting}: a model's name is its folder's; change it with deepracer rename")
        *parents, leaf = _full_key(key.strip(), data).split(".")
        place = data
        for name in parents:
            place = place[name]
        place[leaf] = read_yaml_text(text, f"--set {setting}")
    return parse(data, ModelConfig, " ".join(["--set", *settings]))


def config_changes(before: ModelConfig, after: ModelConfig) -> list[Change]:
    """List what differs between two configurations, in the order of model.yaml; the model's name does not count."""
    old, new = (dict(_leaves(config.model_dump(mode="json", exclude={"name"}))) for config in (before, after))
    return [
        Change(key=key, before=old.get(key), after=new.get(key))
        for key in {**new, **old}
        if old.get(key) != new.get(key)
    ]


def edit_config_text(text: str, before: ModelConfig, after: ModelConfig) -> str:
    """Return the text of a model.yaml with another configuration; what does not change stays, with its comments.

    Args:
        text: As it stands in the file.
        before: What it says.
        after: What it has to say.
    """
    data = read_yaml_text(text, "model.yaml")
    assert isinstance(data, dict)
    return edit_yaml_text(text, _edited(data, before.model_dump(mode="json"), after.model_dump(mode="json")))


def _edited(data: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Change in a user's mapping, which may leave out defaults, only what differs."""
    edited = {name: item for name, item in data.items() if name in after}
    for name, item in after.items():
        old = before.get(name)
        if name not in before or old != item:
            own = edited.get(name, {})
            if isinstance(own, Mapping) and isinstance(old, Mapping) and isinstance(item, Mapping):
                item = _edited(own, old, item)
            edited[name] = item
    return edited


def _full_key(key: str, data: Mapping[str, Any]) -> str:
    known = [name for name, _ in _nodes(data)]
    if key in known:
        return key
    for section in SECTIONS:
        if f"{section}.{key}" in known:
            return f"{section}.{key}"
    short = [name.partition(".")[2] if name.partition(".")[0] in SECTIONS else name for name in known]
    raise UserError(f"--set {key}: model.yaml has no such key; {nearest(key, [name for name in short if name])}")


def _nodes(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, sections too."""
    for name, item in value.items():
        yield f"{prefix}{name}", item
        if isinstance(item, Mapping):
            yield from _nodes(item, f"{prefix}{name}.")


def _leaves(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, item) for key, item in _nodes(value) if not isinstance(item, Mapping))


def _show(value: JsonValue) -> str:
    return "(none)" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
