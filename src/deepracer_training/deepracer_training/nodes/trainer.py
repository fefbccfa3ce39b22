"""Training as a ROS node: the training of the command line, with its figures as topics and its control as services."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import Trigger

from deepracer_inference.nodes.parameters import declare, make_node
from deepracer_training.control import Cancelled, Control
from deepracer_training.environment import Step
from deepracer_training.learner import Fleet, embedded_fleet
from deepracer_training.models.config import ModelConfig
from deepracer_training.models.folder import ModelFolder
from deepracer_training.nodes.live_view import LiveView
from deepracer_training.nodes.settings import CHANGEABLE, TrainerSettings
from deepracer_training.nodes.telemetry import LogForwarder, Telemetry
from deepracer_training.nodes.topic_cars import TopicCars
from deepracer_training.nodes.worker import Worker
from deepracer_training.training import Report, train

FIGURES = {
    "reward_mean": "episode_reward",
    "progress_mean": "progress",
    "lap_time_mean_s": "lap_time",
    "laps": "laps",
    "policy_loss": "policy_loss",
    "value_loss": "value_loss",
    "entropy": "entropy",
    "approx_kl": "approx_kl",
    "explained_variance": "explained_variance",
    "steps": "steps",
    "steps_per_s": "steps_per_s",
    "share": "budget_used",
    "trial_laps_completed": "trial_laps",
    "trial_progress_mean": "trial_progress",
    "trial_lap_time_mean_s": "trial_lap_time",
}
"""Topic below the node's name by the name in metrics.jsonl."""
LOG_INTERVAL_S = 5.0


class Trainer:
    """Owns the node and the training, which runs in a thread of its own."""

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
            self.node, TrainerSettings, changeable=CHANGEABLE, on_change=self._view.set_rate
        )
        self._view.set_rate(settings)
        self._folder = ModelFolder.open(settings.model_name())
        self._config = self._folder.config
        self._control = Control()
        self._report: Report | None = None
        self._log_at = 0.0
        self._build_fleet = self._embedded_fleet
        if settings.simulator == "ros":
            cars = TopicCars(self.node, settings.cars, settings.timeout, self._control.check)
            self._config, self._build_fleet = cars.adapt(self._config), cars.fleet
        self._telemetry = Telemetry(self.node, f"training of {self._folder.name}", FIGURES)
        for service, (act, answer) in {
            "pause": (self._pause, "training rests after the current update"),
            "resume": (self._resume, "training goes on"),
            "checkpoint": (self._control.save, "a trial and a checkpoint follow the current update"),
            "stop": (self._control.stop, "training ends with checkpoint and policy after the current update"),
        }.items():
            self.node.create_service(Trigger, f"~/{service}", _service(act, answer))

    def run(self, stop: threading.Event) -> None:
        """Train until the budget is spent; `stop` ends it at once, with a checkpoint."""
        with LogForwarder(self.node):
            Worker(self._train, self._control.cancel, lambda: self._report is not None).serve(self.node, stop)

    def close(self) -> None:
        """Release the topics."""
        self.node.destroy_node()

    def _train(self) -> None:
        settings, logger = self._settings, self.node.get_logger()
        budget = f"{settings.steps:,} steps" if settings.steps else f"{settings.minutes:g} min"
        config = self._config
        logger.info(f"Training {self._folder.name} on {config.track} with {config.training.cars} cars for {budget}")
        try:
            report = train(
                self._folder,
                minutes=None if settings.steps else settings.minutes,
                steps=settings.steps or None,
                seed=None if settings.seed < 0 else settings.seed,
                resume=settings.resume,
                control=self._control,
                config=config,
                build_fleet=self._build_fleet,
                on_update=self._on_update,
                on_step=self._on_step,
            )
        except Cancelled:
            logger.info("Stopped before the first update; the model is as it was.")
            return
        ended = "Stopped" if report.share < 1.0 else "Finished"
        logger.info(
            f"{ended} after {report.counters.steps:,} steps, checkpoint {report.counters.update}; "
            f"the policy is in {self._folder.policy}"
        )
        self._telemetry.say(ended.lower())

    def _embedded_fleet(self, config: ModelConfig, seed: int) -> Fleet:
        fleet = embedded_fleet(config, seed)
        self._view.watch(fleet.cars)
        return fleet

    def _on_step(self, step: Step) -> None:
        self._view.show(step.state, ended=bool(step.verdict.done[0]))

    def _on_update(self, report: Report) -> None:
        self._report = report
        self._telemetry.publish({**report.metrics, "share": report.share})
        if not self._control.paused:
            self._telemetry.say(f"training, {report.share:.0%}")
        now = time.monotonic()
        if now < self._log_at and not report.trial:
            return
        self._log_at = now + LOG_INTERVAL_S
        metrics = report.metrics
        trial = f", {report.trial.laps_completed} of {report.trial.laps} trial laps" if report.trial else ""
        self.node.get_logger().info(
            f"{report.share:4.0%}  update {metrics['update']}, progress {metrics['progress_mean'] or 0.0:.0f} %, "
            f"{metrics['laps']} laps{trial}, {metrics['steps_per_s']:.0f} steps/s"
        )

    def _pause(self) -> None:
        self._control.pause()
        self._telemetry.say("paused", DiagnosticStatus.WARN)

    def _resume(self) -> None:
        self._control.resume()
        self._telemetry.say("training")


def _service(act: Callable[[], None], answer: str) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
    def respond(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        act()
        response.success, response.message = True, answer
        return response

    return respond
