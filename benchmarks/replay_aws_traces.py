"""Replay AWS's own step logs through our dynamics: commands in, pose out; print how far the prediction is off.

    python benchmarks/replay_aws_traces.py            # error table of the vehicle file, and what the logs' columns mean
    python benchmarks/replay_aws_traces.py --fit      # fit the dynamics on every second episode, test on the others

What the logs turn out to be (`--json` gives the figures under `findings`):

- x, y is the nose, `nose_offset` ahead of `base_link`: it moves sideways as a point 0.23 m ahead of the rear axle does.
- The pose of row i was read before action i ran, the tstamp of row i after it. So the way from pose i to pose i + 1
  took tstamp[i] - tstamp[i - 1] under action i, not tstamp[i + 1] - tstamp[i].
- The camera takes a picture every 66.0 ms exactly; the tstamps scatter by 7 ms around that grid because a row is
  written whenever the picture arrives. Poses are read with the same scatter, which bounds every one-step prediction:
  at 1.7 m/s, 7 ms are 1.2 cm.

Speed, yaw rate and wheel angle at a step's start are not logged. They are what the model itself arrives at when it is
driven with all commands since the start of the episode, while its pose is put back to the logged one at every step.

What AWS's car turns out to be: steering follows with a lag of 1/6 s (its position controller closes a tenth of the gap
60 times a second), wheels reach a new speed at once and then slip, and all four turn at one speed. Such locked wheels
scrub in every bend: at any speed the car turns only about 0.65 times as tightly as its wheel angle says.

What remains: the scatter of the clock (after one step 1.5 cm forwards, but only 0.2 to 0.4 cm sideways; consecutive
errors correlate by -0.4, as those of a jittering clock do), and a car about 2 % faster than told (AWS computes with
wheels of 35 mm radius but draws 36 mm), which is 1 cm of the error after one second.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.dynamics import kernels
from deepracer_sim.dynamics.kernels import FloatArray
from deepracer_sim.dynamics.single_track import initial_state, parameters, substep_s

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"
CAMERA_PERIOD_S = 0.066
IMAGE_AGE_S = 0.010
"""How old the picture is when AWS reads the pose: median lateness of the tstamps on the camera's grid, see findings."""
START_ROWS = 2
"""AWS puts the car back to the start during the first rows of an episode."""
WARM_UP_STEPS = 6
"""Steps after which the unknown state at the start is forgotten (steering lag 0.17 s)."""
ONE_SECOND_STEPS = 15
MODELS = ("single_track", "kinematic", "constant_velocity")


@dataclass(frozen=True)
class Run:
    """Consecutive driving steps of one episode."""

    file: str
    episode: int
    poses: FloatArray
    """x, y, yaw of `base_link` before each step, m, m, rad, `(M, 3)`; yaw unwrapped."""
    commands: FloatArray
    """Steering angle and speed of each step, rad, m/s, `(M, 2)`."""
    durations: FloatArray
    """How long each step took, s, `(M,)`."""
    tstamps: FloatArray
    """As logged, s, `(M,)`."""


