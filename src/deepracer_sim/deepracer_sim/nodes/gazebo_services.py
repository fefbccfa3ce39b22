"""The services of a Gazebo world, as `ros_gz_bridge` offers them."""

from __future__ import annotations

import importlib
import time
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from deepracer_inference.errors import UserError
from deepracer_inference.nodes.messages import planar_quaternion
from deepracer_inference.nodes.receiver import NotForExecutors
from deepracer_sim.gazebo.lockstep import GazeboError
from deepracer_sim.gazebo.transport import Pose
from deepracer_sim.gazebo.world import WORLD_NAME

MODEL = 2
"""`ros_gz_interfaces/msg/Entity.MODEL`."""


class GazeboServices:
    """Calls one after the other, each with a wait for its reply; used by one thread at a time."""

    def __init__(self, node: Node, timeout_s: float) -> None:
        """Make the clients.

        Args:
            node: May be spun by an executor, which leaves these clients alone.
            timeout_s: A reply that takes longer is an error.

        Raises:
            UserError: There is no ros_gz_interfaces.
        """
        try:
            services: Any = importlib.import_module("ros_gz_interfaces.srv")
        except ModuleNotFoundError as error:
            raise UserError("There is no ros_gz_interfaces here: install ros-$ROS_DISTRO-ros-gz") from error
        group = NotForExecutors()
        self._timeout_s = timeout_s
        self._control = node.create_client(services.ControlWorld, f"/world/{WORLD_NAME}/control", callback_group=group)
        self._pose = node.create_client(services.SetEntityPose, f"/world/{WORLD_NAME}/set_pose", callback_group=group)
        context = node.context.handle
        if context is None:
            raise RuntimeError("the node's context is not initialised")
        with context:
            self._wait_set = rclpy_implementation.WaitSet(0, 0, 0, 1, 0, 0, context)

    def wait(self, timeout_s: float) -> None:
        """Wait for the bridge.

        Raises:
            GazeboError: It does not appear.
        """
        for client in (self._control, self._pose):
            if not client.wait_for_service(timeout_s):
                raise GazeboError(
                    f"The service {client.srv_name} did not appear within {timeout_s:g} s. Is Gazebo running, and "
                    "ros_gz_bridge with it, with the same ROS_DOMAIN_ID?"
                )

    def pause(self) -> None:
        """Stop the simulated time."""
        request = self._control.srv_type.Request()
        request.world_control.pause = True
        self._call(self._control, request)

    def multi_step(self, steps: int) -> None:
        """Start steps of a paused world."""
        request = self._control.srv_type.Request()
        # Without it, the world would go on after the steps.
        request.world_control.pause = True
        request.world_control.multi_step = steps
        self._call(self._control, request)

    def set_pose(self, model: str, pose: Pose) -> None:
        """Ask for a model at another place."""
        request = self._pose.srv_type.Request()
        request.entity.name, request.entity.type = model, MODEL
        request.pose.position.x, request.pose.position.y = pose[:2]
        request.pose.orientation = planar_quaternion(pose[2])
        self._call(self._pose, request)

    def _call(self, client: Any, request: Any) -> None:
        number = client.handle.send_request(request)
        deadline = time.monotonic() + self._timeout_s
        while (left := deadline - time.monotonic()) > 0.0:
            self._wait_set.clear_entities()
            self._wait_set.add_client(client.handle)
            self._wait_set.wait(round(left * 1e9))
            while (taken := client.handle.take_response(client.srv_type.Response))[0] is not None:
                if taken[0].request_id.sequence_number != number:
                    continue
                if not taken[1].success:
                    raise GazeboError(f"Gazebo refused a request: {client.srv_name}, {request}")
                return
        raise GazeboError(f"Gazebo did not answer within {self._timeout_s:g} s: {client.srv_name}")
