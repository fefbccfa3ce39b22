"""The parameters of ros2_control's controllers: what is the same for all cars, and the numbers of the vehicle file."""

from __future__ import annotations

from typing import Any

from deepracer_inference.vehicle import Vehicle

CONTROLLER = "/**/ackermann_steering_controller"
"""Of whatever namespace."""


def with_geometry(parameters: dict[str, Any], vehicle: Vehicle) -> dict[str, Any]:
    """Return a parameter file's content with the geometry that the steering controller computes with.

    Args:
        parameters: Content without it.
        vehicle: The car.
    """
    geometry = vehicle.geometry
    numbers = {
        "wheelbase": geometry.wheelbase,
        "traction_track_width": geometry.track_rear,
        "steering_track_width": geometry.track_front,
        "traction_wheels_radius": geometry.wheel_radius,
    }
    known = parameters[CONTROLLER]["ros__parameters"]
    return parameters | {CONTROLLER: {"ros__parameters": known | numbers}}
