"""Measure the lock-step with a running Gazebo: time per control period, stamps, commands, repeatability.

Start a world first, with as many cars and in lock-step:

    ros2 launch deepracer_bringup simulation.launch.py simulator:=gazebo headless:=true mode:=lockstep cars:=8
    python benchmarks/gazebo.py --cars 8

The clock that is measured is that of a client: from its commands to the last answer of the last car. Nothing here
asserts; timings belong to the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.gazebo.simulator import delay_steps
from deepracer_sim.gazebo.world import STEP_NS, STEPS_PER_PERIOD
from deepracer_sim.nodes.ros_simulator import RosSimulator
from deepracer_sim.tracks.library import load_track

CHANGE = 0.5
"""rad; a command that differs less from the one before could be lost unnoticed."""


def drive(simulator: RosSimulator, periods: int, seed: int) -> dict[str, Any]:
    """Drive all cars from the start line with random commands; return what there is to say about it."""
    vehicle, cars = simulator.vehicle, simulator.cars
    random = np.random.default_rng(seed)
    simulator.reset(np.arange(cars), simulator.track.pose_at(np.zeros(cars)))
    began = simulator.state().time_ns
    angle: NDArray[np.float64] = simulator.state().steering_angle
    before: NDArray[np.float64] = np.zeros(cars)
    speeds = np.full(cars, 1.0)
    durations, lost, suspects, wrong = [], 0, 0, 0
    poses = np.empty((periods, cars, 3))
    for number in range(periods):
        # Far apart, so that the forces of the road on the wheels are small against the difference.
        command = random.choice([-1.0, 1.0], cars) * random.uniform(0.3, 0.4, cars)
        start = time.perf_counter()
        simulator.step(command, speeds)
        durations.append(time.perf_counter() - start)
        states = simulator.state()
        wrong += states.time_ns != began + (number + 1) * simulator.period_ns
        poses[number] = np.stack([states.x, states.y, states.yaw], axis=1)
        # Taken, the angle approaches the command; lost, it goes on towards the one before.
        taken = _expected(angle, before, command, vehicle.steering.time_constant_s, vehicle.latency_s)
        missed = _expected(angle, before, before, vehicle.steering.time_constant_s, vehicle.latency_s)
        clear = np.abs(command - before) > CHANGE
        nearer = np.abs(states.steering_angle - missed) < np.abs(states.steering_angle - taken)
        suspects += int(clear.sum())
        lost += int((clear & nearer).sum())
        angle, before = states.steering_angle, command
    ordered = sorted(1e3 * each for each in durations[5:])
    return {
        "periods": periods,
        "ms_mean": statistics.fmean(ordered),
        "ms_median": statistics.median(ordered),
        "ms_95": ordered[int(0.95 * len(ordered))],
        "ms_largest": ordered[-1],
        "wrong_stamps": wrong,
        "commands_checked": suspects,
        "commands_lost": lost,
        "driven_m": float(np.hypot(*np.diff(poses[..., :2], axis=0).transpose(2, 0, 1)).sum(axis=0).mean()),
        "poses": poses,
    }


def resets(simulator: RosSimulator, count: int) -> dict[str, Any]:
    """Put car 0 down while it drives; return what is left of its motion, and what the others noticed."""
    cars = simulator.cars
    durations, rest, others = [], [], []
    target = simulator.track.pose_at(1.0)
    for _ in range(count):
        for _ in range(10):
            simulator.step(np.full(cars, 0.3), np.full(cars, 1.5))
        before = simulator.state()
        start = time.perf_counter()
        simulator.reset(np.array([0]), target)
        durations.append(time.perf_counter() - start)
        after = simulator.state()
        others += (np.abs(after.x - before.x) + np.abs(after.y - before.y))[1:].tolist()
        standing = np.full(cars, 1.5)
        standing[0] = 0.0
        simulator.step(np.full(cars, 0.0), standing)
        states = simulator.state()
        rest.append(
            [
                math.hypot(states.x[0] - target[0, 0], states.y[0] - target[0, 1]),
                abs(math.remainder(states.yaw[0] - target[0, 2], math.tau)),
                abs(states.speed[0]),
                abs(states.steering_angle[0]),
            ]
        )
    worst = np.max(rest, axis=0)
    return {
        "resets": count,
        "ms_mean": 1e3 * statistics.fmean(durations),
        "one_period_later": dict(zip(("moved_m", "turned_rad", "speed", "steering_rad"), worst.tolist(), strict=True)),
        "others_moved_m": max(others, default=0.0),
    }


def _expected(
    angle: NDArray[np.float64],
    before: NDArray[np.float64],
    command: NDArray[np.float64],
    time_constant: float,
    latency: float,
) -> NDArray[np.float64]:
    step = STEP_NS * 1e-9 / max(time_constant, STEP_NS * 1e-9)
    for number in range(STEPS_PER_PERIOD):
        angle = angle + step * ((before if number <= delay_steps(latency) else command) - angle)
    return angle


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--track", default="riverside")
    parser.add_argument("--vehicle", default="deepracer")
    parser.add_argument("--cars", type=int, default=1)
    parser.add_argument("--periods", type=int, default=1000)
    parser.add_argument("--resets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    simulator = RosSimulator(
        load_track(options.track), load_vehicle(options.vehicle), options.cars, timeout_s=60.0, connect_timeout_s=120.0
    )
    try:
        first = drive(simulator, options.periods, options.seed)
        put_down = resets(simulator, options.resets)
        second = drive(simulator, options.periods, options.seed)
    finally:
        simulator.close()
    apart = np.hypot(*(first.pop("poses") - second.pop("poses"))[..., :2].transpose(2, 0, 1))
    result = {
        "cars": options.cars,
        "load": os.getloadavg()[0],
        "first": first,
        "second": second,
        "apart_mm": {
            "end": float(1e3 * apart[-1].max()),
            "largest": float(1e3 * apart.max()),
            "periods_bit_identical": int(np.argmax(apart.max(axis=1) > 0.0)) if apart.any() else len(apart),
        },
        "resets": put_down,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
