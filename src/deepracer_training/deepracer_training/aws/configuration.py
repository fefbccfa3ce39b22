"""AWS's configuration as a `model.yaml`: metadata, hyperparameters and job parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pydantic

from deepracer_inference.config import parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text
from deepracer_inference.metadata import read_metadata
from deepracer_inference.yaml_text import read_yaml_text
from deepracer_training.aws.layout import METADATA, AwsFolder
from deepracer_training.models.config import (
    Hyperparameters,
    ModelConfig,
    Network,
    preset_config,
)

NOT_OURS = {
    "stack_size": "one image is what AWS's simulator uses, whatever it says",
    "exploration_type": "discrete actions are drawn by their probabilities, continuous ones with noise",
    "e_greedy_value": "see exploration_type",
    "epsilon_steps": "see exploration_type",
    "term_cond_max_episodes": "the length of a training is given to `train`",
    "term_cond_avg_score": "the length of a training is given to `train`",
}
"""AWS's hyperparameters that do nothing here, and why."""
RACE_TYPES = {
    "TIME_TRIAL": "time_trial",
    "OBJECT_AVOIDANCE": "object_avoidance",
    "HEAD_TO_BOT": "head_to_head",
    "HEAD_TO_MODEL": "head_to_head",
}
_WORLD = re.compile(r"^\s*(?:export\s+)?DR_WORLD_NAME=[\"']?([A-Za-z0-9_.-]+)", re.MULTILINE)


def read_configuration(
    found: AwsFolder, *, name: str, track: str | None, preset: str = "aws", seed: int = 0
) -> tuple[ModelConfig, list[str]]:
    """Translate AWS's files.

    Args:
        found: The files.
        name: Of the model.
        track: Name or file of the track; the job's world when omitted.
        preset: What AWS's files do not say: image size and our own settings.
        seed: Of the training.

    Returns:
        The configuration, and one sentence about each thing that could not be taken over.

    Raises:
        UserError: model_metadata.json is missing or cannot be used, or nothing names the track.
    """
    notes: list[str] = []
    if found.metadata is None:
        raise UserError(f"{found.path}: no {METADATA} was found, which says what the model may command")
    metadata = read_metadata(found.metadata)
    parameters = _parameters(found)
    world = _world(found, parameters)
    if track is None and world is None:
        raise UserError(f"{found.path}: nothing names the track; give it with --track")
    base = preset_config(
        preset,
        name=name,
        track=track or str(world),
        action_space=metadata.action_space,
        algorithm=metadata.training_algorithm,
        sensors=metadata.sensor,
        seed=seed,
    )
    data = base.model_dump(mode="json")
    data["observation"]["lidar"] = metadata.lidar_config.model_dump(mode="json")
    if preset == "aws":
        if metadata.neural_network in get_args(Network):
            data["network"] = metadata.neural_network
        else:
            notes.append(f"network {metadata.neural_network} is not known here; {base.network} takes its place")
    data["hyperparameters"] = _hyperparameters(found, data["hyperparameters"], notes)
    _take_race(parameters, data, notes)
    return parse(data, ModelConfig, str(found.path)), notes


def _parameters(found: AwsFolder) -> dict[str, Any]:
    if found.parameters is None:
        return {}
    data = read_yaml_text(read_text(found.parameters), found.parameters)
    if not isinstance(data, dict):
        raise UserError(f"{found.parameters}: a mapping of keys is expected")
    # Jobs with several cars have lists; the first one is the learner.
    return {str(key): value[0] if isinstance(value, list) and value else value for key, value in data.items()}


def _world(found: AwsFolder, parameters: dict[str, Any]) -> str | None:
    if isinstance(parameters.get("WORLD_NAME"), str):
        return str(parameters["WORLD_NAME"])
    match = _WORLD.search(read_text(found.environment)) if found.environment else None
    return match.group(1) if match else None


