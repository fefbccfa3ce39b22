"""Files and numbers that launch files need and that depend on their arguments.

The files go to `launch` in `$DEEPRACER_HOME`. Nothing heavy is imported before a launch file is executed:
`ros2 launch --show-args` has to answer at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext, SomeSubstitutionsType, Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from deepracer_bringup.controllers import with_geometry
from deepracer_inference.files import home, read_text, write_atomic
from deepracer_inference.vehicle import load_vehicle


class Prepared(Substitution):
    """What a function makes of other substitutions, when the launch file is executed."""

    def __init__(self, function: Callable[..., str], *arguments: SomeSubstitutionsType) -> None:
        """Take a function of texts and what these texts are made from."""
        super().__init__()
        self._function = function
        self._arguments = [normalize_to_list_of_substitutions(argument) for argument in arguments]

    def describe(self) -> str:
        """Name the function, for messages about the launch file."""
        return f"{type(self).__name__}({self._function.__name__})"

    def perform(self, context: LaunchContext) -> str:
        """Call the function."""
        return self._function(*(perform_substitutions(context, argument) for argument in self._arguments))


def world_file(track: str) -> str:
    """Write the world of a track, by name or .npy file; returns the path of the SDF file."""
    from deepracer_sim.gazebo.world import write_world
    from deepracer_sim.tracks.library import load_track

    return str(write_world(load_track(track), _folder()).sdf)


def vehicle_file(vehicle: str) -> str:
    """Write a vehicle file, by name or path, with all its values; returns its path."""
    car = load_vehicle(vehicle)
    return _write_yaml(f"vehicle_{car.name}.yaml", car.model_dump())


def controllers_file(template: str, vehicle: str) -> str:
    """Write the controllers' parameters for a vehicle; returns the path."""
    car = load_vehicle(vehicle)
    return _write_yaml(f"controllers_{car.name}.yaml", with_geometry(_read_yaml(template), car))


def bridge_file(template: str, cars: str) -> str:
    """Write the configuration of the bridge for so many cars; returns its path."""
    from deepracer_sim.gazebo.bridge import entries_for

    return _write_yaml(f"bridge_{cars}.yaml", entries_for(_read_yaml(template), int(cars)))


def start_pose(track: str) -> tuple[float, float, float]:
    """Return x, y (m) and yaw (rad) of a track's start line."""
    from deepracer_sim.tracks.library import load_track

    x, y, yaw = load_track(track).pose_at(0.0)[0].tolist()
    return x, y, yaw


def _folder() -> Path:
    folder = home() / "launch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read_yaml(path: str) -> Any:
    return yaml.safe_load(read_text(Path(path)))


def _write_yaml(name: str, content: Any) -> str:
    path = _folder() / name
    # By way of JSON, because YAML writes an object that occurs twice as a reference to the first.
    write_atomic(path, yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))
    return str(path)
