"""The cars of a simulator over topics, as training and evaluation want them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node

from deepracer_inference.config import parse
from deepracer_inference.observation import ObservationSpec
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.nodes.ros_simulator import RosSimulator
from deepracer_sim.simulator import Simulator
from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.track import Track
from deepracer_training.learner import Fleet
from deepracer_training.models.config import ModelConfig


@dataclass(frozen=True)
class TopicCars:
    """How to connect to a simulator over topics."""

    node: Node
    cars: int
    """Number of cars that it has."""
    timeout_s: float
    """Longest wait for it to appear, and for each of its answers."""
    interrupt: Callable[[], None]
    """Called while waiting; ends the wait by raising."""

    def connect(self, track: Track, vehicle: Vehicle, observation: ObservationSpec) -> Simulator:
        """Wait for the simulator and take its cars.

        Raises:
            RosSimulatorError: There is none, or it has another number of cars.
        """
        self.node.get_logger().info(f"Waiting for a simulator with {self.cars} cars in lock-step")
        return RosSimulator(
            track,
            vehicle,
            self.cars,
            observation=observation,
            node=self.node,
            timeout_s=self.timeout_s,
            connect_timeout_s=self.timeout_s,
            interrupt=self.interrupt,
        )

    def fleet(self, config: ModelConfig, seed: int) -> Fleet:
        """Return all cars for training and for trials alike: topics have one master."""
        simulator = self.connect(load_track(config.track), load_vehicle(config.vehicle), config.observation)
        return Fleet(simulator, simulator)

    def adapt(self, config: ModelConfig) -> ModelConfig:
        """Return a model's settings with this number of cars and rollouts as large as before.

        Raises:
            UserError: That makes no rollout.
        """
        training = config.training
        horizon = max(1, round(training.cars * training.horizon_steps / self.cars))
        changed = {**training.model_dump(), "cars": self.cars, "horizon_steps": horizon}
        return parse(
            {**config.model_dump(), "training": changed}, ModelConfig, f"model {config.name} with {self.cars} cars"
        )
