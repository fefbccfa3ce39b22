"""The vehicle file: the single home of every number that describes a car."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deepracer_inference.config import StrictModel, load_yaml, nearest
from deepracer_inference.errors import UserError

_BUILT_IN = Path(__file__).parent / "vehicles"

Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Nanoseconds = Annotated[int, Field(ge=0)]

SHORTEST_PULSE_NS, LONGEST_PULSE_NS = 500_000, 2_500_000
"""What hobby servos and speed controllers stand; they are made for 1 to 2 ms."""


class Geometry(StrictModel):
    """Lengths (m). The origin is `base_link`; x points forward, y left."""

    wheelbase: Positive
    """Rear axle to front axle."""
    cg_to_rear_axle: Positive
    """Centre of gravity ahead of the rear axle."""
    origin_to_rear_axle: NotNegative
    """`base_link` ahead of the rear axle; AWS's origin lies midway between the axles."""
    track_front: Positive
    """Between the steering hinges of the front wheels."""
    track_rear: Positive
    """Between the rear wheels."""
    wheel_radius: Positive
    wheel_width: Positive
    length: Positive
    """Of the whole car, for collisions and drawings, centred on `base_link`."""
    width: Positive
    height: Positive
    nose_offset: float
    """The point ahead of `base_link` that reward functions and traces call x, y."""

    @model_validator(mode="after")
    def _check_axles(self) -> Geometry:
        for name in ("cg_to_rear_axle", "origin_to_rear_axle"):
            value = getattr(self, name)
            if value >= self.wheelbase:
                raise ValueError(f"{name} is {value}, but must be smaller than the wheelbase {self.wheelbase}")
        return self

    @property
    def cg_to_front_axle(self) -> float:
        """Front axle ahead of the centre of gravity (m)."""
        return self.wheelbase - self.cg_to_rear_axle

    @property
    def origin_to_cg(self) -> float:
        """Centre of gravity ahead of `base_link` (m)."""
        return self.cg_to_rear_axle - self.origin_to_rear_axle

    @property
    def origin_to_middle(self) -> float:
        """Middle of the footprint, taken as midway between the axles, ahead of `base_link` (m)."""
        return 0.5 * self.wheelbase - self.origin_to_rear_axle


class Inertia(StrictModel):
    """Mass and its distribution."""

    mass: Positive
    """kg."""
    yaw: Positive
    """Moment of inertia about the vertical axis through the centre of gravity (kg m^2)."""
    cg_height: Positive
    """Centre of gravity above the ground (m)."""


class Tyre(StrictModel):
    """Grip of the tyres on the track."""

    friction: Annotated[float, Field(gt=0.0, le=3.0)]
    """Largest horizontal force as a share of the axle load."""
    cornering_stiffness_front: Positive
    """Lateral force of the front axle per slip angle, as a share of the axle load (1/rad), for small angles."""
    cornering_stiffness_rear: Positive
    """Same for the rear axle."""


class Steering(StrictModel):
    """From the commanded to the actual steering angle."""

    limit: Annotated[float, Field(gt=0.0, lt=math.pi / 2)]
    """Largest steering angle to either side (rad)."""
    rate_limit: Positive
    """Speed of the servo (rad/s)."""
    time_constant_s: NotNegative
    """Of the first-order lag behind the command; 0 = none."""
    ackermann: bool
    """Whether the inner wheel turns more than the outer one."""


class Drive(StrictModel):
    """From the commanded to the actual speed."""

    speed_limit: Positive
    """m/s."""
    time_constant_s: NotNegative
    """Of the first-order approach to the commanded speed; 0 = none."""
    acceleration_limit: Positive
    """m/s^2."""
    deceleration_limit: Positive
    """m/s^2, a positive number."""
    differential_lock: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the wheels' speed differences in a bend that the drive suppresses, so that they scrub: 0 = free
    differentials, 1 = all four wheels turn at one speed."""


class Camera(StrictModel):
    """Mount and intrinsics of the camera, an ideal pinhole with square pixels and the centre in the middle."""

    x: float
    """Ahead of `base_link` (m)."""
    y: float
    """Left of `base_link` (m)."""
    z: Positive
    """Above the ground (m)."""
    pitch: Annotated[float, Field(gt=-math.pi / 2, lt=math.pi / 2)]
    """Turned down by (rad)."""
    horizontal_fov: Annotated[float, Field(gt=0.0, lt=math.pi)]
    """Angle between the left and the right edge of the image (rad)."""
    width_px: Annotated[int, Field(ge=8, le=4096)] = 160
    height_px: Annotated[int, Field(ge=8, le=4096)] = 120
    rate_hz: Annotated[float, Field(ge=1.0, le=1000.0)] = 15.0
    stereo_baseline: NotNegative = 0.0
    """Distance between the two lenses of a stereo pair that stands in this camera's place (m); 0 = there is none."""

    @property
    def stereo_pair(self) -> tuple[Camera, Camera]:
        """The left and the right camera of the stereo pair."""
        half = 0.5 * self.stereo_baseline
        return self.model_copy(update={"y": self.y + half}), self.model_copy(update={"y": self.y - half})

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.width_px / math.tan(0.5 * self.horizontal_fov)


