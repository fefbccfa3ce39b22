"""Gazebo behind the topics and services that every simulator here has."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.gazebo.lockstep import GazeboError
from deepracer_sim.gazebo.simulator import GazeboSimulator
from deepracer_sim.nodes.gazebo_services import GazeboServices
from deepracer_sim.nodes.gazebo_transport import RAW, GazeboTransport
from deepracer_sim.nodes.peer import introduced
from deepracer_sim.nodes.simulator_server import SimulatorServer
from deepracer_sim.nodes.simulator_settings import GazeboSettings
from deepracer_sim.tracks.track import Track

DISCOVERY_S = 1.0
"""So long another node that drives the world is looked for, before this one disturbs it."""


def make_server(name: str) -> SimulatorServer[GazeboSettings]:
    """Return a node of this name that serves Gazebo."""
    return SimulatorServer(name, GazeboSettings, _build)


def _build(
    node: Node, settings: GazeboSettings, track: Track, vehicle: Vehicle, interrupt: Callable[[], None]
) -> GazeboSimulator:
    services = GazeboServices(node, settings.timeout)
    services.wait(settings.connect_timeout)
    refuse_company(node, interrupt)
    transport = GazeboTransport(node, settings.cars, vehicle.geometry.wheelbase, services)
    node.get_logger().info("waiting for the world and its cars")
    return GazeboSimulator(
        track,
        vehicle,
        settings.cars,
        transport,
        timeout_s=settings.timeout,
        connect_timeout_s=settings.connect_timeout,
        interrupt=interrupt,
    )


def refuse_company(node: Node, interrupt: Callable[[], None]) -> None:
    """Raise if another node drives the world; both would lose the lock-step."""
    deadline = time.monotonic() + DISCOVERY_S
    while time.monotonic() < deadline:
        if names := introduced(node, f"{RAW}/camera_trigger"):
            raise GazeboError(f"The world in Gazebo is driven already, by {names}: end that node first")
        interrupt()
        time.sleep(0.05)
