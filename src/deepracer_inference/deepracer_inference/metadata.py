"""AWS's `model_metadata.json`: what a model sees and commands, readable by AWS's own tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import Field

from deepracer_inference.action_space import (
    ActionSpace,
    ContinuousActionSpace,
    DiscreteAction,
    DiscreteActionSpace,
    Speed,
    SpeedRange,
    SteeringDegrees,
    SteeringRange,
)
from deepracer_inference.config import StrictModel, parse, parse_json
from deepracer_inference.errors import UserError
from deepracer_inference.files import read_text
from deepracer_inference.sensors import LidarConfig, Sensors

_DEFAULT_NETWORK = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"


class ModelMetadata(StrictModel):
    """Content of a `model_metadata.json`."""

    action_space: ActionSpace
    neural_network: str
    sensor: Sensors = ("FRONT_FACING_CAMERA",)
    lidar_config: LidarConfig = LidarConfig()
    """Stands in the file only if DISCRETIZED_SECTOR_LIDAR reads it."""
    training_algorithm: Literal["clipped_ppo", "sac"] = "clipped_ppo"
    version: Literal["1", "2", "3", "4", "5"] = "5"
    """Version of AWS's simulated car that the model is meant for; 5 is the last one."""

    def to_json(self) -> str:
        """Return the file's text in AWS's form: degrees, and an index for each discrete action."""
        if isinstance(self.action_space, DiscreteActionSpace):
            space: Any = [
                {"steering_angle": action.steering_angle, "speed": action.speed, "index": index}
                for index, action in enumerate(self.action_space.actions)
            ]
        else:
            space = self.action_space.model_dump(mode="json", exclude={"kind"})
        content: dict[str, Any] = {
            "action_space": space,
            "sensor": list(self.sensor),
            "neural_network": self.neural_network,
            "training_algorithm": self.training_algorithm,
            "action_space_type": self.action_space.kind,
            "version": self.version,
        }
        if "DISCRETIZED_SECTOR_LIDAR" in self.sensor:
            content["lidar_config"] = self.lidar_config.model_dump(mode="json")
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_metadata(path: Path) -> ModelMetadata:
    """Read a `model_metadata.json` of any version from 1 to 5, ours or AWS's.

    Raises:
        UserError: The file cannot be read, is not such a file, or lists sensors that cannot be combined.
    """
    return parse_metadata(read_text(path), str(path))


def parse_metadata(text: str, source: str) -> ModelMetadata:
    """Read the text of a `model_metadata.json`; `source` names it in messages.

    Raises:
        UserError: As `read_metadata`.
    """
    data = parse_json(text, source)
    is_discrete = isinstance(data, dict) and isinstance(data.get("action_space"), list)
    content: _File = parse(data, _DiscreteFile if is_discrete else _ContinuousFile, source)
    kind: Literal["discrete", "continuous"] = "discrete" if is_discrete else "continuous"
    if content.action_space_type not in (None, kind):
        raise UserError(
            f"{source}: action_space_type is '{content.action_space_type}', but action_space is written as a {kind} one"
        )
    return ModelMetadata(
        action_space=content.space(source),
        neural_network=content.neural_network,
        sensor=content.sensor,
        lidar_config=_lidar_config(content, source),
        training_algorithm=content.training_algorithm,
        version=content.version,
    )


class _File(pydantic.BaseModel):
    """The file as AWS writes it. Old versions lack keys, new ones may add some that do not concern us."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    sensor: Sensors = ("FRONT_FACING_CAMERA",)
    lidar_config: dict[str, Any] = {}
    neural_network: str = _DEFAULT_NETWORK
    training_algorithm: Literal["clipped_ppo", "sac"] = "clipped_ppo"
    action_space_type: Literal["discrete", "continuous"] | None = None
    version: Literal["1", "2", "3", "4", "5"] = "1"

    def space(self, source: str) -> DiscreteActionSpace | ContinuousActionSpace:
        raise NotImplementedError


class _IndexedAction(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    steering_angle: SteeringDegrees
    speed: Speed
    index: int | None = None


class _DiscreteFile(_File):
    action_space: tuple[_IndexedAction, ...] = Field(min_length=2, max_length=30)

    def space(self, source: str) -> DiscreteActionSpace:
        _check_indices([action.index for action in self.action_space], source)
        actions = (DiscreteAction(steering_angle=a.steering_angle, speed=a.speed) for a in self.action_space)
        return DiscreteActionSpace(actions=tuple(actions))


class _Ranges(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    steering_angle: SteeringRange
    speed: SpeedRange


class _ContinuousFile(_File):
    action_space: _Ranges

    def space(self, source: str) -> ContinuousActionSpace:
        return ContinuousActionSpace(steering_angle=self.action_space.steering_angle, speed=self.action_space.speed)


def _lidar_config(content: _File, source: str) -> LidarConfig:
    if "DISCRETIZED_SECTOR_LIDAR" not in content.sensor:
        return LidarConfig()  # AWS's tools write one for every model
    known = {key: value for key, value in content.lidar_config.items() if key in LidarConfig.model_fields}
    return parse(known, LidarConfig, f"{source}: lidar_config")


def _check_indices(indices: Sequence[int | None], source: str) -> None:
    # AWS's simulator goes by the order of the list and ignores the index; a file where both differ is ambiguous.
    for position, index in enumerate(indices):
        if index is not None and index != position:
            raise UserError(
                f"{source}: action_space[{position}].index is {index}, but {position} is expected; "
                "list the actions in the order of their index"
            )