def _hyperparameters(found: AwsFolder, base: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Take over each value that is allowed; one that is not must not cost the others."""
    if found.hyperparameters is None:
        notes.append("no hyperparameters.json was found; the preset's are taken")
        return base
    source = found.hyperparameters
    given = parse_json(read_text(source), str(source))
    if not isinstance(given, dict):
        raise UserError(f"{source}: a mapping of keys is expected")
    taken = dict(base)
    for key, value in given.items():
        if key in NOT_OURS:
            continue
        if key not in Hyperparameters.model_fields:
            notes.append(f"hyperparameter {key} is not known here")
            continue
        # DeepRacer on AWS writes some numbers as texts.
        number = _number(value)
        try:
            Hyperparameters.model_validate({key: number}, strict=False)
        except pydantic.ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            notes.append(f"hyperparameter {key}: {reason}; {base[key]} is taken")
            continue
        taken[key] = number
    return Hyperparameters.model_validate(taken, strict=False).model_dump(mode="json")


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _take_race(parameters: dict[str, Any], data: dict[str, Any], notes: list[str]) -> None:
    """Take over race type, objects and start positions from the job's parameters."""
    given = parameters.get("RACE_TYPE", "TIME_TRIAL")
    if given not in RACE_TYPES:
        notes.append(f"race type {given} is not known here; time_trial is taken")
        return
    data["race_type"], data["race"] = RACE_TYPES[given], None
    if given == "HEAD_TO_MODEL":
        notes.append("the other models of HEAD_TO_MODEL are not part of the files; bot cars take their place")
    if given == "OBJECT_AVOIDANCE":
        data["race"] = {"boxes": _section(parameters, _BOXES, notes)}
    elif data["race_type"] == "head_to_head":
        bots = _section(parameters, _BOTS, notes)
        shortest, longest = (_number(parameters.get(f"{end}_LANE_CHANGE_TIME")) for end in ("LOWER", "UPPER"))
        if isinstance(shortest, int | float) and isinstance(longest, int | float):
            bots["lane_change_wait_s"] = [shortest, longest]
        data["race"] = {"bots": bots}
    if _truth(parameters.get("CHANGE_START_POSITION")) is False:
        notes.append("CHANGE_START_POSITION is off; here episodes start all along the track")


def _section(parameters: dict[str, Any], keys: dict[str, tuple[str, type]], notes: list[str]) -> dict[str, Any]:
    section: dict[str, Any] = {}
    for theirs, (ours, kind) in keys.items():
        if theirs not in parameters:
            continue
        value = _truth(parameters[theirs]) if kind is bool else _number(parameters[theirs])
        try:
            if value is None or (kind is not bool and not isinstance(value, int | float)):
                raise ValueError(value)
            section[ours] = kind(value)
        except (OverflowError, ValueError):
            notes.append(f"{theirs} is {parameters[theirs]!r}, which cannot be read; the default is taken")
    return section


_BOXES = {"NUMBER_OF_OBSTACLES": ("number", int), "MIN_DISTANCE_BETWEEN_OBSTACLES": ("min_gap_m", float)}
_BOTS = {
    "NUMBER_OF_BOT_CARS": ("number", int),
    "BOT_CAR_SPEED": ("speed", float),
    "IS_LANE_CHANGE": ("lane_change", bool),
    "LANE_CHANGE_DISTANCE": ("lane_change_distance_m", float),
    "MIN_DISTANCE_BETWEEN_BOT_CARS": ("min_gap_m", float),
}


def _truth(value: Any) -> bool | None:
    """Read AWS's booleans, which are texts as often as not."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def environment_of(config: ModelConfig) -> dict[str, Any]:
    """Return the job's parameters that AWS's tools would need for a model, under their names."""
    types = {"time_trial": "TIME_TRIAL", "object_avoidance": "OBJECT_AVOIDANCE", "head_to_head": "HEAD_TO_BOT"}
    track = config.track
    parameters: dict[str, Any] = {
        "WORLD_NAME": Path(track).stem if track.endswith(".npy") else track,
        "RACE_TYPE": types[config.race_type],
    }
    race = config.race
    if race is not None and race.boxes is not None:
        parameters |= {theirs: getattr(race.boxes, ours) for theirs, (ours, _) in _BOXES.items()}
    if race is not None and race.bots is not None:
        parameters |= {theirs: getattr(race.bots, ours) for theirs, (ours, _) in _BOTS.items()}
        shortest, longest = race.bots.lane_change_wait_s
        parameters |= {"LOWER_LANE_CHANGE_TIME": shortest, "UPPER_LANE_CHANGE_TIME": longest}
    return parameters
