"""What a training leaves for its reader: `metrics.jsonl` and TensorBoard events with the same, stable names."""

from __future__ import annotations

import json
from types import TracebackType
from typing import IO, Any

from deepracer_inference.files import write_atomic
from deepracer_sim.tracks.track import Track
from deepracer_training.environment import Step
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
    "steps_per_s": "time/steps_per_s",
    "trial_laps_completed": "trial/laps_completed",
    "trial_progress_mean": "trial/progress_mean",
    "trial_lap_time_mean_s": "trial/lap_time_mean_s",
}
"""Key in metrics.jsonl to TensorBoard tag; the x axis is environment steps."""

EPISODES_PER_FILE = 20
"""As in AWS's iterations by default."""


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
        self._writer: Any = None
        self._trace = TraceWriter()
        self._episode: int | None = None
        """Of car 0; None until its first whole episode begins."""

    def __enter__(self) -> TrainingLog:
        from torch.utils.tensorboard.writer import SummaryWriter  # takes a second to import

        path = self.folder.metrics_jsonl
        kept: list[str] = []
        purge_step = None
        if self._resume_after is not None and path.exists():
            rows = read_metrics_lines(path.read_text(encoding="utf-8"))
            kept = [json.dumps(row) for row in rows if row["update"] <= self._resume_after]
            purge_step = json.loads(kept[-1])["steps"] + 1 if kept else 0
        write_atomic(path, "".join(line + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(self.folder.tensorboard), purge_step=purge_step, max_queue=1000)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        self._writer.close()

    def write(self, metrics: dict[str, float | int | None]) -> None:
        """Log one update; None values are left out of TensorBoard and are null in metrics.jsonl."""
        assert self._file is not None
        self._file.write(json.dumps(metrics) + "\n")
        self._file.flush()
        for key, tag in TENSORBOARD_NAMES.items():
            if (value := metrics.get(key)) is not None:
                self._writer.add_scalar(tag, value, metrics["steps"])

    def record(self, step: Step) -> None:
        """Take one control period: car 0's episodes are a sample of the training that costs next to nothing.

        They go to `training-simtrace/<n>-iteration.csv`, `EPISODES_PER_FILE` each, because the community's log tools
        compute the number of an episode from that of its file.
        """
        done = bool(step.verdict.done[0])
        if self._episode is None:
            if done:
                self._episode = EPISODES_PER_FILE * len(list(self.folder.simtrace.glob("*-iteration.csv")))
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
        self._episode += done
        if done and self._episode % EPISODES_PER_FILE == 0:
            self.folder.simtrace.mkdir(parents=True, exist_ok=True)
            self._trace.write(self.folder.simtrace / f"{self._episode // EPISODES_PER_FILE - 1}-iteration.csv")
            self._trace = TraceWriter()


def read_metrics_lines(text: str) -> list[dict[str, Any]]:
    """Return the rows of a metrics.jsonl; a last line that a killed process left half-written is dropped."""
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
