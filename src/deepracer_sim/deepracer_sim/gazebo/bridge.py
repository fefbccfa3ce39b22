"""The configuration of ros_gz_bridge for several cars, from that for one."""

from __future__ import annotations

from typing import Any

from deepracer_inference.errors import UserError
from deepracer_sim.gazebo.world import MAX_CARS

FIRST_CAR = "/car_0/"
"""Names with this part are those of a car; all others are those of the world."""


def entries_for(entries: list[dict[str, Any]], cars: int) -> list[dict[str, Any]]:
    """Repeat the entries of the first car for every car.

    Args:
        entries: Those for one car, as in ros_gz_bridge's YAML files.
        cars: Their number.

    Raises:
        UserError: There are too many cars for Gazebo, or none.
    """
    if not 1 <= cars <= MAX_CARS:
        raise UserError(f"{cars} cars are wanted, but Gazebo can keep 1 to {MAX_CARS} of them from touching each other")
    world = [entry for entry in entries if not _is_of_a_car(entry)]
    return world + [
        {
            key: value.replace(FIRST_CAR, f"/car_{car}/") if isinstance(value, str) else value
            for key, value in each.items()
        }
        for car in range(cars)
        for each in entries
        if _is_of_a_car(each)
    ]


def _is_of_a_car(entry: dict[str, Any]) -> bool:
    return any(FIRST_CAR in str(value) for value in entry.values())