def read_runs(path: Path, nose_offset: float) -> list[Run]:
    """Read a step log with AWS's column names."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    runs = []
    for episode, group in groupby(rows, key=lambda row: row["episode"]):
        steps = list(group)
        logged = np.array([[float(step[name]) for name in ("X", "Y", "yaw", "steer", "throttle")] for step in steps])
        tstamps = np.array([float(step["tstamp"]) for step in steps])
        yaw = np.unwrap(np.radians(logged[:, 2]))
        x, y = logged[:, 0] - nose_offset * np.cos(yaw), logged[:, 1] - nose_offset * np.sin(yaw)
        poses, commands = np.column_stack((x, y, yaw)), np.column_stack((np.radians(logged[:, 3]), logged[:, 4]))
        driving = [i for i in range(START_ROWS, len(steps)) if steps[i]["episode_status"] == "in_progress"]
        for _, numbered in groupby(enumerate(driving), key=lambda pair: pair[1] - pair[0]):
            part = [index for _, index in numbered]
            if len(part) > WARM_UP_STEPS + 1:
                durations = tstamps[part] - tstamps[np.array(part) - 1]
                runs.append(Run(path.stem, int(episode), poses[part], commands[part], durations, tstamps[part]))
    return runs


def drive(car: FloatArray, run: Run, step: int, p: FloatArray, latency_s: float) -> None:
    """Drive the car for one logged step; the command before still acts for the latency."""
    longest = substep_s(p)
    waiting = min(latency_s, float(run.durations[step]))
    before = run.commands[step - 1] if step > 0 else np.zeros(2)
    for command, duration in ((before, waiting), (run.commands[step], float(run.durations[step]) - waiting)):
        if duration > 0.0:
            kernels.advance(car, command[0], command[1], duration, math.ceil(duration / longest), p)


def single_track(run: Run, horizons: Sequence[int], p: FloatArray, latency_s: float, every: int = 1) -> FloatArray:
    """Predict poses with our dynamics.

    Returns:
        Predicted poses `(len(horizons), M, 3)`: entry [h, i] is horizons[h] steps after pose i; NaN if there is none.
    """
    predicted = np.full((len(horizons), len(run.poses), 3), np.nan)
    car = initial_state(run.poses[:1])[0]
    for start in range(len(run.poses) - 1):
        car[: kernels.YAW + 1] = run.poses[start]
        if start >= WARM_UP_STEPS and start % every == 0:
            rolled = car.copy()
            for step in range(start, min(start + horizons[-1], len(run.poses) - 1)):
                drive(rolled, run, step, p, latency_s)
                if step + 1 - start in horizons:
                    predicted[horizons.index(step + 1 - start), start] = rolled[: kernels.YAW + 1]
        drive(car, run, start, p, latency_s)
    return predicted


Twist = Callable[[int, int], tuple[float, float]]
"""Speed and yaw rate that a baseline assumes, from the first step of a prediction and the present step."""


def arcs(run: Run, horizons: Sequence[int], twist: Twist, rear: float) -> FloatArray:
    """Predict poses of a car whose rear axle, `rear` behind `base_link`, moves on arcs.

    Args:
        run: What was logged.
        horizons: As in `single_track`.
        twist: As described there.
        rear: m.
    """
    predicted = np.full((len(horizons), len(run.poses), 3), np.nan)
    for start in range(WARM_UP_STEPS, len(run.poses) - 1):
        x, y, yaw = run.poses[start]
        x, y = x - rear * math.cos(yaw), y - rear * math.sin(yaw)
        for step in range(start, min(start + horizons[-1], len(run.poses) - 1)):
            speed, yaw_rate = twist(start, step)
            turn = yaw_rate * run.durations[step]
            chord = speed * run.durations[step] * np.sinc(turn / (2.0 * math.pi))
            x, y = x + chord * math.cos(yaw + turn / 2.0), y + chord * math.sin(yaw + turn / 2.0)
            yaw += turn
            if step + 1 - start in horizons:
                pose = x + rear * math.cos(yaw), y + rear * math.sin(yaw), yaw
                predicted[horizons.index(step + 1 - start), start] = pose
    return predicted


def predict(model: str, run: Run, horizons: Sequence[int], vehicle: Vehicle) -> FloatArray:
    """Predict poses with one of `MODELS`; shapes as in `single_track`."""
    wheelbase, rear = vehicle.geometry.wheelbase, vehicle.geometry.origin_to_rear_axle
    if model == "single_track":
        return single_track(run, horizons, parameters(vehicle), max(0.0, vehicle.latency_s - IMAGE_AGE_S))
    if model == "kinematic":
        speed, curvature = run.commands[:, 1], np.tan(run.commands[:, 0]) / wheelbase
        return arcs(run, horizons, lambda _, step: (speed[step], speed[step] * curvature[step]), rear)
    axle = run.poses[:, :2] - rear * np.column_stack((np.cos(run.poses[:, 2]), np.sin(run.poses[:, 2])))
    speeds = np.hypot(*np.diff(axle, axis=0).T) / run.durations[:-1]
    yaw_rates = np.diff(run.poses[:, 2]) / run.durations[:-1]
    return arcs(run, horizons, lambda start, _: (speeds[start - 1], yaw_rates[start - 1]), rear)


def errors(run: Run, predicted: FloatArray, horizons: Sequence[int]) -> FloatArray:
    """Return forward, lateral (m) and heading (rad) error of predictions, in the logged car's frame, `(H, M, 3)`."""
    result = np.full_like(predicted, np.nan)
    for k, horizon in enumerate(horizons):
        logged = run.poses[horizon:]
        error = predicted[k, : len(logged)] - logged
        cos, sin = np.cos(logged[:, 2]), np.sin(logged[:, 2])
        result[k, : len(logged), 0] = cos * error[:, 0] + sin * error[:, 1]
        result[k, : len(logged), 1] = cos * error[:, 1] - sin * error[:, 0]
        result[k, : len(logged), 2] = error[:, 2]
    return result


