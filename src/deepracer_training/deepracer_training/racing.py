"""Head-to-head between models: every car drives its own policy file, by its own rules, in one world with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from deepracer_inference.config import StrictModel
from deepracer_inference.errors import UserError
from deepracer_inference.policy_file import PolicyFile, load_policy
from deepracer_inference.runtime import OnnxPolicy
from deepracer_inference.vehicle import load_vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.lanes import Lanes
from deepracer_sim.objects import Rivals
from deepracer_sim.race.referee import Referee, Verdict
from deepracer_sim.race.rules import STATUSES, EpisodeStatus, RaceRules
from deepracer_sim.sensors import Sensors
from deepracer_sim.simulator import CarStates, FloatArray
from deepracer_sim.tracks.track import Track
from deepracer_training.laps import LapRecord, lap_limit_s
from deepracer_training.models.folder import ModelFolder
from deepracer_training.traces import trace_row

GRID_GAP_M = 0.75
"""Between two places of the grid, AWS's `START_POS_OFFSET`; they lie in the outer and the inner lane in turn."""
MAX_CARS, MAX_LAPS = 8, 100


class RacerResult(StrictModel):
    """How one car fared."""

    place: int
    model: str
    grid: int
    """Place at the start, from 1."""
    laps_completed: int
    finished: bool
    time_s: float
    """From the start to the end of its last lap, or until it gave up; penalties included."""
    lap_times_s: tuple[float, ...]
    best_lap_s: float | None
    progress: float
    """Of the lap in which the race ended, percent."""
    off_track_count: int
    crash_count: int
    immobilized_count: int
    reversed_count: int
    policy_sha256: str


class RaceResult(StrictModel):
    """A race; saved as `race.json`."""

    track: str
    track_length_m: float
    laps: int
    seed: int
    collision_penalty_s: float
    racers: tuple[RacerResult, ...]
    """By place."""


@dataclass
class Racer:
    """One car of a race."""

    folder: ModelFolder
    policy: PolicyFile
    driver: OnnxPolicy
    sensors: Sensors
    grid: int
    laps: list[LapRecord] = field(default_factory=list)
    """Finished ones and the one being driven; `objects` are the other cars."""
    racing: bool = True

    @property
    def lap_times(self) -> list[float]:
        """Of complete laps, s."""
        return [lap.lap_time_s for lap in self.laps if lap.lap_time_s is not None]

    @property
    def done(self) -> float:
        """Laps driven so far, with the part of the present one."""
        rows = self.laps[-1].rows
        return len(self.laps) - 1 + (0.01 * rows[-1].progress if rows else 0.0)

    def count(self, name: str) -> int:
        """Sum a counter of violations over all laps."""
        return sum(getattr(lap, name) for lap in self.laps)


def race(
    folders: Sequence[ModelFolder],
    *,
    laps: int = 3,
    seed: int = 0,
    road: Track,
    collision_penalty_s: float = RaceRules.evaluation().collision_penalty_s,
    on_step: Callable[[float], None] = lambda share: None,
) -> tuple[RaceResult, list[Racer]]:
    """Race models against each other until each has driven its laps or run out of time.

    All cars start at once from a staggered grid, whose order follows from the seed. Of two cars that touch, the one
    behind is at fault and is put back 1 m behind the other one; a car that waits out a penalty can be driven through.

    Args:
        folders: The models, two at least; one may be named twice.
        laps: Of each car.
        seed: Of the grid and the world's textures.
        road: The track.
        collision_penalty_s: Time that hitting another car costs.
        on_step: Hears the share of the race that is done, 0 to 1.

    Raises:
        UserError: There are too few or too many models, or one of them has no policy or needs another car.
    """
    if not 2 <= len(folders) <= MAX_CARS:
        raise UserError(f"a race takes 2 to {MAX_CARS} models, but {len(folders)} are given")
    if not 1 <= laps <= MAX_LAPS:
        raise UserError(f"the number of laps must be 1 to {MAX_LAPS}, but is {laps}")
    for folder in folders:
        if not folder.policy.exists():
            raise UserError(f"Model {folder.name!r} has no policy to race with; train it first")
    policies = [load_policy(folder.policy) for folder in folders]
    vehicles = {policy.manifest.vehicle for policy in policies}
    if len(vehicles) > 1:
        raise UserError(f"the models drive different cars, {', '.join(sorted(vehicles))}; a race is one of equal cars")
    vehicle = load_vehicle(policies[0].manifest.vehicle)
    rivals = Rivals(road, len(folders))
    simulator = EmbeddedSimulator(road, vehicle, len(folders), objects=rivals, seed=seed)
    order = np.random.default_rng([seed, 4]).permutation(len(folders)).tolist()
    racers = [
        Racer(
            folder,
            policy,
            OnnxPolicy(policy),
            Sensors(vehicle, len(folders), policy.manifest.observation, seed),
            1 + order.index(car),
        )
        for car, (folder, policy) in enumerate(zip(folders, policies, strict=True))
    ]
    _Heat(road, simulator, rivals, racers, laps, collision_penalty_s).run(on_step)
    return _result(road, racers, laps, seed, collision_penalty_s), racers


