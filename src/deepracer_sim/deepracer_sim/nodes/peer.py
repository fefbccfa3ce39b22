"""Who is on the other side of the topics, and what a simulator there says about itself in its parameters."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python

from deepracer_inference.errors import UserError
from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.tracks.library import load_track
from deepracer_sim.tracks.track import Track

NAMES = ("mode", "track", "vehicle", "period_ns")
UNKNOWN = "_UNKNOWN_"
"""Part of a node's name as long as DDS has told of its topics only."""
NAMES_S = 4.0
"""So long a message waits for the names of nodes, which DDS may tell up to 3 s after their topics."""
LOOK_S = 0.1


def publishers(node: Node, topic: str) -> list[str]:
    """Return the full names of the nodes that publish a topic, as far as `node` knows them."""
    infos = node.get_publishers_info_by_topic(topic)
    return sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)


def introduced(node: Node, topic: str) -> str:
    """Name the publishers of a topic, for a message."""
    deadline = time.monotonic() + NAMES_S
    while any(UNKNOWN in name for name in publishers(node, topic)) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return ", ".join(publishers(node, topic))


def disagreement(given: Mapping[str, object], track: Track, vehicle: Vehicle) -> str | None:
    """Say in words where a simulator's parameters do not fit; parameters that it does not have are not compared.

    Args:
        given: What `ask` returned.
        track: The road it has to have.
        vehicle: The car it has to have.
    """
    if given.get("mode", "lockstep") != "lockstep":
        return f"its mode is {given['mode']}: start it with mode:=lockstep"
    try:
        if "track" in given and not _same_road(load_track(str(given["track"])), track):
            return f"its track is {given['track']}, but {track.name} is to be driven: start it with track:={track.name}"
        if "vehicle" in given and load_vehicle(str(given["vehicle"])) != vehicle:
            return f"its vehicle is {given['vehicle']}, but {vehicle.name} is to be driven: start it with that vehicle"
    except UserError:
        # Its files need not be on this machine.
        return None
    return None


def _same_road(one: Track, other: Track) -> bool:
    return np.array_equal(one.center, other.center) and np.array_equal(one.inner, other.inner)


def ask(context: Context, simulator: str, timeout_s: float) -> dict[str, object]:
    """Return the parameters `NAMES` of a simulator, as far as it has them.

    Args:
        context: To make a node in, for the time of the question.
        simulator: Full name of its node.
        timeout_s: Wait so long for its answer; without one there is nothing to compare.
    """
    asker = Node(
        "ros_simulator_question",
        context=context,
        start_parameter_services=False,
        # rclpy does not take this service back when the node is destroyed.
        parameter_overrides=[Parameter("start_type_description_service", value=False)],
    )
    executor = SingleThreadedExecutor(context=context)
    try:
        client = asker.create_client(GetParameters, f"{simulator}/get_parameters")
        if not client.wait_for_service(timeout_s):
            return {}
        executor.add_node(asker)
        future = client.call_async(GetParameters.Request(names=list(NAMES)))
        executor.spin_until_future_complete(future, timeout_s)
        if not future.done():
            return {}
        # A node that lacks one of them answers with none, or with one that is not set.
        values = map(parameter_value_to_python, future.result().values)
        return {name: value for name, value in zip(NAMES, values, strict=False) if value is not None}
    finally:
        executor.shutdown()
        asker.destroy_node()
