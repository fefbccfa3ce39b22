"""Measure every performance figure that the README states and write them to bench.json.

Nothing here asserts: timings belong to the machine that is named in the output.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRACK = "riverside"
STEP_S = 5.0
"""Training time between two evaluations, s: how fine the time to 10 of 10 laps is measured."""
PACKAGES = ("numpy", "numba", "torch", "onnxruntime", "opencv-python-headless", "stable-baselines3")


def machine() -> dict[str, Any]:
    """Describe where the figures were measured."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def camera_frames_per_s(seconds: float) -> float:
    """Frames of 160 x 120 with dynamics and referee, all cores."""
    import numpy as np

    from deepracer_inference.vehicle import load_vehicle
    from deepracer_sim.embedded import EmbeddedSimulator
    from deepracer_sim.race.referee import Referee
    from deepracer_sim.race.rules import RaceRules
    from deepracer_sim.tracks.library import load_track

    cars, track, vehicle = 64, load_track(TRACK), load_vehicle("deepracer")
    simulator = EmbeddedSimulator(track, vehicle, cars)
    referee = Referee(track, vehicle, RaceRules.training(), cars, simulator.period_ns)
    everyone = np.arange(cars)
    poses = track.pose_at(np.linspace(0, track.length, cars, endpoint=False))
    simulator.reset(everyone, poses)
    referee.start(everyone, poses)
    random = np.random.default_rng(0)

    def step() -> None:
        simulator.step(random.uniform(-0.4, 0.4, cars), random.uniform(1.0, 2.0, cars))
        done = np.flatnonzero(referee.judge(simulator.state()).done)
        if len(done):
            simulator.reset(done, poses[done])
            referee.start(done, poses[done])

    for _ in range(20):
        step()
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        step()
        steps += 1
    return steps * cars / (time.perf_counter() - begin)


def ppo_against_sb3(seconds: float, rounds: int) -> dict[str, float]:
    """Environment steps per second of our loop and of SB3's, in turns so that both meet the same machine."""
    import torch
    from baseline_sb3 import build

    from deepracer_inference.vehicle import load_vehicle
    from deepracer_sim.embedded import EmbeddedSimulator
    from deepracer_sim.tracks.library import load_track
    from deepracer_training.learner import Learner, embedded_fleet, make_env
    from deepracer_training.models.config import preset_config
    from deepracer_training.rewards.function import RewardFunction
    from deepracer_training.rewards.library import DEFAULT_EXAMPLE, example_source

    config = preset_config("fast", name="bench", track=TRACK)
    training = config.training
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reward_function.py"
        path.write_text(example_source(DEFAULT_EXAMPLE), encoding="utf-8")
        reward = RewardFunction.load(path)
    cars = embedded_fleet(config, 0).cars
    learner = Learner(config, make_env(config, cars, reward, 0, training.start), 0)
    simulator = EmbeddedSimulator(
        load_track(TRACK), load_vehicle("deepracer"), training.cars, observation=config.observation
    )
    baseline = build(make_env(config, simulator, reward, 0, training.start), config, seed=0)
    chunk = training.cars * training.horizon_steps

    def ours() -> int:
        torch.set_num_threads(1)  # as our trainer sets it
        learner.learn(learner.collect())
        learner.env.pop_episodes()
        return chunk

    def theirs() -> int:
        torch.set_num_threads(len(os.sched_getaffinity(0)))  # torch's default
        baseline.learn(chunk, reset_num_timesteps=False)
        return chunk

    speeds: dict[str, list[float]] = {"ours": [], "sb3": []}
    for loop in (ours, theirs):
        loop()
    for _ in range(rounds):
        for name, loop in (("ours", ours), ("sb3", theirs)):
            begin, steps = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds:
                steps += loop()
            speeds[name].append(steps / (time.perf_counter() - begin))
    return {
        "ppo_steps_per_s": statistics.median(speeds["ours"]),
        "sb3_steps_per_s": statistics.median(speeds["sb3"]),
        "ppo_vs_sb3": statistics.median(a / b for a, b in zip(speeds["ours"], speeds["sb3"], strict=True)),
    }


