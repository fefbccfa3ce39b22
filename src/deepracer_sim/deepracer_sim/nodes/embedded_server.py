"""The embedded simulator behind topics and services."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
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
    simulator = EmbeddedSimulator(track, vehicle, settings.cars, observation=settings.shown, seed=settings.seed)
    rehearsal = EmbeddedSimulator(track, vehicle, 1, observation=settings.shown, world=simulator.world)
    # On a machine that has never done it, compiling a step takes longer than whoever waits for the first one may wait.
    rehearsal.step(np.zeros(1), np.zeros(1))
    return simulator
