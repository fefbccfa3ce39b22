"""Measure the car's nodes with a fake camera and a fake servo board: overhead, footprint, start, and time to neutral.

    python benchmarks/car.py POLICY [--images 2000] [--json car.json]

POLICY is a policy folder, as `~/.deepracer/models/demo/policy`. camera_node's place is taken by this program, which
publishes images of noise; inference_node and drive_node run in processes of their own, as on the car. What is measured
from image to PWM includes the way of the image over DDS. ROS 2 is needed (docs/ros.md).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from deepracer_inference.calibration import Calibration
from deepracer_inference.drive.fake_board import make_board, read_pulses
from deepracer_inference.nodes.frames import CAMERA_FRAME, IMAGE_QOS
from deepracer_inference.nodes.messages import fill_image, to_time
from deepracer_inference.nodes.process import announcements
from deepracer_inference.observation import observe
from deepracer_inference.policy_file import load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import load_vehicle

VEHICLE = load_vehicle("deepracer")
NEUTRAL = Calibration.from_vehicle(VEHICLE).neutral
PATIENCE_S = 60.0
REPEATS = 10
"""Of every fault."""
POLL_S = 0.0005


class Bench:
    """The nodes, and this program as their camera."""

    def __init__(self, policy: Path, folder: Path) -> None:
        self.sysfs, self._policy = folder / "sys", policy
        self.log = folder / "nodes.log"
        self._log = self.log.open("wb")
        make_board(self.sysfs, VEHICLE.pwm)
        os.environ.update(announcements())
        context = rclpy.Context()
        context.init()
        self.node = Node("bench", context=context)
        self._images = self.node.create_publisher(Image, "camera/image_raw", IMAGE_QOS)
        self.values: dict[str, str] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        rng = np.random.default_rng(0)
        self._frames = [rng.integers(0, 256, (120, 160), dtype=np.uint8) for _ in range(16)]
        self._message = Image()
        self._message.header.frame_id = CAMERA_FRAME
        self._count, self.sent = 0, 0.0
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, program: str, **parameters: object) -> subprocess.Popen[bytes]:
        """Start a node."""
        arguments = [each for name, value in parameters.items() for each in ("-p", f"{name}:={value}")]
        process = subprocess.Popen(
            [sys.executable, "-m", f"deepracer_inference.nodes.{program}", "--ros-args", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End everything, whatever has happened."""
        for process in self._processes:
            process.kill()
            process.wait()
        self.node.destroy_node()

    def drive(self) -> subprocess.Popen[bytes]:
        """Start drive_node."""
        return self.start("drive_node", sysfs=self.sysfs, autostart="true", enabled="true", stop_button=-1)

    def infer(self) -> subprocess.Popen[bytes]:
        """Start inference_node."""
        return self.start("inference_node", model=self._policy, autostart="true", provider="cpu")

    def image(self) -> None:
        """Publish an image that is taken now."""
        self._count += 1
        fill_image(self._message, self._frames[self._count % len(self._frames)])
        self.sent = time.monotonic()
        self._message.header.stamp = to_time(time.monotonic_ns())
        self._images.publish(self._message)

    def stream(self, condition: Callable[[], bool], rate_hz: float = 15.0, images: int = 0) -> None:
        """Publish images until something is true, which takes as many images at least."""
        deadline = time.monotonic() + PATIENCE_S + images / rate_hz
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing happened within a minute; the nodes say:\n{self.log.read_text()}")
            begin = time.monotonic()
            self.image()
            while (left := begin + 1.0 / rate_hz - time.monotonic()) > 0.0:
                self._executor.spin_once(timeout_sec=left)

    def neutral(self) -> bool:
        """Whether the pulses are neutral."""
        return read_pulses(self.sysfs, VEHICLE.pwm) == NEUTRAL

    def until_neutral(self, begin: float) -> float:
        """Return how long it takes, s, from a moment of the monotonic clock."""
        while not self.neutral():
            time.sleep(POLL_S)
        return time.monotonic() - begin

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.values |= {each.key: each.value for each in status.values}


