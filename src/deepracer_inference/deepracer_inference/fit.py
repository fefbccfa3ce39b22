"""Whether a model fits a car: its sensors, its rate, its action range, and the camera it learned with."""

from __future__ import annotations

import math

from deepracer_inference.calibration import Calibration
from deepracer_inference.errors import UserError
from deepracer_inference.policy_file import PolicyFile
from deepracer_inference.vehicle import Camera, Vehicle

SENSORS = frozenset({"FRONT_FACING_CAMERA"})
"""What a car of ours has."""

# What a command may lie beyond the calibrated range: as much as a careful measurement can be wrong.
ANGLE_TOLERANCE = math.radians(1.0)
SPEED_TOLERANCE = 0.05
RATE_TOLERANCE = 0.05
# Differences of the picture that training with noise forgives.
_FOV_TOLERANCE = math.radians(3.0)
_ASPECT_TOLERANCE = 0.03
_PITCH_TOLERANCE = math.radians(5.0)
_HEIGHT_TOLERANCE = 0.03


def check_fit(
    policy: PolicyFile, vehicle: Vehicle, calibration: Calibration, trained_with: Vehicle | None = None
) -> None:
    """Refuse a model that this car cannot drive as it was trained.

    Args:
        policy: The model.
        vehicle: The car.
        calibration: How far it steers and how fast it drives.
        trained_with: The vehicle of the training, if it is known: its camera is compared with the car's.

    Raises:
        UserError: It does not fit; every reason is named.
    """
    reasons = [
        *_sensors(policy),
        *_rate(policy, vehicle),
        *_actions(policy, calibration),
        *(_camera(trained_with.camera, vehicle.camera) if trained_with else ()),
    ]
    if reasons:
        raise UserError(f"The model {policy.folder} does not fit this {vehicle.title}: {'; '.join(reasons)}")


def _sensors(policy: PolicyFile) -> list[str]:
    missing = [sensor for sensor in policy.metadata.sensor if sensor not in SENSORS]
    return [f"it needs {', '.join(missing)}, but the car has {', '.join(sorted(SENSORS))} only"] if missing else []


def _rate(policy: PolicyFile, vehicle: Vehicle) -> list[str]:
    trained_hz, car_hz = 1.0 / policy.manifest.control_period_s, vehicle.camera.rate_hz
    if abs(trained_hz / car_hz - 1.0) <= RATE_TOLERANCE:
        return []
    return [
        f"it was trained at {trained_hz:.3g} Hz, but the car's camera runs at {car_hz:.3g} Hz "
        "(camera.rate_hz of the vehicle file)"
    ]


def _actions(policy: PolicyFile, calibration: Calibration) -> list[str]:
    space, reasons = policy.manifest.action_space, []
    (right, _), (left, fast) = map(float, space.low), map(float, space.high)
    lowest, highest = calibration.steering_range
    if right < lowest - ANGLE_TOLERANCE or left > highest + ANGLE_TOLERANCE:
        reasons.append(
            f"it steers from {math.degrees(right):.1f} to {math.degrees(left):.1f} degrees, "
            f"but the car reaches {math.degrees(lowest):.1f} to {math.degrees(highest):.1f}"
        )
    _, fastest = calibration.speed_range
    if fast > fastest * (1.0 + SPEED_TOLERANCE):
        reasons.append(f"it drives up to {fast:.2f} m/s, but the car is calibrated up to {fastest:.2f}")
    return reasons


def _camera(trained: Camera, car: Camera) -> list[str]:
    pairs = (
        ("a field of view of", " degrees", trained.horizontal_fov, car.horizontal_fov, _FOV_TOLERANCE, math.degrees),
        ("pictures of width to height", "", _aspect(trained), _aspect(car), _ASPECT_TOLERANCE, float),
        ("a camera turned down by", " degrees", trained.pitch, car.pitch, _PITCH_TOLERANCE, math.degrees),
        ("a camera height of", " m", trained.z, car.z, _HEIGHT_TOLERANCE, float),
    )
    return [
        f"it learned with {what} {convert(theirs):.3g}{unit}, but the car has {convert(ours):.3g}"
        for what, unit, theirs, ours, tolerance, convert in pairs
        if abs(theirs - ours) > tolerance
    ]


def _aspect(camera: Camera) -> float:
    return camera.width_px / camera.height_px
