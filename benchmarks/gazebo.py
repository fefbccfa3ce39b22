"""Measure the lock-step with a running Gazebo: time per control period, stamps, commands, repeatability.

Start a world first, with as many cars, and without gazebo_node, which this program starts itself:

    ros2 launch deepracer_bringup simulation.launch.py simulator:=gazebo headless:=true serve:=false cars:=8
    python benchmarks/gazebo.py --cars 8

The clock that is measured is that of a client: from its commands to the last answer of the last car. In turns with it,
the least that a period costs with this Gazebo and this bridge is measured: publish all commands, ask for the steps,
wait for the second clock message of their end, trigger the cameras, wait for all pictures. Nothing here asserts;
timings belong to the machine, and only their ratio can be compared with that of another.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.node import Node

from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.gazebo.simulator import delay_steps
from deepracer_sim.gazebo.transport import ClockEvent, PictureEvent
from deepracer_sim.gazebo.world import STEP_NS, STEPS_PER_PERIOD
from deepracer_sim.nodes.gazebo_services import GazeboServices
from deepracer_sim.nodes.gazebo_transport import GazeboTransport
from deepracer_sim.nodes.ros_simulator import RosSimulator
from deepracer_sim.tracks.library import load_track

CHANGE = 0.5
"""rad; a command that differs less from the one before could be lost unnoticed."""
TIMEOUT_S = 60.0
WARM_UP = 5
"""Periods at the beginning that do not count."""


@contextmanager
def served(options: argparse.Namespace) -> Iterator[RosSimulator]:
    """Start gazebo_node and connect to it; at the end the world is nobody's again."""
    given = {"track": options.track, "vehicle": options.vehicle, "cars": options.cars, "mode": "lockstep"}
    values = [word for key, value in (given | {"timeout": TIMEOUT_S}).items() for word in ("-p", f"{key}:={value}")]
    node = subprocess.Popen([sys.executable, "-m", "deepracer_sim.nodes.gazebo_node", "--ros-args", *values])
    try:
        simulator = RosSimulator(
            load_track(options.track),
            load_vehicle(options.vehicle),
            options.cars,
            timeout_s=TIMEOUT_S,
            connect_timeout_s=120.0,
        )
        try:
            yield simulator
        finally:
            simulator.close()
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(TIMEOUT_S)


def bare(cars: int, wheelbase: float, periods: int) -> list[float]:
    """Run control periods with nothing but what they need; return the duration of each, ms."""
    context = Context()
    rclpy.init(args=[], context=context)
    node = Node("bare_cycle", context=context)
    try:
        services = GazeboServices(node, TIMEOUT_S)
        services.wait(TIMEOUT_S)
        transport = GazeboTransport(node, cars, wheelbase, services)
        newest = -1
        while newest < 0:
            newest = max((each.time_ns for each in transport.receive(0.1) if isinstance(each, ClockEvent)), default=-1)
        return [
            _bare_period(transport, newest + (number + 1) * STEPS_PER_PERIOD * STEP_NS, cars)
            for number in range(periods)
        ]
    finally:
        node.destroy_node()
        context.try_shutdown()


def _bare_period(transport: GazeboTransport, end_ns: int, cars: int) -> float:
    start = time.perf_counter()
    for car in range(cars):
        transport.command(car, end_ns, 0.3, 1.0)
    transport.multi_step(STEPS_PER_PERIOD)
    clocks, pictures = 0, set[int]()
    triggered = math.inf
    while len(pictures) < cars:
        for event in transport.receive(0.1):
            if isinstance(event, ClockEvent):
                clocks += event.time_ns == end_ns
            elif isinstance(event, PictureEvent) and event.time_ns == end_ns:
                pictures.add(event.car)
        now = time.perf_counter()
        # The first triggers of a publisher can be lost, before the bridge knows it.
        if (clocks >= 2 and triggered == math.inf) or now > triggered + 1.0:
            transport.trigger()
            triggered = now
        if now > start + TIMEOUT_S:
            raise SystemExit(f"no bare cycle: {clocks} clock messages and {len(pictures)} pictures of {end_ns} ns came")
    return 1e3 * (time.perf_counter() - start)


def timed(simulator: RosSimulator, periods: int) -> list[float]:
    """Drive as in the bare cycle; return the duration of each period, ms."""
    cars, durations = simulator.cars, []
    simulator.reset(np.arange(cars), simulator.track.pose_at(np.zeros(cars)))
    for _ in range(periods):
        start = time.perf_counter()
        simulator.step(np.full(cars, 0.3), np.full(cars, 1.0))
        durations.append(1e3 * (time.perf_counter() - start))
    return durations


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure bare cycles and ours in turns; return medians, and their ratio in each turn."""
    wheelbase = load_vehicle(options.vehicle).geometry.wheelbase
    turns = []
    for _ in range(options.turns):
        lone = bare(options.cars, wheelbase, options.turn_periods + WARM_UP)[WARM_UP:]
        with served(options) as simulator:
            turns.append((lone, timed(simulator, options.turn_periods + WARM_UP)[WARM_UP:]))
    ratios = [statistics.median(ours) / statistics.median(lone) for lone, ours in turns]
    return {
        "bare_ms_median": statistics.median([each for lone, _ in turns for each in lone]),
        "ours_ms_median": statistics.median([each for _, ours in turns for each in ours]),
        "ratio_of_each_turn": ratios,
        "ratio": statistics.median(ratios),
    }


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
    ordered = sorted(1e3 * each for each in durations[WARM_UP:])
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
    parser.add_argument("--poses", help="file for the poses of the first run (.npy), to compare with another server's")
    parser.add_argument("--turns", type=int, default=4, help="of bare cycles and ours")
    parser.add_argument("--turn-periods", type=int, default=100)
    options = parser.parse_args()
    ratio = compare(options) if options.turns else None
    with served(options) as simulator:
        first = drive(simulator, options.periods, options.seed)
        put_down = resets(simulator, options.resets)
        second = drive(simulator, options.periods, options.seed)
    if options.poses:
        np.save(options.poses, first["poses"])
    apart = np.hypot(*(first.pop("poses") - second.pop("poses"))[..., :2].transpose(2, 0, 1))
    result = {
        "cars": options.cars,
        "load": os.getloadavg()[0],
        "period": ratio,
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
