"""Names and qualities of service that the car's nodes share."""

from __future__ import annotations

from rclpy.qos import QoSProfile, ReliabilityPolicy

CAMERA_FRAME = "camera_optical"
"""Of images, and of commands that answer one: their stamp is the image's, on the monotonic clock."""
BASE_FRAME = "base_link"
IMAGE_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""The newest image or none: an old one that is sent again is worth less than nothing."""
COMMAND_QOS = QoSProfile(depth=1)
"""Reliable, and only the newest, so that a flood of commands leaves one to read."""
