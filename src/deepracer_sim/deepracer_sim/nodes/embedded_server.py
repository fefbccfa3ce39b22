"""The embedded simulator behind topics and services."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.nodes.simulator_server import SimulatorServer
from deepracer_sim.nodes.simulator_settings import SimulatorSettings
from deepracer_sim.tracks.track import Track


def make_server(name: str) -> SimulatorServer[SimulatorSettings]:
    """Return a node of this name that serves the embedded simulator."""
    return SimulatorServer(name, SimulatorSettings, _build)


def _build(
    node: Node, settings: SimulatorSettings, track: Track, vehicle: Vehicle, interrupt: Callable[[], None]
) -> EmbeddedSimulator:
    return EmbeddedSimulator(track, vehicle, settings.cars, observation=settings.shown, seed=settings.seed)
