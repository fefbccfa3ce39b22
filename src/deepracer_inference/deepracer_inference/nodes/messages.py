"""Conversions between the simulator's arrays and standard ROS messages."""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.nodes.encoding import quaternion_to_yaw, yaw_to_quaternion
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import Camera

FrameArray = NDArray[np.uint8]

SECOND_NS = 1_000_000_000
CHANNELS = {"mono8": 1, "rgb8": 3}
"""Image encodings that are spoken here, and their bytes per pixel."""


def to_time(stamp: int) -> Time:
    """Return nanoseconds as a time message."""
    return Time(sec=stamp // SECOND_NS, nanosec=stamp % SECOND_NS)


def from_time(time: Time) -> int:
    """Return a time message as nanoseconds."""
    return int(time.sec * SECOND_NS + time.nanosec)


def fill_image(message: Image, frame: FrameArray) -> None:
    """Put a frame, (H, W) grey or (H, W, 3) RGB, into an image message.

    The message takes an `array.array` as it is (5 us for 160 x 120 bytes); from other sequences it copies item by item.
    """
    message.height, message.width = frame.shape[:2]
    message.encoding = "mono8" if frame.ndim == 2 else "rgb8"
    message.step = frame.shape[1] * CHANNELS[message.encoding]
    message.data = array.array("B", frame.tobytes())


def image_to_frame(message: Image) -> FrameArray:
    """Return the frame in an image message, (H, W) or (H, W, 3), a view of its data.

    Raises:
        DeepRacerError: It has another encoding, or less data than it says.
    """
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        raise DeepRacerError(f"the encoding is '{message.encoding}', but {' or '.join(CHANNELS)} is expected")
    height, width, step = message.height, message.width, message.step
    if step < width * channels or len(message.data) != height * step or not height:
        raise DeepRacerError(
            f"{len(message.data)} bytes in rows of {step} do not make {width} x {height} px of {message.encoding}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, : width * channels]
    return rows if channels == 1 else rows.reshape(height, width, channels)


def planar_quaternion(yaw: float) -> Quaternion:
    """Return a heading as a quaternion that `pose_to_planar` turns into the same number again."""
    z, w = yaw_to_quaternion(yaw)
    return Quaternion(x=0.0, y=0.0, z=z, w=w)


def pose_to_planar(pose: Pose) -> tuple[float, float, float]:
    """Return x, y (m) and yaw (rad, within ±2 pi) of a pose on the ground."""
    return pose.position.x, pose.position.y, quaternion_to_yaw(pose.orientation.z, pose.orientation.w)


def odometry_to_transform(odometry: Odometry) -> TransformStamped:
    """Return the pose in an odometry message as a transform."""
    position = odometry.pose.pose.position
    translation = Vector3(x=position.x, y=position.y, z=position.z)
    return TransformStamped(
        header=odometry.header,
        child_frame_id=odometry.child_frame_id,
        transform=Transform(translation=translation, rotation=odometry.pose.pose.orientation),
    )


def camera_info(camera: Camera, observation: ObservationSpec | None) -> CameraInfo:
    """Return the intrinsics of the vehicle's pinhole camera, or of the part of its image that an observation shows."""
    width, height, top = camera.width_px, camera.height_px, 0
    if observation is not None:
        top = observation.cropped_rows(height)
        width, height = observation.width, observation.height
    scale_x, scale_y = width / camera.width_px, height / (camera.height_px - top)
    # Pixel centres have whole coordinates, so the image begins at -0.5.
    center_x = 0.5 * camera.width_px * scale_x - 0.5
    center_y = (0.5 * camera.height_px - top) * scale_y - 0.5
    focal_x, focal_y = camera.focal_px * scale_x, camera.focal_px * scale_y
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    message.d = [0.0] * 5
    message.k = [focal_x, 0.0, center_x, 0.0, focal_y, center_y, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal_x, 0.0, center_x, 0.0, 0.0, focal_y, center_y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def camera_transform(camera: Camera, base_frame: str, optical_frame: str) -> TransformStamped:
    """Return the mount of the camera, from the car's `base_link` to the optical frame (z ahead, x right, y down)."""
    # Optical axes in the frame of a level camera, then the pitch about its y axis.
    half = 0.5 * camera.pitch
    sine, cosine = np.sin(half), np.cos(half)
    x, y, z, w = _product((0.0, float(sine), 0.0, float(cosine)), (-0.5, 0.5, -0.5, 0.5))
    message = TransformStamped(child_frame_id=optical_frame)
    message.header.frame_id = base_frame
    message.transform = Transform(
        translation=Vector3(x=camera.x, y=camera.y, z=camera.z), rotation=Quaternion(x=x, y=y, z=z, w=w)
    )
    return message


def _product(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w) of rotation b, then a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )
