"""What a training leaves for its reader: `metrics.jsonl` and TensorBoard events with the same, stable names."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.files import read_bytes, write_atomic
from deepracer_sim.race.rules import STATUSES
from deepracer_sim.tracks.track import Track
from deepracer_training.environment import Episode, Step
from deepracer_training.metrics import TrainingMetric, read_training_metrics, write_training_metrics
from deepracer_training.models.folder import ModelFolder
from deepracer_training.traces import TraceWriter, trace_row

TENSORBOARD_NAMES = {
    "reward_mean": "episode/reward_mean",
    "progress_mean": "episode/progress_mean",
    "lap_time_mean_s": "episode/lap_time_mean_s",
    "laps": "episode/laps",
    "policy_loss": "loss/policy",
    "value_loss": "loss/value",
    "entropy": "loss/entropy",
    "approx_kl": "ppo/approx_kl",
    "clip_fraction": "ppo/clip_fraction",
    "explained_variance": "ppo/explained_variance",
    "q_mean": "sac/q_mean",
    "lr": "train/learning_rate",
    "steps_per_s": "time/steps_per_s",
    "trial_laps_completed": "trial/laps_completed",
    "trial_progress_mean": "trial/progress_mean",
    "trial_lap_time_mean_s": "trial/lap_time_mean_s",
    "trial_reward_mean": "trial/reward_mean",
}
"""Key in metrics.jsonl to TensorBoard tag; the x axis is environment steps."""

OPTIONAL = {"approx_kl", "clip_fraction", "explained_variance", "q_mean", "lr"}
"""Figures of one training algorithm only, and the one that the first release did not have."""
KEYS = {"update", "steps", "wall_s", "episodes"} | {
    name for name in TENSORBOARD_NAMES.keys() - OPTIONAL if not name.startswith("trial_")
}
"""What each row of metrics.jsonl has; rows with a trial have its figures too."""

EPISODES_PER_FILE = 20
"""As in AWS's iterations by default."""
TRIALS_LOGGED = 5
"""Trial laps that go into AWS's metrics, which has at least so many between two iterations (MIN_EVAL_TRIALS)."""