class Lidar(StrictModel):
    """Mount and range of a planar laser scanner."""

    x: float
    """Ahead of `base_link` (m)."""
    y: float
    """Left of `base_link` (m)."""
    z: Positive
    """Above the ground (m)."""
    yaw: float
    """Where the middle of the scan points, counter-clockwise from ahead (rad)."""
    field_of_view: Annotated[float, Field(gt=0.0, le=2.0 * math.pi)]
    """Angle between the first and the last ray (rad)."""
    min_range: Positive
    """m; nearer things are seen at this distance."""
    max_range: Positive
    """m; farther things are not seen."""
    noise: NotNegative
    """Standard deviation of the measured distances (m)."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Lidar:
        if self.min_range >= self.max_range:
            raise ValueError(f"min_range is {self.min_range}, but must be smaller than max_range, {self.max_range}")
        return self


class PwmChannel(StrictModel):
    """Pulse lengths of one output (ns)."""

    channel: Annotated[int, Field(ge=0, le=15)]
    minimum_ns: Nanoseconds
    middle_ns: Nanoseconds
    maximum_ns: Nanoseconds
    polarity: Literal[-1, 1]
    """-1 if the longer pulse means right or backwards."""

    @model_validator(mode="after")
    def _check_order(self) -> PwmChannel:
        if not self.minimum_ns < self.middle_ns < self.maximum_ns:
            raise ValueError(
                f"the pulses are {self.minimum_ns}, {self.middle_ns}, {self.maximum_ns} ns, "
                "but minimum_ns < middle_ns < maximum_ns is expected"
            )
        if self.minimum_ns < SHORTEST_PULSE_NS or self.maximum_ns > LONGEST_PULSE_NS:
            raise ValueError(
                f"the pulses are {self.minimum_ns} to {self.maximum_ns} ns, "
                f"but must lie within {SHORTEST_PULSE_NS} to {LONGEST_PULSE_NS} ns"
            )
        return self


class Pwm(StrictModel):
    """Signals to the steering servo and the speed controller."""

    bus: str | None = None
    """Where the board hangs: a part of its PWM chip's path in sysfs, as `i2c-1`; not needed with a single chip."""
    enable_gpio: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Pin that switches the outputs on at 0, by the numbers that different kernels give it; empty: there is none."""
    period_ns: Annotated[int, Field(gt=0)]
    steering: PwmChannel
    throttle: PwmChannel

    @model_validator(mode="after")
    def _check_period(self) -> Pwm:
        for name, channel in (("steering", self.steering), ("throttle", self.throttle)):
            if channel.maximum_ns > self.period_ns:
                raise ValueError(
                    f"{name}.maximum_ns is {channel.maximum_ns}, but must fit into the period of {self.period_ns} ns"
                )
        return self


class Vehicle(StrictModel):
    """Everything that simulators, renderer and drivers know about one car."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str
    geometry: Geometry
    inertia: Inertia
    tyre: Tyre
    steering: Steering
    drive: Drive
    latency_s: NotNegative
    """From the exposure of an image to the moment when the command computed from it reaches servo and motor."""
    camera: Camera
    lidar: Lidar | None = None
    """None if the car has no scanner."""
    pwm: Pwm

    @model_validator(mode="after")
    def _check_latency(self) -> Vehicle:
        if self.latency_s >= self.control_period_s:
            raise ValueError(
                f"latency_s is {self.latency_s}, but must be shorter than "
                f"one control period of {self.control_period_s:.4f} s"
            )
        return self

    @property
    def control_period_ns(self) -> int:
        """Time from one camera image, and so one command, to the next (ns)."""
        return round(1e9 / self.camera.rate_hz)

    @property
    def control_period_s(self) -> float:
        """As `control_period_ns`, in seconds."""
        return self.control_period_ns * 1e-9


def load_vehicle(name_or_path: str | Path) -> Vehicle:
    """Load a built-in vehicle by name, or any vehicle file by path.

    Args:
        name_or_path: Name as in `vehicle_names()`, or a path that ends in `.yaml` or `.yml`.

    Raises:
        UserError: There is no such vehicle, or its file is wrong.
    """
    text = str(name_or_path)
    if text in vehicle_names():
        return load_yaml(_BUILT_IN / f"{text}.yaml", Vehicle)
    if Path(text).suffix in (".yaml", ".yml"):
        return load_yaml(Path(text), Vehicle)
    names = vehicle_names()
    raise UserError(
        f"There is no vehicle '{text}' ({nearest(text, names)}); "
        f"give one of the names {', '.join(names)}, or the path of a vehicle file that ends in .yaml"
    )


def vehicle_names() -> list[str]:
    """Return the names of the built-in vehicles, sorted."""
    return sorted(file.stem for file in _BUILT_IN.glob("*.yaml"))
