"""AWS's sensors: their names, which of them may be combined, and what each gives the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field

from deepracer_inference.config import StrictModel

SensorName = Literal["FRONT_FACING_CAMERA", "STEREO_CAMERAS", "LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR"]

CAMERAS = ("FRONT_FACING_CAMERA", "STEREO_CAMERAS")
LIDARS = ("LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR")
# Names that AWS used over the years for the one front camera [D 1.1].
_ALIASES = {"observation": "FRONT_FACING_CAMERA", "LEFT_CAMERA": "FRONT_FACING_CAMERA"}

INPUTS = {
    "FRONT_FACING_CAMERA": "image",
    "STEREO_CAMERAS": "stereo_images",
    "LIDAR": "lidar",
    "SECTOR_LIDAR": "lidar_sectors",
    "DISCRETIZED_SECTOR_LIDAR": "lidar_sector_distances",
}
"""Name of the graph's input for each sensor."""

# markov/sensors/constants.py and markov/environments/constants.py of deepracer-simapp [D 1.1].
LIDAR_RAYS = 64
LIDAR_MIN_M = 0.15
LIDAR_MAX_M = 12.0
LIDAR_CLIP_M = 1.0
"""What the network sees of LIDAR ends here."""


class InputSpec(NamedTuple):
    """One input of a policy graph, without its first dimension, the cars."""

    shape: tuple[int, ...]
    dtype: Literal["uint8", "float32"]


def _divides_the_rays(value: int) -> int:
    if LIDAR_RAYS % value:
        raise ValueError(f"{value} is not one of 1, 2, 4, 8, 16, 32, 64: the {LIDAR_RAYS} rays are divided evenly")
    return value


class LidarConfig(StrictModel):
    """AWS's `lidar_config`; read by DISCRETIZED_SECTOR_LIDAR only."""

    num_sectors: Annotated[int, Field(ge=1, le=LIDAR_RAYS), AfterValidator(_divides_the_rays)] = 8
    """Groups of neighbouring rays; the nearest obstacle of each counts."""
    num_values_per_sector: Annotated[int, Field(ge=1, le=64)] = 8
    """Bins of distance in each sector."""
    clipping_dist: Annotated[float, Field(ge=LIDAR_MIN_M, le=LIDAR_MAX_M)] = 2.0
    """Far end of the last bin (m)."""


BINARY_SECTORS = LidarConfig(num_sectors=8, num_values_per_sector=1, clipping_dist=0.5)
"""SECTOR_LIDAR: only whether something is near."""


def _rename(value: object) -> object:
    """Replace AWS's old names."""
    if isinstance(value, list | tuple):
        # A tuple, because pydantic takes lists for tuples only where it reads the JSON itself.
        return tuple(_ALIASES.get(name, name) if isinstance(name, str) else name for name in value)
    return value


def check_sensors(sensors: Sequence[str]) -> None:
    """Raise ValueError unless the sensors can be combined: at least one camera, at most one lidar, nothing twice."""
    twice = [name for name in sensors if list(sensors).count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is listed twice; a car has each sensor once")
    if not any(name in CAMERAS for name in sensors):
        raise ValueError(f"a camera is missing: add {' or '.join(CAMERAS)}")
    lidars = [name for name in sensors if name in LIDARS]
    if len(lidars) > 1:
        raise ValueError(f"{' and '.join(lidars)} are forms of the same lidar; choose one of them")


def _in_order(sensors: tuple[SensorName, ...]) -> tuple[SensorName, ...]:
    check_sensors(sensors)
    return tuple(sorted(sensors, key=[*CAMERAS, *LIDARS].index))


Sensors = Annotated[tuple[SensorName, ...], BeforeValidator(_rename), AfterValidator(_in_order)]
"""Type of a configuration field that lists sensors; AWS's old names are understood, and the order does not matter."""


def lidar_input(sensor: str, ranges: npt.NDArray[np.floating], config: LidarConfig) -> npt.NDArray[np.float32]:
    """Turn a scan into what the network sees, as AWS's filters do; training and the car call this one function.

    Args:
        sensor: LIDAR, SECTOR_LIDAR or DISCRETIZED_SECTOR_LIDAR.
        ranges: (N, 64) distances (m), counter-clockwise; infinity where nothing is near.
        config: Of the discretised form.

    Returns:
        LIDAR: (N, 64) distances within 0.15 to 1.0 m. SECTOR_LIDAR: (N, 8), 1 where something is nearer than 0.5 m.
        DISCRETIZED_SECTOR_LIDAR: (N, sectors * values), for each sector a 1 in the bin of the nearest obstacle, or none
        if nothing is within the clipping distance.
    """
    if sensor == "LIDAR":
        return np.clip(ranges, LIDAR_MIN_M, LIDAR_CLIP_M).astype(np.float32)
    form = BINARY_SECTORS if sensor == "SECTOR_LIDAR" else config
    nearest = np.minimum(ranges.reshape(len(ranges), form.num_sectors, -1).min(axis=2), form.clipping_dist)
    bins = np.floor(nearest / (form.clipping_dist / form.num_values_per_sector))
    # At the clipping distance nothing is there, and AWS leaves it out. Not told from the bin: 0.2 / (0.2 / 11) < 11.
    bins = np.where(nearest < form.clipping_dist, np.minimum(bins, form.num_values_per_sector - 1), -1)
    one_hot = bins[:, :, np.newaxis] == np.arange(form.num_values_per_sector)
    return one_hot.reshape(len(ranges), -1).astype(np.float32)


def lidar_size(sensor: str, config: LidarConfig) -> int:
    """Return how many numbers `lidar_input` gives."""
    if sensor == "LIDAR":
        return LIDAR_RAYS
    form = BINARY_SECTORS if sensor == "SECTOR_LIDAR" else config
    return form.num_sectors * form.num_values_per_sector