def summary(error: FloatArray) -> dict[str, float]:
    """Return median and 90th percentile of position (m) and heading (deg) errors, `(K, 3)` with NaN rows left out."""
    error = error[np.isfinite(error[:, 0])]
    position, heading = np.hypot(error[:, 0], error[:, 1]), np.degrees(np.abs(error[:, 2]))
    return {
        "position_median_m": float(np.median(position)),
        "position_p90_m": float(np.percentile(position, 90)),
        "heading_median_deg": float(np.median(heading)),
        "heading_p90_deg": float(np.percentile(heading, 90)),
        "predictions": len(error),
    }


def replay(runs: Sequence[Run], vehicle: Vehicle) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Return the errors as file -> model -> "one_step" / "one_second" -> figures."""
    horizons = (1, ONE_SECOND_STEPS)
    table: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for file in sorted({run.file for run in runs}):
        table[file] = {}
        for model in MODELS:
            all_errors = [
                errors(run, predict(model, run, horizons, vehicle), horizons) for run in runs if run.file == file
            ]
            step, second = np.concatenate(all_errors, axis=1)
            table[file][model] = {"one_step": summary(step), "one_second": summary(second)}
    return table


def findings(runs: Sequence[Run], vehicle: Vehicle) -> dict[str, float]:
    """Measure what the logs' columns mean, with no model of the car."""
    steps = []
    for run in runs:
        yaw = run.poses[:, 2]
        logged = run.poses[:, :2] + vehicle.geometry.nose_offset * np.column_stack((np.cos(yaw), np.sin(yaw)))
        move, middle = np.diff(logged, axis=0), 0.5 * (yaw[1:] + yaw[:-1])
        along = np.cos(middle) * move[:, 0] + np.sin(middle) * move[:, 1]
        across = np.cos(middle) * move[:, 1] - np.sin(middle) * move[:, 0]
        speeds, own, following = run.commands[:-1, 1], run.durations[:-1], run.durations[1:]
        before = np.append(np.nan, speeds[:-1])
        steps.append(np.column_stack((along, across, np.diff(yaw), speeds, before, own, following))[WARM_UP_STEPS:])
    way, sideways, turn, action, before, own, following = np.concatenate(steps).T
    lateness = []
    for run in runs:
        if len(run.tstamps) > 100:
            phase = np.exp(2j * math.pi * run.tstamps / CAMERA_PERIOD_S)
            late = np.angle(phase / phase.mean()) / (2.0 * math.pi) * CAMERA_PERIOD_S
            lateness.append((np.median(late) - np.percentile(late, 1), late.std()))
    return {
        "x_y_ahead_of_rear_axle_m": float(turn @ sideways / (turn @ turn)),
        "way_correlates_with_tstamp_i_less_i_minus_1": float(np.corrcoef(way / action, own)[0, 1]),
        "way_correlates_with_tstamp_i_plus_1_less_i": float(np.corrcoef(way / action, following)[0, 1]),
        "speed_correlates_with_action_i": float(np.corrcoef(way / own, action)[0, 1]),
        "speed_correlates_with_action_i_minus_1": float(np.corrcoef(way / own, before)[0, 1]),
        "step_mean_s": float(own.mean()),
        "step_deviation_s": float(own.std()),
        "image_age_s": float(np.mean([age for age, _ in lateness])),
        "image_age_deviation_s": float(np.mean([deviation for _, deviation in lateness])),
    }


FIT_START = {
    "latency_s": (0.02, 0.0, 0.06),
    "steering.time_constant_s": (0.1, 0.005, 0.4),
    "drive.time_constant_s": (0.05, 0.002, 0.3),
    "drive.acceleration_limit": (8.0, 1.0, 30.0),
    "tyre.friction": (0.7, 0.2, 2.0),
    "tyre.cornering_stiffness_front": (8.0, 1.0, 20.0),
    "tyre.cornering_stiffness_rear": (8.0, 1.0, 20.0),
    "drive.differential_lock": (0.5, 0.0, 1.0),
}
"""Start value, lower and upper bound of what is fitted."""
FIT_HORIZONS = (1, 4, 8, ONE_SECOND_STEPS)
FIT_SCALES_M = np.array([0.02, 0.05, 0.10, 0.15])
"""Expected position error at each horizon; of the heading, twice as many radians."""


