"""calibration_node: a calibration as parameters, for rqt_reconfigure, with services to test, save and undo."""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import Field
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger

from deepracer_inference.calibrate.bench import BoardBench
from deepracer_inference.calibrate.points import MEASURED, Points
from deepracer_inference.calibration import Calibration, load_calibration, restore_calibration, save_calibration
from deepracer_inference.errors import DeepRacerError
from deepracer_inference.nodes.parameters import declare, make_node
from deepracer_inference.vehicle import load_vehicle

SPIN_S = 0.1
OWN = ("vehicle", "sysfs")


class CalibrationSettings(Points):
    """Parameters of calibration_node."""

    vehicle: str = Field(default="deepracer", description="Name of a vehicle, or path of a vehicle file (.yaml).")
    sysfs: str = Field(default="/sys", description="Where the kernel's PWM is mounted; a folder for a simulated board.")


class CalibrationNode:
    """Holds the pulses that the sliders say; the motor turns only during ~/test."""

    def __init__(self, name: str) -> None:
        """Open the board and show the calibration in use.

        Raises:
            UserError: A parameter is wrong, or the board may not be used.
        """
        self._node = make_node(name)
        given = self._node.get_parameters_by_prefix("")
        self._vehicle = load_vehicle(str(given["vehicle"].value) if "vehicle" in given else "deepracer")
        calibration = load_calibration(self._vehicle)
        for key, value in Points.of(calibration).model_dump().items():
            if key not in given:
                self._node.declare_parameter(key, value)
        fields = tuple(key for key in CalibrationSettings.model_fields if key not in OWN)
        self._settings = declare(self._node, CalibrationSettings, changeable=fields, on_change=self._change)
        self._unmeasured = self._unread(calibration) - given.keys()
        self._bench = BoardBench(self._vehicle, calibration.neutral, Path(self._settings.sysfs))
        for service, answer in (("test", self._test), ("save", self._save), ("undo", self._undo)):
            self._node.create_service(Trigger, f"~/{service}", self._reply(answer))
        self._rest_ns = calibration.neutral[1]
        self._hold(self._settings)
        state = "measured" if calibration.is_measured else "not measured yet"
        self._node.get_logger().info(f"calibration of a {self._vehicle.title}, {state}; the wheels are held straight")

    def run(self, stop: threading.Event) -> None:
        """Serve until told to stop."""
        self._bench.stop = stop
        executor = SingleThreadedExecutor(context=self._node.context)
        executor.add_node(self._node)
        while not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_S)
        executor.shutdown(timeout_sec=0.2)

    def close(self) -> None:
        """Neutral."""
        self._bench.close()
        self._node.destroy_node()

    @staticmethod
    def _unread(calibration: Calibration) -> set[str]:
        return set() if calibration.is_measured else set(MEASURED)

    def _change(self, settings: CalibrationSettings) -> None:
        self._hold(settings)
        old, self._settings = self._settings, settings
        self._unmeasured -= {name for name in MEASURED if getattr(old, name) != getattr(settings, name)}

    def _hold(self, settings: CalibrationSettings) -> None:
        # A slider that is pulled out of the dead band must not run the motor, which here nothing would end.
        low, high = sorted((settings.reverse_from_us, settings.forward_from_us))
        self._bench.rest_at(1000 * settings.neutral_us if low <= settings.neutral_us <= high else self._rest_ns)
        self._bench.steer(settings.steering_ns(settings.hold))

    def _test(self) -> str:
        points = self._settings
        self._bench.run(points.steering_ns(points.hold), points.throttle_ns(points.run), points.run_s)
        return f"{points.run} ran for {points.run_s:g} s at {points.throttle_ns(points.run) // 1000} us"

    def _save(self) -> str:
        calibration = self._settings.calibration(self._vehicle, self._unmeasured)
        return f"saved {save_calibration(calibration)}"

    def _undo(self) -> str:
        calibration = restore_calibration()
        return f"back to the calibration of {calibration.date or 'no date'}; start this node again to see its values"

    def _reply(self, answer: object) -> object:
        def reply(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.success, response.message = True, answer()  # type: ignore[operator]
                self._node.get_logger().info(response.message)
            except DeepRacerError as error:
                response.success, response.message = False, str(error)
            return response

        return reply
