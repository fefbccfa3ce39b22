"""The parameters of the car's nodes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepracer_inference.config import StrictModel
from deepracer_inference.drive.safety import Limits
from deepracer_inference.vehicle import Vehicle


class CameraSettings(StrictModel):
    """Parameters of camera_node."""

    vehicle: str = Field(default="deepracer", description="Name of a vehicle, or path of a vehicle file (.yaml).")
    source: str = Field(
        default="/dev/video0",
        description="A camera (/dev/video0), libcamera, a GStreamer pipeline (with !), a video, a folder of images, "
        "or topic:NAME for the images of a simulator.",
    )
    capture_width: int = Field(default=640, ge=8, le=4096, description="Columns that the camera is asked for, px.")
    capture_height: int = Field(default=480, ge=8, le=4096, description="Rows that the camera is asked for, px.")
    capture_rate: float = Field(
        default=30.0, ge=1.0, le=240.0, description="Rate that the camera is asked for, Hz; more keeps images fresher."
    )
    encoding: Literal["rgb8", "mono8"] = Field(default="rgb8", description="Encoding of the published images.")
    lens: str = Field(
        default="",
        description="Calibration file of the lens, whose image is rectified; empty: the car's own if there is one; "
        "none: the image is a pinhole's already.",
    )


class InferenceSettings(StrictModel):
    """Parameters of inference_node."""

    autostart: bool = Field(default=False, description="Configure and activate at the start, without a manager.")
    vehicle: str = Field(default="deepracer", description="Name of a vehicle, or path of a vehicle file (.yaml).")
    calibration: str = Field(default="", description="Calibration file of this car; empty: its own, if there is one.")
    model: str = Field(
        default="",
        description="Path of a policy folder, or name of a model on this car; empty: the one that is selected, "
        "followed when another one is.",
    )
    threads: int = Field(
        default=1, ge=0, le=16, description="Threads of onnxruntime; 0: all processors but one, for large networks."
    )
    provider: Literal["auto", "cpu", "xnnpack", "openvino"] = Field(
        default="auto", description="Execution provider of onnxruntime; auto: the fastest of those that are there."
    )
    image_timeout: float = Field(
        default=0.1, ge=0.02, le=1.0, description="Images older than this when they arrive are not driven by, s."
    )
    stamp: Literal["image", "now"] = Field(
        default="image",
        description="Stamp of the commands: the image's, which drive_node looks at, or the ROS time of sending, which "
        "the controllers of ros2_control look at.",
    )


class DriveSettings(StrictModel):
    """Parameters of drive_node."""

    autostart: bool = Field(default=False, description="Configure and activate at the start, without a manager.")
    enabled: bool = Field(
        default=False, description="Drive from the start; otherwise the service ~/enable has to be called first."
    )
    vehicle: str = Field(default="deepracer", description="Name of a vehicle, or path of a vehicle file (.yaml).")
    calibration: str = Field(default="", description="Calibration file of this car; empty: its own, if there is one.")
    sysfs: str = Field(default="/sys", description="Where the kernel's PWM is mounted; a folder for a simulated board.")
    board_timeout: float = Field(
        default=0.0, ge=0.0, le=60.0, description="Wait so long for the servo board to appear at the start, s."
    )
    input: Literal["cmd_vel", "joint_commands"] = Field(
        default="cmd_vel",
        description="Drive commands (TwistStamped), or joint commands of ros2_control (JointState) as long as drive "
        "commands come on cmd_vel, too.",
    )
    speed_limit: float = Field(
        default=4.0, ge=0.0, le=10.0, description="Governor: faster commands are driven at this speed, m/s."
    )
    steering_slew_limit: float = Field(
        default=20.0, ge=0.5, le=1000.0, description="The commanded steering angle changes no faster, rad/s."
    )
    command_timeout: float = Field(
        default=0.085, ge=0.02, le=1.0, description="Neutral when no command has come for this time, s."
    )
    image_timeout: float = Field(
        default=0.1, ge=0.02, le=1.0, description="Commands for images older than this are rejected, s."
    )
    stop_button: int = Field(
        default=-1, ge=-1, le=31, description="Button of the joystick (topic joy) that stops the car; -1: none."
    )
    joystick_timeout: float = Field(
        default=1.0,
        ge=0.0,
        le=60.0,
        description="Stop when a joystick with a stop button has been heard, but not for this time, s; 0: never.",
    )

    def limits(self, vehicle: Vehicle) -> Limits:
        """Return what the safety core of a car holds commands to."""
        return Limits(
            steering_limit=vehicle.steering.limit,
            vehicle_speed_limit=vehicle.drive.speed_limit,
            speed_limit=self.speed_limit,
            slew_limit=self.steering_slew_limit,
            command_timeout_s=self.command_timeout,
            image_timeout_s=self.image_timeout,
            frame_s=vehicle.pwm.period_ns * 1e-9,
            joystick_timeout_s=self.joystick_timeout,
        )


DRIVE_CHANGEABLE = ("speed_limit", "steering_slew_limit", "command_timeout", "image_timeout", "joystick_timeout")
INFERENCE_CHANGEABLE = ("model", "image_timeout")
"""May be set while the node runs."""
