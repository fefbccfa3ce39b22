"""Laps under race rules with a policy that is finished learning: the drive of an evaluation and its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from deepracer_inference.runtime import OnnxPolicy
from deepracer_sim.race.referee import Referee, Verdict
from deepracer_sim.race.rules import STATUSES, EpisodeStatus, RaceRules
from deepracer_sim.simulator import CarStates, FloatArray, IntArray, Simulator
from deepracer_training.rewards.function import RewardError, RewardFunction
from deepracer_training.rewards.params import RewardInputs
from deepracer_training.traces import TraceRow, trace_row


@dataclass
class LapRecord:
    """What one lap leaves, step by step and in the end."""

    start_m: float
    """Arc length of the start on the centre line."""
    rows: list[TraceRow] = field(default_factory=list)
    """Of the trace; the time counts from the start of this lap."""
    poses: list[tuple[float, float, float]] = field(default_factory=list)
    """x, y, yaw of `base_link` after each step, m, m, rad."""
    speeds: list[float] = field(default_factory=list)
    """Measured after each step, m/s."""
    objects: list[FloatArray] = field(default_factory=list)
    """x, y, yaw of what is on the road after each step, (M, 3), m, m, rad; empty in a time trial."""
    status: EpisodeStatus = EpisodeStatus.PREPARE
    """How the lap ended."""
    lap_time_s: float | None = None
    """With penalties; None unless the lap is complete."""
    off_track_count: int = 0
    crash_count: int = 0
    immobilized_count: int = 0
    reversed_count: int = 0
    reset_count: int = 0

    def count(self, verdict: Verdict, car: int) -> None:
        """Take over the referee's counters."""
        self.off_track_count = int(verdict.off_track[car])
        self.crash_count = int(verdict.crashes[car])
        self.immobilized_count = int(verdict.immobilized[car])
        self.reversed_count = int(verdict.reversed[car])
        self.reset_count = int(verdict.resets[car])

    def finish(self, verdict: Verdict, car: int) -> None:
        """Take over how the lap ended."""
        self.status = STATUSES[verdict.status[car]]
        if self.status is EpisodeStatus.LAP_COMPLETE:
            self.lap_time_s = round(float(verdict.lap_time_s[car]), 6)


@dataclass(frozen=True)
class LapStep:
    """One control period of an evaluation, for listeners; arrays are only valid during the call."""

    records: list[LapRecord]
    """All laps so far: finished ones, those being driven, and none of those to come."""
    first: int
    """Index in `records` of car 0's lap; the other cars' follow."""
    verdict: Verdict
    state: CarStates
    progress: FloatArray
    """Percent of each lap being driven, never less than before, 100 when it is over."""


def lap_limit_s(length: float, top_speed: float, *, objects: bool) -> float:
    """Return the simulated time after which a lap counts as not completed, s.

    Args:
        length: Of the lap, m.
        top_speed: Of the policy, m/s.
        objects: Whether there are any on the road: behind a car that it dares not pass a careful policy loses time, and
            a crash costs more than leaving the road.
    """
    # Four times what the policy needs at full speed (at most 1 m/s), and half a minute for penalties.
    limit_s = 4.0 * length / min(top_speed, 1.0) + 30.0
    return 2.0 * limit_s if objects else limit_s