class TrainingLog:
    """Appends one line per update, and now and then the trace of car 0; open it as a context manager."""

    def __init__(self, folder: ModelFolder, track: Track, *, resume_after: int | None) -> None:
        """Prepare the log.

        Args:
            folder: The model.
            track: Where the cars drive.
            resume_after: Update of the checkpoint that training resumes from; what a killed training logged after it
                never happened and is removed. None for a new training.
        """
        self.folder = folder
        self._track = track
        self._resume_after = resume_after
        self._file: IO[str] | None = None
        self._events: Any = None
        self._trace = TraceWriter()
        self._episode: int | None = None
        """Of car 0; None until its first whole episode begins."""
        self._start_ns, self._reward = 0, 0.0
        self._aws: list[dict[str, Any]] = []

    def __enter__(self) -> TrainingLog:
        path, resumed = self.folder.metrics_jsonl, self._resume_after is not None
        kept: list[dict[str, Any]] = []
        if resumed and path.exists():
            kept = [row for row in read_metrics(path) if row["update"] <= self._resume_after]
        write_atomic(path, "".join(json.dumps(row) + "\n" for row in kept))
        if resumed:
            # Its episodes are numbered like the traces, and those of an unfinished file were never written.
            written = EPISODES_PER_FILE * self._trace_files()
            self._aws = [row for row in read_training_metrics(self.folder.aws_metrics) if row["episode"] <= written]
        try:
            self._file = path.open("a", encoding="utf-8")
            self.folder.tensorboard.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns() // 1000}.{os.getpid()}"
            self._events = RecordWriter((self.folder.tensorboard / name).open("wb"))
        except OSError as error:
            raise self._failed(error) from error
        self._write_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if resumed:
            # TensorBoard forgets what the killed training logged from this step on.
            session = SessionLog(status=SessionLog.START)
            step = kept[-1]["steps"] + 1 if kept else 0
            self._write_event(Event(wall_time=time.time(), step=step, session_log=session))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(DeepRacerError):
            write_training_metrics(self.folder.aws_metrics, self._aws)
        for file in (self._file, self._events):
            if file is not None:
                with suppress(OSError):  # a full disk, which has been reported
                    file.close()

    def write(self, metrics: dict[str, float | int | None]) -> None:
        """Log one update; None values are left out of TensorBoard and are null in metrics.jsonl.

        Raises:
            DeepRacerError: A file cannot be written.
        """
        assert self._file is not None
        try:
            self._file.write(json.dumps(metrics) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for key, tag in TENSORBOARD_NAMES.items()
            if (value := metrics.get(key)) is not None
        ]
        step = int(metrics["steps"] or 0)
        self._write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write_event(self, event: Any) -> None:
        # SummaryWriter would do this in a thread of its own, whose errors nobody hears: a full disk, for example.
        assert self._events is not None
        try:
            self._events.write(event.SerializeToString())
            self._events.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> DeepRacerError:
        return DeepRacerError(
            f"Cannot write the training's metrics in {self.folder.training}: {error.strerror}. Mend that, and go on "
            "from the last checkpoint with --resume."
        )

    def record(self, step: Step) -> None:
        """Take one control period: car 0's episodes are a sample of the training that costs next to nothing.

        They go to `training-simtrace/<n>-iteration.csv`, `EPISODES_PER_FILE` each, because the community's log tools
        compute the number of an episode from that of its file.
        """
        done = bool(step.verdict.done[0])
        if self._episode is None:
            if done:
                self._episode = EPISODES_PER_FILE * self._trace_files()
                self._start_ns = step.state.time_ns
            return
        row = trace_row(
            step.verdict,
            0,
            track=self._track,
            episode=self._episode,
            yaw=float(step.state.yaw[0]),
            steering_angle=float(step.steering_angle[0]),
            speed=float(step.speed[0]),
            action=int(step.action[0]) if step.action.ndim == 1 else None,
            reward=float(step.reward[0]),
            time_s=step.state.time_ns * 1e-9,
        )
        self._trace.add(row)
        self._reward += row.reward
        if not done:
            return
        self._aws.append(
            TrainingMetric(
                reward=self._reward,
                start_s=self._start_ns * 1e-9,
                elapsed_s=(step.state.time_ns - self._start_ns) * 1e-9,
                episode=self._episode + 1,
                trial=self._episode % EPISODES_PER_FILE + 1,
                progress=row.progress,
                status=STATUSES[step.verdict.status[0]],
            ).as_json()
        )
        self._start_ns, self._reward = step.state.time_ns, 0.0
        self._episode += 1
        if self._episode % EPISODES_PER_FILE == 0:
            self.folder.simtrace.mkdir(parents=True, exist_ok=True)
            self._trace.write(self.folder.simtrace / f"{self._episode // EPISODES_PER_FILE - 1}-iteration.csv")
            self._trace = TraceWriter()
            write_training_metrics(self.folder.aws_metrics, self._aws)

    def record_trial(self, episode: Episode, start_s: float, period_s: float) -> None:
        """Take a lap of a trial.

        Args:
            episode: The lap.
            start_s: Simulated time when the trial began.
            period_s: Simulated time of one step.
        """
        if episode.car >= TRIALS_LOGGED:
            return
        self._aws.append(
            TrainingMetric(
                reward=episode.reward,
                start_s=start_s,
                elapsed_s=episode.steps * period_s,
                episode=max(self._episode or 0, 1),
                trial=episode.car + 1,
                progress=episode.progress,
                status=episode.status,
                phase="evaluation",
            ).as_json()
        )

    def _trace_files(self) -> int:
        return len(list(self.folder.simtrace.glob("*-iteration.csv")))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a metrics.jsonl.

    Reading ends at the first line that is none of ours: the last one, which a killed process left half-written, or
    whatever somebody put there.

    Raises:
        UserError: The file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    for line in read_bytes(path).decode("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not row.keys() >= KEYS:
            break
        rows.append(row)
    return rows
