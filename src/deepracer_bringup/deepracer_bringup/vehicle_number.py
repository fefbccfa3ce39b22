"""Numbers of a vehicle file for launch files, which must not repeat them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from launch import LaunchContext, SomeSubstitutionsType, Substitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from deepracer_inference.vehicle import load_vehicle


class VehicleNumber(Substitution):
    """One number of a vehicle, as `VehicleNumber(LaunchConfiguration("vehicle"), "geometry.wheelbase")`."""

    def __init__(self, vehicle: SomeSubstitutionsType, key: str) -> None:
        """Remember what to look up.

        Args:
            vehicle: Name or path of the vehicle.
            key: Dotted name in its file.
        """
        super().__init__()
        self._vehicle: Iterable[Substitution] = normalize_to_list_of_substitutions(vehicle)
        self._key = key

    def describe(self) -> str:
        """Name it in messages of launch."""
        return f"VehicleNumber({self._key})"

    def perform(self, context: LaunchContext) -> str:
        """Look it up."""
        vehicle = load_vehicle(perform_substitutions(context, self._vehicle))
        return str(float(reduce(getattr, self._key.split("."), vehicle)))  # type: ignore[arg-type]