class LapDriver:
    """Drives one lap per car, all cars in lock-step, each as if it were alone."""

    def __init__(
        self,
        policy: OnnxPolicy,
        simulator: Simulator,
        reward: RewardFunction | None,
        *,
        lap_limit_s: float,
        collision_penalty_s: float = RaceRules.evaluation().collision_penalty_s,
    ) -> None:
        """Take the seats.

        Args:
            policy: Decides.
            simulator: Renders what the policy sees; with fewer cars than laps, each drives several.
            reward: The user's, for the trace; None writes zeros.
            lap_limit_s: Simulated time after which a lap counts as not completed.
            collision_penalty_s: Time that hitting something costs.
        """
        self.reward_error: str | None = None
        """Why the reward function failed, if it did; it is not called again then."""
        self._policy, self._simulator, self._reward = policy, simulator, reward
        max_steps = ceil(lap_limit_s * 1e9 / simulator.period_ns)
        changes = {"max_steps": max_steps, "collision_penalty_s": collision_penalty_s}
        rules = RaceRules.evaluation().model_copy(update=changes)
        self._referee = Referee(simulator.track, simulator.vehicle, rules, simulator.cars, simulator.period_ns)
        self._inputs = RewardInputs(simulator.track, simulator.vehicle)

    def drive(self, starts: FloatArray, on_step: Callable[[LapStep], None]) -> list[LapRecord]:
        """Drive until the last lap is over.

        Args:
            starts: Arc length on the centre line where each lap starts, m, `(N,)`.
            on_step: Called after each control period.
        """
        records: list[LapRecord] = []
        for first in range(0, len(starts), self._simulator.cars):
            records += [LapRecord(float(start)) for start in starts[first : first + self._simulator.cars]]
            self._drive_together(records, first, on_step)
        return records

    def _drive_together(self, all_records: list[LapRecord], first: int, on_step: Callable[[LapStep], None]) -> None:
        """Drive the laps from `first` on, one per car."""
        simulator, referee, records = self._simulator, self._referee, all_records[first:]
        cars = np.arange(len(records))
        if simulator.objects is not None:
            starts = simulator.objects.start(cars, np.array([record.start_m for record in records]))
            for record, start in zip(records, starts.tolist(), strict=True):
                record.start_m = start
        poses = simulator.track.pose_at(np.array([record.start_m for record in records]))
        simulator.reset(cars, poses)
        referee.start(cars, poses)
        racing = np.arange(simulator.cars) < len(records)
        progress = np.zeros(len(records))
        while racing.any():
            steering_angle, speed, actions = self._decide(np.flatnonzero(racing))
            simulator.step(*referee.govern(steering_angle, speed))
            state = simulator.state()
            verdict = referee.judge(state, simulator.objects)
            self._inputs.observe(verdict, state, steering_angle, speed, simulator.objects)
            for car in np.flatnonzero(racing).tolist():
                record = records[car]
                record.poses.append((float(state.x[car]), float(state.y[car]), float(state.yaw[car])))
                record.speeds.append(float(state.speed[car]))
                if simulator.objects is not None:
                    record.objects.append(simulator.objects.poses[car].copy())
                row = trace_row(
                    verdict,
                    car,
                    track=simulator.track,
                    episode=first + car,
                    yaw=float(state.yaw[car]),
                    steering_angle=float(steering_angle[car]),
                    speed=float(speed[car]),
                    action=actions[car],
                    reward=self._rate(verdict, car, first + car),
                    time_s=len(record.poses) * simulator.period_ns * 1e-9,
                )
                record.rows.append(row)
                record.count(verdict, car)
                if verdict.done[car]:
                    record.finish(verdict, car)
                    racing[car] = False
            replaced = np.flatnonzero(verdict.replaced & racing)
            simulator.reset(replaced, verdict.replace_pose[replaced])
            progress = np.maximum(progress, np.where(racing, verdict.progress, 100.0)[: len(records)])
            on_step(LapStep(all_records, first, verdict, state, progress))

    def _decide(self, racing: IntArray) -> tuple[FloatArray, FloatArray, list[int | None]]:
        count = self._simulator.cars
        readings = self._simulator.readings()
        steering_angle, speed = np.zeros(count), np.zeros(count)
        actions: list[int | None] = [None] * count
        for car in racing.tolist():
            # One car per call, as on the car: the last bits of a batch's results may depend on its size.
            command = self._policy.act({name: array[car : car + 1] for name, array in readings.items()})
            steering_angle[car], speed[car] = command.steering_angle[0], command.speed[0]
            if command.probabilities is not None:
                actions[car] = int(command.probabilities[0].argmax())
        return steering_angle, speed, actions

    def _rate(self, verdict: Verdict, car: int, lap: int) -> float:
        # As on AWS, a car that waits out a penalty earns nothing.
        if self._reward is None or STATUSES[verdict.status[car]] is EpisodeStatus.PAUSE:
            return 0.0
        try:
            return self._reward(self._inputs.params(car), lap)
        except RewardError as error:
            # Driving needs no rewards: a function made for one track must not forbid an evaluation on another.
            self.reward_error, self._reward = str(error), None
            return 0.0
