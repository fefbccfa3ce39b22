"""What one simulated car publishes: camera, odometry, joints and transforms, each with the stamp of the same moment."""

from __future__ import annotations

import importlib
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState

from deepracer_inference.nodes.joints import JointMessage
from deepracer_inference.nodes.messages import (
    FrameArray,
    camera_info,
    camera_transform,
    fill_image,
    odometry_to_transform,
    planar_quaternion,
    to_time,
)
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.simulator import CarStates

MAP_FRAME = "map"
STATE_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Reliable, because lock-step waits for every message; the last one is kept for readers that join while it waits.
Depth 1 is enough, because the next message is sent only after the command that answers this one. Best-effort readers,
such as those with the sensor-data profile, are served as well."""
INPUT_QOS = QoSProfile(depth=10)
"""Reliable; several may wait, so that a second sender is noticed."""


class CarTopics:
    """The publishers of one car, with messages that are filled again and again."""

    def __init__(self, node: Node, car: int, vehicle: Vehicle, observation: ObservationSpec | None) -> None:
        """Advertise.

        Args:
            node: The topics are relative to its namespace, under `car_<i>/`.
            car: Index i.
            vehicle: The car.
            observation: What the images show, if not all that the camera sees.
        """
        name = car_namespace(car)
        self._geometry = vehicle.geometry
        self._image = node.create_publisher(Image, f"{name}/camera/image_raw", STATE_QOS)
        self._camera_info = node.create_publisher(CameraInfo, f"{name}/camera/camera_info", STATE_QOS)
        self._odometry = node.create_publisher(Odometry, f"{name}/odom", STATE_QOS)
        self._joints = node.create_publisher(JointState, f"{name}/joint_states", STATE_QOS)
        self._image_message = Image()
        self._info_message = camera_info(vehicle.camera, observation)
        self._odometry_message = Odometry(child_frame_id=f"{name}/base_link")
        self._joint_message = JointMessage(vehicle)
        self._odometry_message.header.frame_id = MAP_FRAME
        self.optical_frame = f"{name}/camera_optical"
        self._image_message.header.frame_id = self._info_message.header.frame_id = self.optical_frame
        # Those who join later get this one at once, and the others only if there is anybody to get them.
        self._camera_info.publish(self._info_message)
        self.base_frame = self._odometry_message.child_frame_id

    def publish(self, stamp: int, frame: FrameArray, states: CarStates, car: int, period_s: float) -> Odometry:
        """Publish one moment; return the odometry, a message that is used again.

        Args:
            stamp: Of the moment, ns.
            frame: What the camera sees, (H, W) or (H, W, 3).
            states: Of all cars.
            car: Row of this one.
            period_s: Time since the last moment; the wheels turn on by it.
        """
        time = to_time(stamp)
        message = self._odometry_message
        message.header.stamp = time
        message.pose.pose.position.x, message.pose.pose.position.y = float(states.x[car]), float(states.y[car])
        message.pose.pose.orientation = planar_quaternion(float(states.yaw[car]))
        speed, yaw_rate = float(states.speed[car]), float(states.yaw_rate[car])
        message.twist.twist.linear.x = speed
        message.twist.twist.linear.y = float(states.lateral_speed[car]) - self._geometry.origin_to_cg * yaw_rate
        message.twist.twist.angular.z = yaw_rate
        self._odometry.publish(message)

        self._joints.publish(self._joint_message.fill(time, float(states.steering_angle[car]), speed, period_s))

        if self._camera_info.get_subscription_count():
            self._info_message.header.stamp = time
            self._camera_info.publish(self._info_message)
        self._image_message.header.stamp = time
        fill_image(self._image_message, frame)
        self._image.publish(self._image_message)
        return message


class TransformTopics:
    """`/tf` from the map to the cars and `/tf_static` from the cars to their cameras."""

    def __init__(self, node: Node, cars: list[CarTopics], vehicle: Vehicle) -> None:
        """Advertise, and publish the cameras' mounts.

        Raises:
            ImportError: There is no tf2_msgs; the wheels on PyPI lack it, every ROS installation has it.
        """
        self._type: Any = importlib.import_module("tf2_msgs.msg").TFMessage
        static = node.create_publisher(
            self._type, "/tf_static", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        )
        static.publish(
            self._type(
                transforms=[camera_transform(vehicle.camera, each.base_frame, each.optical_frame) for each in cars]
            )
        )
        self._publisher = node.create_publisher(self._type, "/tf", QoSProfile(depth=100))

    def publish(self, moments: list[Odometry]) -> None:
        """Publish the poses of cars as transforms."""
        self._publisher.publish(self._type(transforms=[odometry_to_transform(each) for each in moments]))


def car_namespace(car: int) -> str:
    """Return the namespace of one car's topics."""
    return f"car_{car}"
