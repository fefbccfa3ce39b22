"""board_node: a servo board that is a folder, its pulses decoded into the motion of a simulated car.

The driver of the car writes into a folder that looks like /sys, as it would to the kernel's PWM. What it has written
when the vehicle's latency has passed since an image is what servo and motor get for it. The simulator waits for that in
lock-step, so its periods follow this node's clock: the wall clock's, because the car under test lives by that.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from pydantic import Field
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from deepracer_inference.calibration import load_calibration
from deepracer_inference.config import StrictModel
from deepracer_inference.drive.fake_board import make_board, read_pulses
from deepracer_inference.nodes.encoding import command_to_twist
from deepracer_inference.nodes.parameters import declare, make_node
from deepracer_inference.nodes.receiver import Receiver
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.nodes.car_topics import INPUT_QOS, car_namespace
from deepracer_sim.nodes.ros_simulator import READER_QOS

WAIT_S = 0.2
RESEND_S = 0.5
CAR = 0


class BoardSettings(StrictModel):
    """Parameters of board_node."""

    vehicle: str = Field(default="deepracer", description="Name of a vehicle, or path of a vehicle file (.yaml).")
    calibration: str = Field(default="", description="Calibration file of the simulated car; empty: as drive_node's.")
    sysfs: str = Field(default="", description="Folder in which the board is made; drive_node's parameter sysfs.")
    latency: float = Field(
        default=-1.0,
        ge=-1.0,
        le=1.0,
        description="From an image to the moment when the pulses that answer it count, s; -1: the vehicle's latency.",
    )


class BoardServer:
    """Answers every image of car 0 with the motion that the pulses mean."""

    def __init__(self, name: str) -> None:
        """Make the board.

        Raises:
            UserError: A parameter is wrong.
        """
        self.node = node = make_node(name)
        settings = declare(node, BoardSettings)
        self._vehicle = vehicle = load_vehicle(settings.vehicle)
        self._calibration = load_calibration(vehicle, Path(settings.calibration) if settings.calibration else None)
        self._sysfs = Path(settings.sysfs)
        self._latency_s = vehicle.latency_s if settings.latency < 0.0 else settings.latency
        make_board(self._sysfs, vehicle.pwm)
        car = car_namespace(CAR)
        self._inbox = Receiver(node, [(Image, f"{car}/camera/image_raw")], READER_QOS)
        self._publisher = node.create_publisher(TwistStamped, f"{car}/cmd_vel", INPUT_QOS)
        self._command = TwistStamped()
        node.get_logger().info(f"the board of {vehicle.name} is {self._sysfs}")

    def run(self, stop: threading.Event) -> None:
        """Answer images until told to stop; parameters are served beside it."""
        executor = SingleThreadedExecutor(context=self.node.context)
        executor.add_node(self.node)
        services = threading.Thread(target=_serve, args=(executor, stop), name="services", daemon=True)
        services.start()
        due = time.monotonic()
        while not stop.is_set():
            images = self._inbox.wait(RESEND_S)
            if not images:
                if self._command.header.stamp != Time():
                    self._publisher.publish(self._command)  # The answer was lost.
                continue
            now, period = time.monotonic(), self._vehicle.control_period_s
            # What the machine could not keep up with is not made up for.
            due = due + period if now < due + period else now + period
            stop.wait(self._latency_s)
            self._command.header.stamp = images[-1][1].header.stamp
            twist = self._command.twist
            twist.linear.x, twist.angular.z = command_to_twist(*self._motion(), self._vehicle.geometry.wheelbase)
            stop.wait(max(0.0, due - time.monotonic()))
            self._publisher.publish(self._command)
        services.join(timeout=1.0)
        executor.shutdown(timeout_sec=WAIT_S)

    def close(self) -> None:
        """End the node; the folder stays."""
        self.node.destroy_node()

    def _motion(self) -> tuple[float, float]:
        """Steering angle (rad) and speed (m/s) that the pulses mean; no pulses, no motion."""
        pulses = read_pulses(self._sysfs, self._vehicle.pwm)
        return self._calibration.motion(*pulses) if pulses else (0.0, 0.0)


def _serve(executor: SingleThreadedExecutor, stop: threading.Event) -> None:
    while not stop.is_set():
        executor.spin_once(timeout_sec=WAIT_S)
