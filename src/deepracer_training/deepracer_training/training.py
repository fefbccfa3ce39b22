"""The training run: collect, learn, log, evaluate, save; until the budget is spent or the user has seen enough."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
import torch

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.files import atomic_directory, sha256_of
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.race.rules import EpisodeStatus
from deepracer_training.checkpoint import (
    BEST,
    CheckpointFolder,
    Counters,
    Task,
    TrainingState,
    capture,
    read_checkpoint,
    restore,
)
from deepracer_training.control import Cancelled, Control, stop_on_signal
from deepracer_training.environment import Episode, Step
from deepracer_training.export import export_policy
from deepracer_training.history import Ending, SessionRecord
from deepracer_training.learner import (
    Fleet,
    Trial,
    drive_trial,
    embedded_fleet,
    global_random_state,
    make_env,
    set_global_random_state,
)
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder
from deepracer_training.replay_folder import ReplayFolder
from deepracer_training.rewards.function import RewardError, RewardFunction
from deepracer_training.sac_learner import SacLearner, make_learner
from deepracer_training.training_log import TrainingLog
from deepracer_training.transfer import adopt

logger = logging.getLogger(__name__)

TRIAL_EVERY = 10
"""Updates between two greedy evaluations, each followed by a checkpoint."""
SAVE_EVERY_S = 30.0
"""Longest training time without a checkpoint, apart from the update under way."""
EPISODE_WINDOW = 40
LAST_LR_SHARE = 0.05
"""Of the learning rate that is left at the end of a linear schedule."""


@dataclass(frozen=True)
class Report:
    """What a listener hears after each update."""

    counters: Counters
    metrics: dict[str, float | int | None]
    trial: Trial | None
    share: float
    """Part of the budget that is used, 0 to 1."""


def train(
    folder: ModelFolder,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    control: Control | None = None,
    config: ModelConfig | None = None,
    build_fleet: Callable[[ModelConfig, int], Fleet] = embedded_fleet,
    on_update: Callable[[Report], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Report:
    """Train a model and export its best policy.

    The budget is spent in this call, on top of what earlier ones spent if `resume` is set. With `steps`, equal seeds
    give identical metrics; with `minutes`, how far the training gets depends on the machine.

    Args:
        folder: The model.
        minutes: Wall-clock budget.
        steps: Budget in environment steps of all cars together.
        seed: Overrides the one of model.yaml.
        resume: Go on from the last checkpoint. Without it, an earlier training is kept as `training/previous-<n>`.
        control: Lets another thread pause, save and stop; Ctrl-C and SIGTERM stop too.
        config: Instead of the folder's, when a caller changes a setting for this training only.
        build_fleet: Makes the simulators from the configuration and the seed.
        on_update: Called after every update.
        on_step: Called after every control period.

    Raises:
        UserError: Something in the model folder is wrong; the folder is as it was before, or as of the last checkpoint.
        DeepRacerError: A simulator failed; what was learned before is in the last checkpoint.
        Cancelled: `control.cancel` was called before anything was learned; the folder is as it was before.
    """
    if (minutes is None) == (steps is None):
        raise UserError("give the training budget either as minutes or as steps")
    if (minutes is not None and not 0 < minutes < math.inf) or (steps is not None and steps <= 0):
        raise UserError(f"the training budget must be positive, but is {minutes if steps is None else steps}")
    with folder.lock():
        run = _Run(folder, config or folder.config, seed, resume, build_fleet)
        if on_step is not None:
            run.learner.env.listeners.append(on_step)
        return run.loop(minutes, steps, control or Control(), on_update or (lambda report: None))


class _Run:
    """One call of `train`, in the order in which things happen."""

    def __init__(
        self,
        folder: ModelFolder,
        config: ModelConfig,
        seed: int | None,
        resume: bool,
        build_fleet: Callable[[ModelConfig, int], Fleet],
    ) -> None:
        self.folder, self.config = folder, config
        self.store = CheckpointFolder(folder.checkpoints)
        self.vehicle: Vehicle = load_vehicle(self.config.vehicle)
        self.counters = Counters()
        self.recent: list[Episode] = []
        if folder.policy.exists() and not folder.policy.is_dir():
            raise UserError(f"{folder.policy} is in the way: the policy is written to a folder of this name; remove it")
        checkpoint = self.store.load("last") if resume else None
        self.seed = self.config.training.seed if seed is None else seed
        if checkpoint is not None:
            _check_resumable(checkpoint.state, config, seed)
            self.seed = checkpoint.state.seed
        reward = RewardFunction.load(folder.reward, seed=self.seed)
        self.task = Task(track=config.track, reward_function_sha256=sha256_of(folder.reward))
        self.record = SessionRecord(
            folder.history,
            before=checkpoint.state if checkpoint is not None else None,
            config=config,
            seed=self.seed,
            reward_source=reward.source,
            reward_sha256=self.task.reward_function_sha256,
        )
        self.keep_best = checkpoint is not None and checkpoint.state.task == self.task
        """Whether a best checkpoint of an earlier run may still be the best of this one."""
        fleet = build_fleet(self.config, self.seed)
        env = make_env(self.config, fleet.cars, reward, self.seed, self.config.training.start)
        self.learner = make_learner(self.config, env, self.seed)
        self.replay = ReplayFolder(folder.replay, self.learner.replay) if isinstance(self.learner, SacLearner) else None
        self.trial_env = make_env(self.config, fleet.trial, reward, self.seed, "random")
        if checkpoint is not None:
            self.store.load("best")  # to be found damaged now, not when the budget is spent
            restore(checkpoint, self.learner.agent, self.learner.optimizer, self.learner.generator)
            env.set_random_state(checkpoint.state.starts)
            set_global_random_state(checkpoint.state.globals)
            self.counters = checkpoint.state.counters
            if self.replay is not None:
                self._load_replay(checkpoint.state)
            if not self.keep_best:
                logger.warning("Track or reward function have changed: the best checkpoint is chosen anew.")
                self.counters.best = self.counters.best_reward = self.counters.best_lap_time = []
        elif folder.pretrained.is_file():
            for reuse in adopt(read_checkpoint(folder.pretrained), self.learner.agent, self.config):
                logger.info("From the parent: %s", reuse)
        self.resumed = checkpoint is not None
        for change in self.record.session.change_lines():
            logger.info("Changed since the last training: %s", change)

    def loop(
        self, minutes: float | None, steps: int | None, control: Control, on_update: Callable[[Report], None]
    ) -> Report:
        """Alternate between driving and learning until the budget is spent or a signal asks to stop."""
        counters, learner = self.counters, self.learner
        start_steps, start_wall, begin = counters.steps, counters.wall_s, time.perf_counter()
        log: TrainingLog | None = None
        report: Report | None = None
        share = 0.0
        for env in (self.trial_env, learner.env):
            env.listeners.append(lambda step: control.check())
        try:
            with ExitStack() as stack:
                stack.enter_context(stop_on_signal(control))
                while True:
                    update_begin = time.perf_counter()
                    try:
                        rollout = learner.collect()
                        lr = self._set_learning_rate(share)
                        stats = {**learner.learn(rollout, control.check), "lr": lr}
                    except Cancelled:
                        if report is None:
                            raise
                        break
                    taken = rollout.rewards.numel()
                    counters.update += 1
                    counters.steps += taken
                    counters.wall_s = start_wall + time.perf_counter() - begin
                    metrics = self._count(stats, taken / (time.perf_counter() - update_begin))
                    if log is None:
                        # Only now, when all has proved to work, does a new training take the place of an old one.
                        log = stack.enter_context(self._open_log())
                    if minutes is not None:
                        share = (counters.wall_s - start_wall) / (60 * minutes)
                    else:
                        share = (counters.steps - start_steps) / (steps or 1)
                    finished = share >= 1 or control.stopped
                    due = finished or control.take_save_request() or counters.update % TRIAL_EVERY == 0
                    trial = self._drive_trial(log) if due else None
                    finished = finished or control.cancelled
                    counters.wall_s = start_wall + time.perf_counter() - begin
                    if trial:
                        metrics |= {f"trial_{name}": value for name, value in asdict(trial).items() if name != "laps"}
                        if trial.laps_completed == trial.laps and counters.clean_s is None:
                            counters.clean_s = counters.wall_s
                    log.write(metrics)
                    if trial or time.perf_counter() - self.saved_at > SAVE_EVERY_S:
                        self._save(trial)
                    report = Report(counters, metrics, trial, min(share, 1.0))
                    on_update(report)
                    if finished:
                        break
                    begin += control.wait_while_paused()
                if control.cancelled:
                    self._save(None)
        except RewardError as error:
            kept = "nothing else was changed"
            if log is not None:
                self._save(None, "failed")
                self._export()
                kept = "the training up to it is kept, with its policy"
            path = self.folder.training / "failed_step.json"
            error.save_failed_step(path)
            raise UserError(f"{error}. The step is saved in {path}; {kept}.") from error
        except DeepRacerError:
            if report is not None:
                self._save(None, "failed")
            raise
        self.record.write(counters, "finished" if report.share >= 1.0 else "stopped")
        self._export()
        return report

    def _set_learning_rate(self, share: float) -> float:
        """Follow the schedule at a share of the budget; return the learning rate."""
        lr = self.config.hyperparameters.lr
        if self.config.training.lr_schedule == "linear":
            lr *= max(1.0 - share, LAST_LR_SHARE)
        for group in self.learner.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _load_replay(self, before: TrainingState) -> None:
        """Remember what the training to resume has remembered, unless it drove for other rewards than now."""
        assert self.replay is not None
        if before.task == self.task and before.config.race == self.config.race:
            self.replay.load(before.replay)
        else:
            logger.warning("Track, race or reward function have changed: the replay buffer is filled anew.")

    def _open_log(self) -> TrainingLog:
        """Let the training begin on disk: a new one starts with its first checkpoint, in one step."""
        if not self.resumed:
            _keep_aside(self.folder)
            self._save(None)
            for path in (self.folder.tensorboard, self.folder.simtrace):
                shutil.rmtree(path, ignore_errors=True)
            self.folder.aws_metrics.unlink(missing_ok=True)
        self.saved_at = time.perf_counter()
        env = self.learner.env
        log = TrainingLog(
            self.folder, env.simulator.track, resume_after=self.counters.update - 1 if self.resumed else None
        )
        env.listeners.append(log.record)
        return log

    def _count(self, stats: dict[str, float], steps_per_s: float) -> dict[str, float | int | None]:
        counters = self.counters
        episodes = self.learner.env.pop_episodes()
        laps = [episode for episode in episodes if episode.status is EpisodeStatus.LAP_COMPLETE]
        counters.episodes += len(episodes)
        counters.laps += len(laps)
        if laps and counters.first_lap_s is None:
            counters.first_lap_s, counters.first_lap_steps = counters.wall_s, counters.steps
        self.recent = (self.recent + episodes)[-EPISODE_WINDOW:]
        recent_laps = [episode.lap_time_s for episode in self.recent if episode.status is EpisodeStatus.LAP_COMPLETE]
        return {
            "update": counters.update,
            "steps": counters.steps,
            "wall_s": round(counters.wall_s, 3),
            "episodes": counters.episodes,
            "reward_mean": _mean([episode.reward for episode in self.recent]),
            "progress_mean": _mean([episode.progress for episode in self.recent]),
            "laps": counters.laps,
            "lap_time_mean_s": _mean(recent_laps),
            **stats,
            "steps_per_s": round(steps_per_s, 1),
        }

    def _drive_trial(self, log: TrainingLog) -> Trial | None:
        simulator = self.trial_env.simulator
        start_s = simulator.state().time_ns * 1e-9
        try:
            trial = drive_trial(
                self.learner.agent,
                self.trial_env,
                self.seed,
                lambda episode: log.record_trial(episode, start_s, simulator.period_ns * 1e-9),
            )
        except Cancelled:
            return None
        if self.learner.env.simulator is self.trial_env.simulator:
            self.learner.restart()  # its cars were borrowed
        return trial

    def _save(self, trial: Trial | None, ended: Ending | None = None) -> None:
        """Write a checkpoint and the history; without a trial it is the best one only if none was for this task."""
        scores = trial.scores if trial else {metric: list[float]() for metric in BEST}
        best = []
        for metric, key in BEST.items():
            before: list[float] = getattr(self.counters, key)
            if not self.keep_best or not before or scores[metric] > before:
                setattr(self.counters, key, [float(value) for value in scores[metric]])
                best.append(metric)
        self.keep_best = True
        learner = self.learner
        state = TrainingState(
            seed=self.seed,
            task=self.task,
            config=self.config,
            counters=self.counters,
            starts=learner.env.random_state(),
            globals=global_random_state(),
            replay=self.replay.save() if self.replay is not None else (),
        )
        checkpoint = capture(learner.agent, learner.optimizer, learner.generator, state)
        self.store.save(checkpoint, self.counters.update, best=best)
        if self.replay is not None:
            self.replay.tidy()
        self.record.write(self.counters, ended)
        self.saved_at = time.perf_counter()

    def _export(self) -> None:
        best = self.store.load("best")
        restore(best, self.learner.agent, None, None)
        counters = best.state.counters
        provenance = {
            "model": self.folder.name,
            "track": best.state.task.track,
            "seed": self.seed,
            "update": counters.update,
            "steps": counters.steps,
            "training_s": round(counters.wall_s, 1),
            "reward_function_sha256": best.state.task.reward_function_sha256,
            "torch": torch.__version__,
        }
        export_policy(self.folder, self.config, self.learner.agent, self.vehicle, provenance)


def _check_resumable(state: TrainingState, config: ModelConfig, seed: int | None) -> None:
    """Refuse to go on with weights that would mean something else under the present model.yaml."""
    seeds = {
        "--seed": (seed, state.seed),
        "training.seed in model.yaml": (config.training.seed, state.config.training.seed),
    }
    for name, (now, before) in seeds.items():
        if now is not None and now != before:
            raise UserError(f"{name} is {now}, but was {before} in the training to resume; undo that, or start anew")
    for key in ("training_algorithm", "network", "observation", "action_space", "vehicle"):
        before, now = getattr(state.config, key), getattr(config, key)
        if before != now:
            raise UserError(
                f"model.yaml: {key} was {before} in the training to resume, but is {now} now, and the weights fit the "
                "old one only; undo the change, or start anew with train without --resume"
            )


def _keep_aside(folder: ModelFolder) -> None:
    """Copy an earlier training to `training/previous-<n>`, whole or not at all, before it is overwritten."""
    written = (
        folder.checkpoints,
        folder.metrics_jsonl,
        folder.aws_metrics,
        folder.tensorboard,
        folder.simtrace,
        folder.history,
    )
    earlier = [path for path in written if path.exists()]
    if not earlier:
        return
    number = 1
    while (target := folder.training / f"previous-{number}").exists():
        number += 1
    with atomic_directory(target) as building:
        for path in earlier:
            if path.is_dir():
                shutil.copytree(path, building / path.name)
            else:
                shutil.copy2(path, building / path.name)
    logger.warning("The earlier training is kept in %s.", target)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