def bare_ms(policy: Path, runs: int = 2000) -> tuple[float, float]:
    """Return p50 and p99 (ms) of onnxruntime alone, one image at a time, in this process."""
    loaded = load_policy(policy)
    network, rng = OnnxPolicy(loaded), np.random.default_rng(0)
    frame = rng.integers(0, 256, (120, 160), dtype=np.uint8)
    batch = observe(frame, loaded.manifest.observation)[np.newaxis]
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        network.act(batch)
        times.append(time.perf_counter() - begin)
    return float(np.percentile(times, 50)) * 1e3, float(np.percentile(times, 99)) * 1e3


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def overhead(bench: Bench, policy: Path, images: int) -> dict[str, Any]:
    """Drive; return stages, start and footprint."""
    drive = bench.drive()
    bench.until_neutral(time.monotonic())
    begin = time.monotonic()
    inference = bench.infer()
    # At the wheels: a subscription of this program may be discovered seconds later than drive_node's.
    bench.stream(lambda: not bench.neutral())
    start = time.monotonic() - begin
    wanted = bench._count + images
    bench.stream(lambda: bench._count >= wanted, rate_hz=30.0, images=images)
    bench.stream(lambda: "image to PWM p99" in bench.values and "network p99" in bench.values)
    network = bare_ms(policy)
    stages = {name: float(value.split()[0]) for name, value in bench.values.items() if value.endswith(" ms")}
    result = {
        "stages_ms": stages,
        "bare_onnxruntime_ms": {"p50": network[0], "p99": network[1]},
        "overhead_p50_ms": stages["image to PWM p50"] - network[0],
        # The bare time is not taken at its own p99, which would flatter us.
        "overhead_p99_ms": stages["image to PWM p99"] - network[0],
        "inference_rss_mb": rss_mb(inference.pid),
        "drive_rss_mb": rss_mb(drive.pid),
        "start_to_first_command_s": start,
    }
    for process in (inference, drive):
        process.send_signal(signal.SIGINT)
        process.wait()
    return result


def faults(bench: Bench) -> dict[str, dict[str, float]]:
    """Return the time from a fault to neutral pulses, median and worst (ms)."""
    kinds: dict[str, tuple[str, int | None]] = {
        "images stop (since the last one)": ("drive", None),
        "inference_node killed with -9": ("inference", signal.SIGKILL),
        "drive_node killed with -9": ("drive", signal.SIGKILL),
        "drive_node hangs": ("drive", signal.SIGSTOP),
        "drive_node ends (SIGTERM)": ("drive", signal.SIGTERM),
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    result = {}
    for name, (victim, number) in kinds.items():
        times = []
        for _ in range(REPEATS):
            for key, make in (("drive", bench.drive), ("inference", bench.infer)):
                if key not in processes or processes[key].poll() is not None:
                    processes[key] = make()
            bench.stream(lambda: not bench.neutral())
            begin = bench.sent if number is None else time.monotonic()
            if number is not None:
                processes[victim].send_signal(number)
            times.append(bench.until_neutral(begin) * 1e3)
            processes[victim].send_signal(signal.SIGCONT)
            if number in (signal.SIGKILL, signal.SIGTERM):
                processes[victim].wait()
        result[name] = {"median_ms": statistics.median(times), "worst_ms": max(times)}
    return result


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DEEPRACER_HOME"] = folder
        bench = Bench(arguments.policy.absolute(), Path(folder))
        try:
            report = {**overhead(bench, arguments.policy, arguments.images), "time_to_neutral": faults(bench)}
        finally:
            bench.close()
    for key, value in report["stages_ms"].items():
        print(f"{key:28} {value:8.3f} ms")
    for key in ("overhead_p50_ms", "overhead_p99_ms", "inference_rss_mb", "drive_rss_mb", "start_to_first_command_s"):
        print(f"{key:28} {report[key]:8.3f}")
    for name, times in report["time_to_neutral"].items():
        print(f"{name:34} median {times['median_ms']:6.1f} ms, worst {times['worst_ms']:6.1f} ms")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
