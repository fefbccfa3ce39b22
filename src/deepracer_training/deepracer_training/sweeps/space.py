"""The search space of a sweep: which keys of model.yaml vary, and over what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue

from deepracer_inference.config import StrictModel, parse
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text
from deepracer_inference.yaml_text import read_yaml_text
from deepracer_training.models.changes import apply_settings
from deepracer_training.models.config import ModelConfig

if TYPE_CHECKING:
    import optuna

REWARD, ACTION_SPACE = "reward_function", "action_space"
"""Keys whose choices are names and files, as in the options of `create`."""

Choice = bool | int | float | str


class Range(StrictModel):
    """Numbers between two ends; whole ones if both ends are."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether orders of magnitude count, as for a learning rate."""
    step: int | float | None = None


@dataclass(frozen=True)
class Variant:
    """A model's configuration and reward function with some values of the space."""

    config: ModelConfig
    reward_source: str | None
    """None for the model's own."""


@dataclass(frozen=True)
class SearchSpace:
    """What varies, by key."""

    dimensions: Mapping[str, Range | tuple[Choice, ...]]
    read_reward: Callable[[str, ModelConfig], str]
    """Returns the source of a reward function named as for `create`."""
    read_action_space: Callable[[str], Any]
    """Returns an action space named as for `create`."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Choice]:
        """Let Optuna choose a value for each key."""
        values: dict[str, Choice] = {}
        for key, dimension in self.dimensions.items():
            if isinstance(dimension, tuple):
                values[key] = cast("Choice", trial.suggest_categorical(key, dimension))
            elif isinstance(dimension.low, int) and isinstance(dimension.high, int):
                values[key] = trial.suggest_int(
                    key, dimension.low, dimension.high, step=int(dimension.step or 1), log=dimension.log
                )
            else:
                values[key] = trial.suggest_float(
                    key, dimension.low, dimension.high, step=dimension.step, log=dimension.log
                )
        return values

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return the space in Optuna's terms."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, optuna.distributions.BaseDistribution] = {}
        for key, dimension in self.dimensions.items():
            if isinstance(dimension, tuple):
                found[key] = CategoricalDistribution(dimension)
            elif isinstance(dimension.low, int) and isinstance(dimension.high, int):
                found[key] = IntDistribution(dimension.low, dimension.high, dimension.log, int(dimension.step or 1))
            else:
                found[key] = FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)
        return found

    def apply(self, config: ModelConfig, values: Mapping[str, Choice]) -> Variant:
        """Return a variant of a model.

        Raises:
            UserError: The values do not go together, or a reward function cannot be used.
        """
        if ACTION_SPACE in values:
            space = self.read_action_space(str(values[ACTION_SPACE])).model_dump(mode="json")
            config = parse(
                config.model_dump(mode="json") | {ACTION_SPACE: space}, ModelConfig, "the sweep's action space"
            )
        settings = [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in (REWARD, ACTION_SPACE)]
        config = apply_settings(config, settings) if settings else config
        reward = self.read_reward(str(values[REWARD]), config) if REWARD in values else None
        return Variant(config, reward)

    def check(self, config: ModelConfig) -> None:
        """Try every choice and both ends of every range by itself.

        Raises:
            UserError: One of them cannot be used with the model.
        """
        for key, dimension in self.dimensions.items():
            tried = dimension if isinstance(dimension, tuple) else (dimension.low, dimension.high)
            for value in tried:
                self.apply(config, {key: value})


def read_space(
    path: Path, read_reward: Callable[[str, ModelConfig], str], read_action_space: Callable[[str], Any]
) -> tuple[SearchSpace, dict[str, JsonValue]]:
    """Read a search space from a YAML file.

    Each key is one of model.yaml (`hyperparameters.lr`, or just `lr`), `reward_function` or `action_space`; its value
    is a list of choices, or a mapping with `low`, `high` and, if wanted, `log: true` or `step`.

    Args:
        path: The file.
        read_reward: See `SearchSpace`.
        read_action_space: See `SearchSpace`.

    Returns:
        The space, and the content of the file as plain data.

    Raises:
        UserError: The file cannot be read or has another form.
    """
    data = read_yaml_text(read_text(path), path)
    if not isinstance(data, dict) or not data:
        raise UserError(f"{path}: a mapping of keys of model.yaml to their choices is expected")
    dimensions = {str(key): _dimension(value, f"{path}: {key}") for key, value in data.items()}
    return SearchSpace(dimensions, read_reward, read_action_space), data


def _dimension(value: object, where: str) -> Range | tuple[Choice, ...]:
    if isinstance(value, list):
        choices = tuple(choice if isinstance(choice, Choice) else json.dumps(choice) for choice in value)
        if len(choices) < 2 or len(set(choices)) < len(choices):
            raise UserError(f"{where}: at least two choices that differ are expected")
        return choices
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: a list of choices, or a range with low and high, is expected, but {value!r} was given"
        )
    span = parse(value, Range, where)
    if not span.low < span.high:
        raise UserError(f"{where}: low must be smaller than high, but they are {span.low:g} and {span.high:g}")
    if span.log and span.low <= 0.0:
        raise UserError(f"{where}: a range with log: true begins above 0, not at {span.low:g}")
    if span.step is not None and (span.step <= 0.0 or (span.log and span.step != 1)):
        raise UserError(f"{where}: step must be positive, and does not go with log: true")
    whole = isinstance(span.low, int) and isinstance(span.high, int)
    if span.step is not None and (span.step > span.high - span.low or (whole and span.step % 1)):
        raise UserError(f"{where}: step {span.step:g} does not fit between {span.low:g} and {span.high:g}")
    return span
