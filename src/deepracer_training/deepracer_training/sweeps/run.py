"""The sweep itself: choose, clone, train, evaluate, and again; after a kill it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepracer_inference.errors import UserError
from deepracer_sim.tracks.library import load_track
from deepracer_training.checkpoint import CheckpointFolder
from deepracer_training.cloning import Start, clone
from deepracer_training.control import Control
from deepracer_training.evaluation import evaluate
from deepracer_training.models.folder import ModelFolder, locked, make_directory, model_names
from deepracer_training.sweeps.record import (
    Sweep,
    SweepSettings,
    TrialRecord,
    check_settings,
    read_sweep,
    score,
    sweep_folder,
)
from deepracer_training.sweeps.space import Choice, SearchSpace
from deepracer_training.training import Report, train

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 4
"""Trials that are drawn at random, and that nothing is stopped before."""
WARMUP_TENTHS = 2
"""Of the budget, in which nothing is stopped."""
EVALUATION_SEED = 0
"""The same starts for every variant."""


@dataclass(frozen=True)
class Hooks:
    """What a caller wants to hear."""

    on_trial: Callable[[TrialRecord], None] = lambda record: None
    """Called when a trial begins and when it ends."""
    on_update: Callable[[TrialRecord, Report], None] = lambda record, report: None
    """Called after every update of a training."""


def run_sweep(
    base: ModelFolder, name: str, space: SearchSpace, settings: SweepSettings, trials: int, hooks: Hooks | None = None
) -> tuple[Sweep, bool]:
    """Train variants until there are `trials` of them.

    The values are chosen by Optuna's tree-structured Parzen estimator, and a variant whose trial laps are worse than
    the median of the others at the same share of the budget is stopped. Equal seeds and step budgets give equal
    choices. What an earlier call of the same name has finished is kept, and what it was interrupted in goes on from its
    last checkpoint.

    Args:
        base: The model to vary.
        name: Of the sweep; its models are named `<name>-<number>`.
        space: What varies.
        settings: Budget, laps, seed.
        trials: How many variants there are to be.
        hooks: For progress.

    Returns:
        The sweep, and whether it came to its end; it did not if the user stopped it.

    Raises:
        UserError: The settings differ from those that the sweep was begun with, or cannot be used.
        DeepRacerError: A disk is full, another process runs this sweep, and so on; the next call goes on.
    """
    folder = sweep_folder(name)
    make_directory(folder)
    with locked(folder / ".lock", f"Sweep {name!r} is run by another process; wait for it."):
        stored = read_sweep(folder)
        if stored is not None:
            check_settings(stored.settings, settings, name)
        else:
            space.check(base.config)
        return _Sweep(base, name, space, stored or Sweep(settings=settings), folder, hooks or Hooks()).run(trials)


class _Sweep:
    def __init__(
        self, base: ModelFolder, name: str, space: SearchSpace, sweep: Sweep, folder: Path, hooks: Hooks
    ) -> None:
        self.base, self.name, self.space, self.sweep = base, name, space, sweep
        self.folder, self.hooks = folder, hooks
        self.settings = sweep.settings

    def run(self, trials: int) -> tuple[Sweep, bool]:
        self.sweep.write(self.folder)
        while (number := len([one for one in self.sweep.trials if one.state != "running"])) < trials:
            study = self._study(number)
            running = [one for one in self.sweep.trials if one.state == "running"]
            if running:
                study.enqueue_trial(running[0].values)
            trial = study.ask()
            values = self.space.suggest(trial)
            record = running[0] if running else self._new(number, values)
            self._keep(record)
            self.hooks.on_trial(record)
            try:
                finished = self._drive(record, trial)
            except UserError as error:
                # Values that do not go together, or a reward function that fails: the others may be better.
                finished = record.model_copy(update={"state": "failed", "reason": str(error)})
            if finished is None:
                return self.sweep, False
            self._keep(finished)
            self.hooks.on_trial(finished)
        return self.sweep, True

    def _new(self, number: int, values: dict[str, Choice]) -> TrialRecord:
        model = f"{self.name}-{number:02d}"
        if model in model_names():
            raise UserError(
                f"there is a model {model!r} already, which is not of sweep {self.name!r}; rename or delete it, or "
                "give the sweep another --name"
            )
        return TrialRecord(number=number, model=model, values=values)

    def _keep(self, record: TrialRecord) -> None:
        self.sweep = self.sweep.updated(record)
        self.sweep.write(self.folder)

    def _study(self, number: int) -> optuna.Study:
        """Return Optuna's study with all that is finished, ready to choose the values of a trial."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            direction="maximize",
            # A sampler of its own for each trial, so that a sweep that was interrupted goes on with the same choices.
            sampler=optuna.samplers.TPESampler(seed=self.settings.seed + number, n_startup_trials=STARTUP_TRIALS),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_TENTHS)
            if self.settings.prune
            else optuna.pruners.NopPruner(),
        )
        states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
        for record in self.sweep.trials:
            if record.state in states:
                study.add_trial(
                    optuna.trial.create_trial(
                        state=optuna.trial.TrialState[states[record.state]],
                        value=record.score if record.state != "failed" else None,
                        params=dict(record.values),
                        distributions=self.space.distributions(),
                        intermediate_values=dict(record.curve),
                    )
                )
        return study

    def _drive(self, record: TrialRecord, trial: optuna.Trial) -> TrialRecord | None:
        """Train and evaluate one variant; None if the user stopped it."""
        folder = self._model(record)
        length = load_track(folder.config.track).length
        control, curve = Control(), dict(record.curve)
        for tenth, value in curve.items():
            trial.report(value, tenth)
        pruned = False
        done, spent_steps = self._spent(folder)

        def listen(report: Report) -> None:
            nonlocal pruned
            self.hooks.on_update(record, report)
            laps = report.trial
            if laps is None:
                return
            value = score(laps.laps, laps.laps_completed, laps.progress_mean, laps.lap_time_mean_s, length)
            tenths = int(10.0 * (done + (1.0 - done) * report.share))
            for tenth in range(max(curve, default=0) + 1, tenths + 1):
                curve[tenth] = value
                trial.report(value, tenth)
            self._keep(record.model_copy(update={"curve": curve}))
            if report.share < 1.0 and trial.should_prune():
                pruned = True
                control.stop()

        if done < 1.0:
            minutes, steps = self.settings.minutes, self.settings.steps
            report = train(
                folder,
                minutes=None if minutes is None else minutes * (1.0 - done),
                steps=None if steps is None else steps - spent_steps,
                resume=done > 0.0,
                control=control,
                on_update=listen,
            )
            spent_steps = report.counters.steps
            if control.stopped and not pruned:
                return None
        record = record.model_copy(update={"curve": curve, "steps": spent_steps})
        if pruned:
            return record.model_copy(update={"state": "pruned", "score": list(curve.values())[-1]})
        return self._evaluated(record, folder)

    def _evaluated(self, record: TrialRecord, folder: ModelFolder) -> TrialRecord:
        result = evaluate(folder, laps=self.settings.laps, seed=EVALUATION_SEED, video=False)
        progress = sum(lap.progress for lap in result.lap_results) / result.laps
        value = score(result.laps, result.laps_completed, progress, result.lap_time_mean_s, result.track_length_m)
        return record.model_copy(
            update={
                "state": "complete",
                "score": value,
                "laps": result.laps,
                "laps_completed": result.laps_completed,
                "lap_time_mean_s": result.lap_time_mean_s,
                "off_track_count": result.off_track_count,
            }
        )

    def _model(self, record: TrialRecord) -> ModelFolder:
        """Return the model of a trial, made now unless an interrupted call has made it."""
        if record.model in model_names():
            return ModelFolder.open(record.model)
        variant = self.space.apply(self.base.config, record.values)
        start: Start = "best" if self.settings.start == "best" else "last" if self.settings.start == "last" else "none"
        return clone(
            self.base, record.model, config=variant.config, reward_source=variant.reward_source, start=start
        ).folder

    def _spent(self, folder: ModelFolder) -> tuple[float, int]:
        """Return the share of the budget and the steps that an interrupted call has used."""
        store = CheckpointFolder(folder.checkpoints)
        if not store.index():
            return 0.0, 0
        counters = store.load("last").state.counters
        if self.settings.steps is not None:
            return min(counters.steps / self.settings.steps, 1.0), counters.steps
        return min(counters.wall_s / (60.0 * (self.settings.minutes or 1.0)), 1.0), counters.steps