def train_seed(seed: int, minutes: float, track: str = TRACK) -> dict[str, Any]:
    """Train one model in processes of its own, as a user would.

    The exported policy is evaluated after every `STEP_S` of training until 10 of 10 laps are clean, and once more when
    the whole budget is spent.
    """
    with tempfile.TemporaryDirectory(prefix="deepracer-bench-") as home:
        environment = {**os.environ, "DEEPRACER_HOME": home}

        def deepracer(*words: str) -> dict[str, Any]:
            command = [sys.executable, "-m", "deepracer_training.cli", *words, "--json"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
            out: dict[str, Any] = json.loads(done.stdout)
            return out

        deepracer("create", "bench", "--track", track, "--seed", str(seed))
        clean_s = None
        training: dict[str, Any] = {}
        while clean_s is None and training.get("wall_s", 0.0) < 60.0 * minutes:
            resume = ["--resume"] if training else []
            training = deepracer("train", "bench", "--minutes", str(STEP_S / 60.0), *resume)
            evaluation = deepracer("evaluate", "bench", "--laps", "10", "--seed", str(seed), "--no-video")
            if evaluation["laps_completed"] == 10 and not evaluation["off_track_count"]:
                clean_s = training["wall_s"]
        rest = minutes - training["wall_s"] / 60.0
        if rest > 0:
            training = deepracer("train", "bench", "--minutes", str(rest), "--resume")
            evaluation = deepracer("evaluate", "bench", "--laps", "10", "--seed", str(seed), "--no-video")
    return {
        "seed": seed,
        "first_lap_s": training["first_lap_s"],
        "first_lap_steps": training["first_lap_steps"],
        "clean_s": clean_s,
        "steps": training["steps"],
        "wall_s": training["wall_s"],
        "peak_rss_mb": training["peak_rss_mb"],
        "laps_completed": evaluation["laps_completed"],
        "off_track_count": evaluation["off_track_count"],
        "lap_time_mean_s": evaluation["lap_time_mean_s"],
    }


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def main() -> None:
    """Run all benchmarks and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="seeds to train")
    parser.add_argument("--minutes", type=float, default=1.0, help="training budget of each seed")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    arguments = parser.parse_args()

    results: dict[str, Any] = {"machine": machine()}
    results["camera_frames_per_s"] = round(camera_frames_per_s(5.0))
    print(f"camera          {results['camera_frames_per_s']:>8,} frames/s of 160 x 120 with dynamics and referee")
    results |= {name: round(value, 2) for name, value in ppo_against_sb3(1.5, 15).items()}
    print(f"PPO             {results['ppo_steps_per_s']:>8,.0f} environment steps per second")
    print(f"SB3's PPO       {results['sb3_steps_per_s']:>8,.0f} with the same network, hyperparameters and environment")
    print(f"ratio           {results['ppo_vs_sb3']:>8.2f}")
    seeds = []
    for seed in range(1, arguments.seeds + 1):
        row = train_seed(seed, arguments.minutes)
        seeds.append(row)
        print(
            f"seed {seed}: first lap {_seconds(row['first_lap_s'])}, 10 of 10 laps clean {_seconds(row['clean_s'])}; "
            f"after {row['wall_s']:.0f} s {row['laps_completed']} of 10 laps, {row['off_track_count']} off-tracks"
        )
    results["training"] = seeds
    complete = all(row["laps_completed"] == 10 and not row["off_track_count"] and row["clean_s"] for row in seeds)
    lapped = all(row["first_lap_s"] is not None for row in seeds)
    results["first_lap_s"] = max(row["first_lap_s"] for row in seeds) if lapped else None
    results["training_to_10_of_10_s"] = max(row["clean_s"] for row in seeds) if complete else None
    results["peak_rss_mb"] = max(row["peak_rss_mb"] for row in seeds)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"first lap       {_seconds(results['first_lap_s']):>8} of training, worst of {len(seeds)} seeds")
    print(f"10 of 10 laps   {_seconds(results['training_to_10_of_10_s']):>8} of training, worst of {len(seeds)} seeds")
    print(f"peak memory     {results['peak_rss_mb']:>8,.0f} MB")
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()