class _Heat:
    """One race from the start to the finish of the last car."""

    def __init__(
        self,
        road: Track,
        simulator: EmbeddedSimulator,
        rivals: Rivals,
        racers: list[Racer],
        laps: int,
        collision_penalty_s: float,
    ) -> None:
        self.simulator, self.rivals, self.racers, self.laps = simulator, rivals, racers, laps
        slowest = min(racer.policy.manifest.action_space.max_speed for racer in racers)
        lap_s = lap_limit_s(road.length, slowest, objects=True)
        rules = RaceRules.evaluation().model_copy(
            update={
                "collision_penalty_s": collision_penalty_s,
                "max_steps": ceil(lap_s * 1e9 / simulator.period_ns),
            }
        )
        self.referee = Referee(road, simulator.vehicle, rules, len(racers), simulator.period_ns)
        lanes = Lanes(road)
        signs = lanes.signs("alternate", len(racers), np.random.default_rng(0))
        poses = np.array([lanes.pose(-GRID_GAP_M * (racer.grid - 1), -signs[racer.grid - 1]) for racer in racers])
        cars = np.arange(len(racers))
        simulator.reset(cars, poses)
        self.referee.start(cars, poses)
        for racer, pose in zip(racers, poses, strict=True):
            racer.laps.append(LapRecord(float(road.project(pose[None, :2]).arc_length[0])))

    def run(self, on_step: Callable[[float], None]) -> None:
        """Drive until nobody races any more."""
        simulator, referee, racers = self.simulator, self.referee, self.racers
        share = 0.0
        while any(racer.racing for racer in racers):
            steering_angle, speed = np.zeros(len(racers)), np.zeros(len(racers))
            actions: list[int | None] = [None] * len(racers)
            for car, racer in enumerate(racers):
                if racer.racing:
                    command = racer.driver.act(simulator.look(racer.sensors, car))
                    steering_angle[car], speed[car] = command.steering_angle[0], command.speed[0]
                    if command.probabilities is not None:
                        actions[car] = int(command.probabilities[0].argmax())
            simulator.step(*referee.govern(steering_angle, speed))
            state = simulator.state()
            verdict = referee.judge(state, self.rivals)
            for car, racer in enumerate(racers):
                if racer.racing:
                    self._record(racer, car, verdict, state, (steering_angle, speed), actions[car])
            self.rivals.present[:] = [racer.racing and verdict.pause_s[car] <= 0.0 for car, racer in enumerate(racers)]
            replaced = np.flatnonzero(verdict.replaced & [racer.racing for racer in racers])
            simulator.reset(replaced, verdict.replace_pose[replaced])
            self._next_laps(verdict)
            racing = [racer for racer in racers if racer.racing]
            # The last car's; who is put back loses progress.
            share = max(share, min((racer.done for racer in racing), default=float(self.laps)) / self.laps)
            on_step(share)

    def _record(
        self,
        racer: Racer,
        car: int,
        verdict: Verdict,
        state: CarStates,
        commands: tuple[FloatArray, FloatArray],
        action: int | None,
    ) -> None:
        record = racer.laps[-1]
        record.poses.append((float(state.x[car]), float(state.y[car]), float(state.yaw[car])))
        record.speeds.append(float(state.speed[car]))
        record.objects.append(self.rivals.poses[car].copy())
        record.rows.append(
            trace_row(
                verdict,
                car,
                track=self.simulator.track,
                episode=len(racer.laps) - 1,
                yaw=float(state.yaw[car]),
                steering_angle=float(commands[0][car]),
                speed=float(commands[1][car]),
                action=action,
                reward=0.0,
                time_s=len(record.poses) * self.simulator.period_ns * 1e-9,
            )
        )
        record.count(verdict, car)

    def _next_laps(self, verdict: Verdict) -> None:
        """Let cars that have finished a lap begin the next one as they roll, or leave the race."""
        for car in np.flatnonzero(verdict.done).tolist():
            racer = self.racers[car]
            if not racer.racing:
                continue
            racer.laps[-1].finish(verdict, car)
            if STATUSES[verdict.status[car]] is EpisodeStatus.LAP_COMPLETE and len(racer.laps) < self.laps:
                self.referee.next_lap(np.array([car]))
                racer.laps.append(LapRecord(racer.laps[0].start_m))
            else:
                racer.racing = False
                self.rivals.present[car] = False


def _result(road: Track, racers: list[Racer], laps: int, seed: int, penalty_s: float) -> RaceResult:
    def standing(racer: Racer) -> tuple[int, float, float]:
        finished = len(racer.lap_times)
        return -finished, _time(racer) if finished == laps else -racer.laps[-1].rows[-1].progress, racer.grid

    return RaceResult(
        track=road.name,
        track_length_m=road.length,
        laps=laps,
        seed=seed,
        collision_penalty_s=penalty_s,
        racers=tuple(
            RacerResult(
                place=place,
                model=racer.folder.name,
                grid=racer.grid,
                laps_completed=len(racer.lap_times),
                finished=len(racer.lap_times) == laps,
                time_s=_time(racer),
                lap_times_s=tuple(racer.lap_times),
                best_lap_s=min(racer.lap_times, default=None),
                progress=racer.laps[-1].rows[-1].progress,
                off_track_count=racer.count("off_track_count"),
                crash_count=racer.count("crash_count"),
                immobilized_count=racer.count("immobilized_count"),
                reversed_count=racer.count("reversed_count"),
                policy_sha256=racer.policy.manifest.files["policy.onnx"],
            )
            for place, racer in enumerate(sorted(racers, key=standing), 1)
        ),
    )


def _time(racer: Racer) -> float:
    return round(sum(lap.lap_time_s or lap.rows[-1].time_s for lap in racer.laps), 6)
