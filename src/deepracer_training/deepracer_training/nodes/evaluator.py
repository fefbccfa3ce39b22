"""Evaluation as a ROS node: the evaluation of the command line, with its laps and penalties as topics while it runs."""

from __future__ import annotations

import threading

from std_srvs.srv import Trigger

from deepracer_inference.errors import UserError
from deepracer_inference.nodes.parameters import declare, make_node
from deepracer_inference.policy_file import PolicyFile
from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import Objects
from deepracer_sim.race.rules import EpisodeStatus, RaceRules
from deepracer_sim.simulator import Simulator
from deepracer_sim.tracks.track import Track
from deepracer_training.evaluation import embedded_cars, evaluate
from deepracer_training.laps import LapRecord, LapStep
from deepracer_training.models.folder import ModelFolder
from deepracer_training.nodes.live_view import LiveView, Pacer
from deepracer_training.nodes.settings import CHANGEABLE, EvaluationSettings
from deepracer_training.nodes.telemetry import LogForwarder, Telemetry
from deepracer_training.nodes.topic_cars import TopicCars
from deepracer_training.nodes.worker import Worker
from deepracer_training.results import EvaluationResult

FIGURES = (
    "progress",
    "laps_finished",
    "laps_completed",
    "lap_time",
    "best_lap_time",
    "off_tracks",
    "crashes",
    "penalties",
    "penalty_time",
)
"""Topics below the node's name."""
FIGURES_RATE_HZ = 10.0
PENALTY_S = RaceRules.evaluation().off_track_penalty_s


class _Stopped(Exception):  # noqa: N818  (nothing went wrong)
    """Unwinds an evaluation that the user has ended."""


class Evaluator:
    """Owns the node and the evaluation, which runs in a thread of its own."""

    def __init__(self, name: str) -> None:
        """Read parameters and model, and advertise everything.

        Args:
            name: Of the node.

        Raises:
            UserError: A parameter is wrong, or the model.
        """
        self.node = make_node(name)
        self._view = LiveView(self.node)
        self._settings = settings = declare(
            self.node, EvaluationSettings, changeable=CHANGEABLE, on_change=self._view.set_rate
        )
        self._view.set_rate(settings)
        self._folder = ModelFolder.open(settings.model_name())
        self._stopped = threading.Event()
        self._reported: set[int] = set()
        self._pacer = Pacer(FIGURES_RATE_HZ)
        work = f"evaluation of {self._folder.name}"
        self._telemetry = Telemetry(self.node, work, {name: name for name in FIGURES})
        self.node.create_service(Trigger, "~/stop", self._stop)

    def run(self, stop: threading.Event) -> None:
        """Evaluate; `stop` ends that without a report."""
        with LogForwarder(self.node):
            Worker(self._evaluate, self._stopped.set, lambda: False).serve(self.node, stop)

    def close(self) -> None:
        """Release the topics."""
        self.node.destroy_node()

    def _evaluate(self) -> None:
        settings, logger = self._settings, self.node.get_logger()
        embedded = settings.simulator == "embedded"
        logger.info(f"Evaluating {self._folder.name}, {settings.laps} laps")
        try:
            result = evaluate(
                self._folder,
                laps=settings.laps,
                seed=settings.seed,
                video=settings.video and embedded,
                track=settings.track or None,
                build_simulator=self._embedded if embedded else self._over_topics,
                on_step=lambda share: self._check(),
                on_lap_step=self._on_lap_step,
            )
        except _Stopped:
            logger.info("Stopped; no report was written.")
            return
        self._telemetry.say("finished")
        logger.info(f"{_summary(result)}. The report is {result.report}")

    def _embedded(
        self, policy: PolicyFile, track: Track, vehicle: Vehicle, laps: int, objects: Objects | None
    ) -> Simulator:
        simulator = embedded_cars(policy, track, vehicle, laps, objects)
        self._view.watch(simulator)
        return simulator

    def _over_topics(
        self, policy: PolicyFile, track: Track, vehicle: Vehicle, laps: int, objects: Objects | None
    ) -> Simulator:
        if objects is not None:
            raise UserError(
                f"Model {self._folder.name!r} races among {objects.kinds[0].name} objects, which only the embedded "
                "simulator has; evaluate with simulator:=embedded"
            )
        cars = TopicCars(self.node, self._settings.cars, self._settings.timeout, self._check)
        return cars.connect(track, vehicle, policy.manifest.observation)

    def _on_lap_step(self, step: LapStep) -> None:
        self._view.show(step.state, ended=bool(step.verdict.done[0]))
        finished = {
            number: record
            for number, record in enumerate(step.records, 1)
            if record.status is not EpisodeStatus.PREPARE
        }
        new = [number for number in finished if number not in self._reported]
        if not new and not self._pacer.is_due():
            return
        for number in new:
            self.node.get_logger().info(_describe(number, finished[number]))
            self._telemetry.publish({"lap_time": finished[number].lap_time_s})
        self._reported.update(new)
        progress = (100.0 * step.first + float(step.progress.sum())) / self._settings.laps
        self._telemetry.publish({"progress": progress, **_count(step.records, list(finished.values()))})
        self._telemetry.set(f"{len(finished)} of {self._settings.laps} laps")

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def _stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._stopped.set()
        response.success, response.message = True, "the evaluation ends without a report"
        return response


def _count(records: list[LapRecord], finished: list[LapRecord]) -> dict[str, float | int | None]:
    times = [record.lap_time_s for record in finished if record.lap_time_s is not None]
    paused = sum(record.off_track_count + record.reversed_count for record in records)
    return {
        "laps_finished": len(finished),
        "laps_completed": len(times),
        "best_lap_time": min(times, default=None),
        "off_tracks": sum(record.off_track_count for record in records),
        "crashes": sum(record.crash_count for record in records),
        "penalties": sum(record.reset_count for record in records),
        "penalty_time": paused * PENALTY_S,
    }


def _describe(number: int, record: LapRecord) -> str:
    time = f" in {record.lap_time_s:.2f} s" if record.lap_time_s is not None else ""
    return f"Lap {number}: {record.status.value.replace('_', ' ')}{time}, {record.off_track_count} off-tracks"


def _summary(result: EvaluationResult) -> str:
    text = f"{result.laps_completed} of {result.laps} laps complete, {result.off_track_count} off-tracks"
    if result.lap_time_mean_s is not None and result.lap_time_best_s is not None:
        text += f", lap time {result.lap_time_mean_s:.2f} s, best {result.lap_time_best_s:.2f} s"
    return text