def fit(runs: Sequence[Run], vehicle: Vehicle) -> dict[str, dict[str, float]]:
    """Fit the dynamics on every second run (soft L1, so that AWS's hiccups weigh little), test on the others."""

    def apply(values: FloatArray) -> tuple[FloatArray, float]:
        named = dict(zip(FIT_START, values, strict=True))
        p = parameters(vehicle)
        p[kernels.STEERING_RATE_LIMIT] = 100.0  # cannot be told from none behind this lag
        p[kernels.STEERING_TIME_CONSTANT] = named["steering.time_constant_s"]
        p[kernels.DRIVE_TIME_CONSTANT] = named["drive.time_constant_s"]
        p[kernels.ACCELERATION_LIMIT] = p[kernels.DECELERATION_LIMIT] = named["drive.acceleration_limit"]
        p[kernels.FRICTION] = named["tyre.friction"]
        p[kernels.STIFFNESS_FRONT] = named["tyre.cornering_stiffness_front"]
        p[kernels.STIFFNESS_REAR] = named["tyre.cornering_stiffness_rear"]
        p[kernels.DIFFERENTIAL_LOCK] = named["drive.differential_lock"]
        return p, float(named["latency_s"])

    def all_errors(values: FloatArray, chosen: Sequence[Run], every: int = 1) -> FloatArray:
        p, latency_s = apply(values)
        return np.concatenate(
            [errors(run, single_track(run, FIT_HORIZONS, p, latency_s, every), FIT_HORIZONS) for run in chosen], axis=1
        )

    def residuals(values: FloatArray) -> FloatArray:
        scales = FIT_SCALES_M[:, None, None] * np.array([1.0, 1.0, 2.0])
        scaled = all_errors(values, runs[::2], every=2) / scales
        finite: FloatArray = scaled[np.isfinite(scaled)]
        return finite

    start, lower, upper = np.array(list(FIT_START.values())).T
    solution = least_squares(
        residuals, start, bounds=(lower, upper), x_scale=start, loss="soft_l1", diff_step=2e-3, max_nfev=30
    )
    values = dict(zip(FIT_START, solution.x.tolist(), strict=True))
    values["latency_s"] += IMAGE_AGE_S
    result = {"fitted": values}
    for name, chosen in (("training", runs[::2]), ("held_out", runs[1::2])):
        step, *_, second = all_errors(solution.x, chosen)
        result[f"{name}_one_step"], result[f"{name}_one_second"] = summary(step), summary(second)
    return result


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=Path, default=TRACES, help="folder of step logs (*.csv)")
    parser.add_argument("--vehicle", default="deepracer", help="vehicle name or file")
    parser.add_argument("--fit", action="store_true", help="fit the dynamics as well (about 20 s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    vehicle = load_vehicle(arguments.vehicle)
    files = sorted(arguments.traces.glob("*.csv"))
    if not files:
        parser.error(f"no *.csv in {arguments.traces}; give the folder of AWS's step logs with --traces")
    runs = [run for path in files for run in read_runs(path, vehicle.geometry.nose_offset)]
    table = replay(runs, vehicle)
    report: dict[str, object] = {"errors": table, "findings": findings(runs, vehicle)}
    if arguments.fit:
        report["fit"] = fit(runs, vehicle)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{'':52}{'one step':^26}{'one second':^26}")
    print(f"{'trace':34}{'model':18}" + 2 * f"{'cm':>6}{'p90':>6}{'deg':>7}{'p90':>6} ")
    for file, models in table.items():
        for model, spans in models.items():
            cells = "".join(
                f"{100 * s['position_median_m']:6.1f}{100 * s['position_p90_m']:6.1f}"
                f"{s['heading_median_deg']:7.1f}{s['heading_p90_deg']:6.1f} "
                for s in spans.values()
            )
            print(f"{file:34}{model:18}{cells}")
    for title in ("findings", "fit"):
        if title in report:
            print(f"\n{title}\n{json.dumps(report[title], indent=2)}")


if __name__ == "__main__":
    main()
