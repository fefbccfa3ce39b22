"""Evaluation: laps with the exported policy under race rules, and the evidence they leave."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import numpy as np

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import atomic_directory, sha256_of, write_atomic
from deepracer_inference.policy_file import PolicyFile, load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.objects import Objects, build_objects
from deepracer_sim.race.rules import RaceRules
from deepracer_sim.race_settings import RaceSettings, RaceType
from deepracer_sim.simulator import Simulator
from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.track import Track
from deepracer_training.laps import LapDriver, LapRecord, LapStep, lap_limit_s
from deepracer_training.metrics import EvaluationMetric, write_evaluation_metrics
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder, make_directory
from deepracer_training.object_trace import write_object_trace
from deepracer_training.results import (
    METRICS,
    OBJECTS,
    REPORT,
    RESULT,
    TRACE,
    VIDEO,
    EvaluationResult,
    LapResult,
    summarize,
)
from deepracer_training.rewards.function import RewardFunction
from deepracer_training.traces import TraceWriter

__all__ = ["EvaluationResult", "LapResult", "evaluate"]

MAX_LAPS = 1000
BuildCars = Callable[[PolicyFile, Track, Vehicle, int, Objects | None], Simulator]


def embedded_cars(
    policy: PolicyFile, track: Track, vehicle: Vehicle, laps: int, objects: Objects | None = None
) -> Simulator:
    """Build one car per lap in this process, in the world that the policy was trained in."""
    return EmbeddedSimulator(
        track, vehicle, laps, observation=policy.manifest.observation, seed=_world_seed(policy), objects=objects
    )


def evaluate(
    folder: ModelFolder,
    *,
    laps: int = 10,
    seed: int = 0,
    video: bool = True,
    track: str | None = None,
    race_type: RaceType | None = None,
    race: RaceSettings | None = None,
    build_simulator: BuildCars = embedded_cars,
    on_step: Callable[[float], None] | None = None,
    on_lap_step: Callable[[LapStep], None] | None = None,
) -> EvaluationResult:
    """Drive laps with a model's exported policy and write `evaluations/<id>/`, all of it or nothing.

    Every lap is a car of its own that starts somewhere on the centre line; the seed decides where. All cars are driven
    in lock-step, but a lap does not depend on the others: the first 5 of 10 laps are those of an evaluation with 5.
    Equal seeds give byte-identical traces.

    Args:
        folder: The model.
        laps: Number of laps.
        seed: Of the starts.
        video: Whether to film the first laps.
        track: Another track than the one the model was trained on.
        race_type: Another kind of race than the one the model was trained for.
        race: What is on the road then; AWS's settings of the race type when omitted.
        build_simulator: Makes the cars from the policy, the track, the vehicle, the number of laps and what else is on
            the road.
        on_step: Called now and then with the share of the work that is done, 0 to 1; may end it by raising.
        on_lap_step: Called after every control period; may end the evaluation by raising.

    Raises:
        UserError: The model has no policy yet, or something in its folder is wrong; nothing was written.
        DeepRacerError: The folder cannot be written.
    """
    if not 1 <= laps <= MAX_LAPS:
        raise UserError(f"the number of laps must be 1 to {MAX_LAPS}, but is {laps}")
    if not 0 <= seed < 2**32:
        raise UserError(f"the seed must be 0 to {2**32 - 1}, but is {seed}")
    if not folder.policy.exists():
        raise UserError(
            f"Model {folder.name!r} has no policy to evaluate yet; train it first: deepracer train {folder.name}"
        )
    config = folder.config
    policy = load_policy(folder.policy)
    road, vehicle = load_track(track or config.track), load_vehicle(policy.manifest.vehicle)
    tell = on_step or (lambda share: None)
    race_type, race = _race(config, race_type, race)
    objects = build_objects(race, road, laps, vehicle.control_period_ns, seed)
    simulator = build_simulator(policy, road, vehicle, laps, objects)
    camera = simulator if video and isinstance(simulator, EmbeddedSimulator) else None
    if video and camera is None:
        raise UserError("only the embedded simulator can film; evaluate with it, or without a video")

    def listen(step: LapStep) -> None:
        share = (step.first + float(step.progress.sum()) / 100.0) / laps
        tell(0.5 * share if video else share)
        if on_lap_step is not None:
            on_lap_step(step)

    penalty_s = RaceRules.evaluation().collision_penalty_s if race is None else race.collision_penalty_s
    records, reward_error = _drive(policy, simulator, folder, laps, seed, penalty_s, listen)

    make_directory(folder.evaluations)
    created = datetime.now(timezone.utc)
    name = f"{created:%Y%m%d-%H%M%S}-{next_number(folder.evaluations)}"
    target = folder.evaluations / name
    with atomic_directory(target) as building:
        (building / TRACE).parent.mkdir()
        starts_s = _timeline(records, simulator.period_ns)
        trace_sha256 = _write_trace(building / TRACE, records, starts_s)
        write_evaluation_metrics(building / METRICS, _metrics(records, starts_s))
        if simulator.objects is not None:
            write_object_trace(building / OBJECTS, records, simulator.objects)
        if camera is not None:
            from deepracer_training.report.video import write_video

            title = f"{folder.name} on {road.name}"
            write_video(building / VIDEO, records, camera, title, lambda share: tell(0.5 + 0.5 * share))
        result = EvaluationResult(
            id=name,
            created=created.isoformat(timespec="seconds"),
            model=folder.name,
            track=road.name,
            track_length_m=road.length,
            vehicle=vehicle.name,
            race_type=race_type,
            race=race,
            seed=seed,
            world_seed=_world_seed(policy),
            **summarize(records, policy.manifest.action_space.max_speed),
            reward_error=reward_error,
            trace_sha256=trace_sha256,
            hashes=_hashes(folder, policy, road),
            versions=_versions(),
            provenance=policy.manifest.provenance,
            trace=TRACE,
            metrics=METRICS,
            report=REPORT,
            video=VIDEO if video else None,
        )
        write_atomic(building / RESULT, result.model_dump_json(indent=2) + "\n")
        from deepracer_training.report.html import write_report

        write_report(building, result, road, folder)
    tell(1.0)
    return result.anchored(target)


def _drive(
    policy: PolicyFile,
    simulator: Simulator,
    folder: ModelFolder,
    laps: int,
    seed: int,
    collision_penalty_s: float,
    on_step: Callable[[LapStep], None],
) -> tuple[list[LapRecord], str | None]:
    manifest, track = policy.manifest, simulator.track
    reward, reward_error = None, None
    try:
        reward = RewardFunction.load(folder.reward, seed=seed)
    except UserError as error:
        reward_error = str(error)
    limit_s = lap_limit_s(track.length, manifest.action_space.max_speed, objects=simulator.objects is not None)
    driver = LapDriver(
        OnnxPolicy(policy), simulator, reward, lap_limit_s=limit_s, collision_penalty_s=collision_penalty_s
    )
    # One generator per lap: a lap's start does not depend on the number of laps.
    starts = np.array([track.length * np.random.default_rng([seed, lap]).random() for lap in range(laps)])
    records = driver.drive(starts, on_step)
    return records, reward_error or driver.reward_error


def _race(
    config: ModelConfig, race_type: RaceType | None, race: RaceSettings | None
) -> tuple[RaceType, RaceSettings | None]:
    """Decide what to race: what the caller wants, else what the model was made for."""
    wanted = race_type or config.race_type
    if race is None:
        race = config.race if wanted == config.race_type else RaceSettings.for_type(wanted)
    return wanted, race


def _world_seed(policy: PolicyFile) -> int:
    """Return the seed of the textures that the policy was trained with."""
    seed = policy.manifest.provenance.get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _timeline(records: list[LapRecord], period_ns: int) -> list[float]:
    """Return when each lap would have started if one car had driven them one after the other, s."""
    steps = np.cumsum([0, *(len(record.rows) for record in records)])
    return [round(float(count) * period_ns * 1e-9, 6) for count in steps[:-1]]


def _write_trace(path: Path, records: list[LapRecord], starts_s: list[float]) -> str:
    writer = TraceWriter()
    for record, start_s in zip(records, starts_s, strict=True):
        for row in record.rows:
            time_s = round(start_s + row.time_s, 6)
            writer.add(replace(row, time_s=time_s, wall_clock=time_s))
    return writer.write(path)


def _metrics(records: list[LapRecord], starts_s: list[float]) -> list[EvaluationMetric]:
    return [
        EvaluationMetric(
            trial=number,
            start_s=start_s,
            elapsed_s=record.rows[-1].time_s if record.lap_time_s is None else record.lap_time_s,
            progress=record.rows[-1].progress,
            status=record.status,
            crash_count=record.crash_count,
            immobilized_count=record.immobilized_count,
            off_track_count=record.off_track_count,
            reversed_count=record.reversed_count,
        )
        for number, (record, start_s) in enumerate(zip(records, starts_s, strict=True), 1)
    ]


def _hashes(folder: ModelFolder, policy: PolicyFile, track: Track) -> dict[str, str]:
    hashes = dict(policy.manifest.files)
    hashes["track waypoints"] = sha256_of(track.rows().tobytes())
    hashes |= {path.name: sha256_of(path) for path in (folder.config_path, folder.reward) if path.is_file()}
    return hashes


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("deepracer-training", "deepracer-sim", "deepracer-inference", "onnxruntime", "numba", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree that is not installed
            versions[package] = "not installed"
    return versions


def next_number(evaluations: Path) -> int:
    """Count the evaluations of a model; two processes at once get different numbers."""
    path = evaluations / ".counter"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with open(descriptor, "r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read().strip()
            number = int(text) + 1 if text.isdecimal() else 1
            file.seek(0)
            file.write(f"{number}\n")
            file.truncate()
    except OSError as error:
        raise DeepRacerError(f"Cannot write {path}: {error.strerror}") from error
    return number
