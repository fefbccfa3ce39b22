"""docs/ros.md and the layouts of RViz and rqt tell what the running nodes have: topics, types, QoS, parameters."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from rcl_interfaces.msg import ParameterDescriptor, ParameterType  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.topic_endpoint_info import TopicEndpointTypeEnum  # noqa: E402

from deepracer_training.models.config import ModelConfig, preset_config  # noqa: E402
from deepracer_training.models.folder import ModelFolder  # noqa: E402
from deepracer_training.training import train  # noqa: E402

FOLDER = Path(__file__).parents[1]
DOCS = FOLDER.parents[1] / "docs" / "ros.md"
NODES = {
    "simulator_node": "deepracer_sim",
    "trainer_node": "deepracer_training",
    "evaluation_node": "deepracer_training",
}
PATIENCE_S = 300.0
"""Guards against hanging; the first start on a machine compiles the kernels."""
DISCOVERED_S = 10.0
"""DDS tells of topics one by one."""
OF_EVERY_NODE = re.compile(r".*/(rosout|\w*parameter\w*|get_type_description)")
PARAMETERS_OF_EVERY_NODE = ("use_sim_time", "start_type_description_service", "qos_overrides")
TYPES = {"string": "STRING", "int": "INTEGER", "double": "DOUBLE", "bool": "BOOL"}
NUMBER = r"2\^31 - 1|-?\d[\d,]*(?:\.\d+)?"
DISPLAYS = {
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "Path": "nav_msgs/msg/Path",
    "Odometry": "nav_msgs/msg/Odometry",
    "Image": "sensor_msgs/msg/Image",
    "SetInitialPose": "geometry_msgs/msg/PoseWithCovarianceStamped",
}


class Endpoint(NamedTuple):
    """A topic as a node has it."""

    topic: str
    kind: str
    direction: str
    latched: bool


@pytest.fixture(scope="module")
def bystander(
    tmp_path_factory: pytest.TempPathFactory, ros_domain: Callable[[], AbstractContextManager[None]]
) -> Iterator[Node]:
    """A node that sees all the others at work; they end with the module."""
    processes = []
    with ros_domain(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPRACER_HOME", str(tmp_path_factory.mktemp("home")))
        config = preset_config("fast", name="m", track="oval").model_dump()
        config["hyperparameters"]["batch_size"] = 64
        config["training"].update({"cars": 8, "horizon_steps": 16})
        reward = "def reward_function(params):\n    return params['speed']\n"
        train(ModelFolder.create("m", ModelConfig.model_validate(config), reward), steps=8 * 16)
        for program, given in (
            ("simulator_node", ["track:=oval", "mode:=lockstep"]),
            ("trainer_node", ["model:=m", "minutes:=10.0", "resume:=true"]),
            ("evaluation_node", ["model:=m", "laps:=1000", "video:=false"]),
        ):
            arguments = [each for parameter in given for each in ("-p", parameter)]
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", f"{NODES[program]}.nodes.{program}", "--ros-args", *arguments],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    stderr=subprocess.DEVNULL,
                )
            )
        context = rclpy.Context()
        rclpy.init(args=[], context=context)
        node = Node("bystander", context=context)
        # What the embedded simulator shows comes last. DDS tells the names of nodes after their topics.
        wait_until(lambda: owners(node, "/track_markers").keys() == NODES.keys() <= set(node.get_node_names()))
        yield node
        node.destroy_node()
        context.try_shutdown()
        for process in processes:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def owners(node: Node, topic: str) -> dict[str, Any]:
    """Return publishers and subscriptions of a topic by the name of their node."""
    return {
        each.node_name: each
        for each in (*node.get_publishers_info_by_topic(topic), *node.get_subscriptions_info_by_topic(topic))
    }


def endpoints(node: Node, name: str) -> set[Endpoint]:
    """Return all topics of a running node, but those that every node has."""
    found = set()
    for direction, names_of, infos_of in (
        ("out", node.get_publisher_names_and_types_by_node, node.get_publishers_info_by_topic),
        ("in", node.get_subscriber_names_and_types_by_node, node.get_subscriptions_info_by_topic),
    ):
        for topic, (kind,) in names_of(name, "/"):
            if OF_EVERY_NODE.fullmatch(topic):
                continue
            (info,) = [each for each in infos_of(topic) if each.node_name == name]
            assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE, topic
            latched = info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            found.add(Endpoint(topic, kind.replace("/msg/", "/"), direction, latched))
    return found


def section(title: str, until: str = "\n##") -> str:
    """Return the text of the documentation under a title."""
    return DOCS.read_text().split(f"# {title}\n", 1)[1].split(until)[0]


def tables(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of all tables by the heads of their columns; an empty first cell is that of the row above."""
    head: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            head = []
        elif not head:
            head = [cell.strip() for cell in line.strip("|").split("|")]
            above = ""
        elif not line.startswith("|--"):
            cells = [cell.strip() for cell in line[1:-1].split("|")]
            cells[0] = above = cells[0] or above
            yield dict(zip(head, cells, strict=True))


def names(cell: str) -> list[str]:
    """Return the names in a cell: what stands before the last slash (dot) of the first counts for the others too."""
    first, *others = re.findall(r"`([^`]+)`", cell)
    prefix = first[: first.rindex("/") + 1] if "/" in first else ""
    return [first, *(name if "/" in name else prefix + name for name in others)]


def documented(node: str) -> set[Endpoint]:
    """Return the topics that the documentation tells of a node."""
    found = set()
    for row in tables(section(node)):
        if "topic" not in row:
            continue
        for name in names(row["topic"]):
            topic = "/" + name.removeprefix("/").replace("<i>", "0")
            if (other := re.search(r"as (\w+_node)", f"{row['type']} {row['what']}")) and not row["type"].count("/"):
                start = topic.removesuffix("...")
                found |= {each for each in documented(other[1]) if each.topic.startswith(start) and each[2] == "out"}
            else:
                latched = row["QoS"].split("; ")[-1 if name.endswith("static") else 0] == "state"
                found.add(Endpoint(topic, row["type"], row.get("direction", "out"), latched))
    return found


@pytest.mark.parametrize("name", NODES)
def test_the_docs_tell_every_topic_with_type_and_qos(bystander: Node, name: str) -> None:
    # The wheels on PyPI have no tf2_msgs.
    told = {each for each in documented(name) if not each.topic.startswith("/tf")}

    def there() -> set[Endpoint]:
        return {each for each in endpoints(bystander, name) if not each.topic.startswith("/tf")}

    deadline = time.monotonic() + DISCOVERED_S
    while there() != told and time.monotonic() < deadline:
        time.sleep(0.05)
    assert there() == told


@pytest.mark.parametrize("name", NODES)
def test_the_docs_tell_every_service(bystander: Node, name: str) -> None:
    for service, kinds in bystander.get_service_names_and_types_by_node(name, "/"):
        if not OF_EVERY_NODE.fullmatch(service):
            assert f"`{service[1:].replace('car_0', 'car_<i>')}`" in section(name)
            assert kinds == ["std_srvs/srv/Trigger"]


@pytest.mark.parametrize("name", NODES)
def test_the_docs_tell_every_parameter_with_type_range_and_default(bystander: Node, name: str) -> None:
    client = AsyncParameterClient(bystander, name)
    executor = SingleThreadedExecutor(context=bystander.context)
    executor.add_node(bystander)

    def ask(future: Any) -> Any:
        executor.spin_until_future_complete(future, PATIENCE_S)
        return future.result()

    assert client.wait_for_services(PATIENCE_S)
    own = [each for each in ask(client.list_parameters()).result.names if each not in PARAMETERS_OF_EVERY_NODE]
    described = dict(zip(own, ask(client.describe_parameters(own)).descriptors, strict=True))
    values = dict(zip(own, map(parameter_value_to_python, ask(client.get_parameters(own)).values), strict=True))
    executor.shutdown()

    told = {}
    for row in tables(section("Parameters", "\n## ")):
        if name in row["node"]:
            listed = re.findall(r"`([^`]+)`", row["parameter"].split(" (")[0])
            for place, each in enumerate(listed):
                prefix = listed[0].split(".")[0] if each.startswith(".") else ""
                cut = {key: (cell.split(", ") * 9)[place] if len(listed) > 1 else cell for key, cell in row.items()}
                told[prefix + each] = {**cut, "several": str(len(listed) > 1)}
    assert set(own) == set(told)
    for key, row in told.items():
        check_parameter(key, row, described[key], values[key])


def check_parameter(name: str, row: dict[str, str], descriptor: ParameterDescriptor, value: object) -> None:
    """Compare a parameter with its row in the documentation."""
    assert descriptor.description, name
    assert getattr(ParameterType, f"PARAMETER_{TYPES[row['type'].split(',')[0]]}") == descriptor.type, name
    assert descriptor.read_only == (row["changeable"] != "yes"), name
    if name not in ("model", "track", "mode", "minutes", "resume", "laps", "video"):  # which are given here
        default = str(value).lower() if isinstance(value, bool) else value
        assert row["default"] in (str(default), f"{value:g}" if isinstance(value, float) else str(default)), name
    ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
    if limits := re.match(rf"({NUMBER})(?: \([^)]*\))? to ({NUMBER})", row["range"]):
        low, high = (2**31 - 1 if "^" in each else float(each.replace(",", "")) for each in limits.groups())
        assert [(each.from_value, each.to_value) for each in ranges] == [(low, high)], name
        # rqt_reconfigure shows nothing of a node with an integer that is no C int.
        assert high < 2**31 or not descriptor.integer_range, name
    else:
        assert not ranges, name


def test_rviz_asks_for_what_the_nodes_offer(bystander: Node) -> None:
    layout = yaml.safe_load((FOLDER / "rviz" / "deepracer.rviz").read_text())["Visualization Manager"]
    assert layout["Global Options"]["Fixed Frame"] == "map"
    shown = [each for each in (*layout["Displays"], *layout["Tools"]) if "Topic" in each]
    assert len(shown) == 6
    for each in shown:
        topic, qos = "/" + each["Topic"]["Value"], profile(each["Topic"])
        found = owners(bystander, topic)
        assert found, topic
        for info in found.values():
            assert info.topic_type == DISPLAYS[each["Class"].split("/")[1]], topic
            ours, theirs = qos, info.qos_profile
            reads = info.endpoint_type == TopicEndpointTypeEnum.SUBSCRIPTION
            assert fits(*((ours, theirs) if reads else (theirs, ours))), topic
    # Whoever shows car 0 shows all of it.
    for topic in ("/car_0/odom", "/car_0/camera/image_raw", "/car_markers", "/track_markers"):
        assert set(owners(bystander, topic)) == set(NODES), topic


def fits(offered: QoSProfile, requested: QoSProfile) -> bool:
    """Return whether messages flow; rclpy's own check stumbles over what DDS tells of deadlines."""
    reliable, lasting = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
    return (requested.reliability != reliable or offered.reliability == reliable) and (
        requested.durability != lasting or offered.durability == lasting
    )


def profile(words: dict[str, Any]) -> QoSProfile:
    """Return what RViz makes of a topic's properties."""
    reliable = {"Reliable": ReliabilityPolicy.RELIABLE, "Best Effort": ReliabilityPolicy.BEST_EFFORT}
    durable = {"Volatile": DurabilityPolicy.VOLATILE, "Transient Local": DurabilityPolicy.TRANSIENT_LOCAL}
    assert words["History Policy"] == "Keep Last"
    return QoSProfile(
        depth=words["Depth"],
        reliability=reliable[words["Reliability Policy"]],
        durability=durable[words["Durability Policy"]],
    )


@pytest.mark.parametrize(("perspective", "name"), [("training", "trainer_node"), ("evaluation", "evaluation_node")])
def test_rqt_plots_figures_of_its_node(bystander: Node, perspective: str, name: str) -> None:
    content = ast.literal_eval((FOLDER / "rqt" / f"{perspective}.perspective").read_text())
    manager = content["groups"]["pluginmanager"]
    plugins = ast.literal_eval(manager["keys"]["running-plugins"]["repr"])
    groups = {f"plugin__{plugin.replace('/', '__')}__{serial}" for plugin in plugins for serial in plugins[plugin]}
    # A runtime monitor keeps nothing but its dock.
    assert groups == set(manager["groups"])
    topics: list[str] = []
    for group in manager["groups"].values():
        keys = group["groups"].get("plugin", {"keys": {}})["keys"]
        if "topics" in keys:
            value = ast.literal_eval(keys["topics"]["repr"])
            topics += [value] if isinstance(value, str) else value
        if "selected_nodes" in keys:
            assert ast.literal_eval(keys["selected_nodes"]["repr"]) == [f"/{name}"]
    numeric = {f"{each.topic}/data" for each in endpoints(bystander, name) if each.kind == "std_msgs/Float64"}
    assert len(topics) >= 6
    assert set(topics) <= numeric
    depends = {each.text for each in ElementTree.parse(FOLDER / "package.xml").getroot().iter("exec_depend")}
    assert {plugin.split("/")[0] for plugin in plugins} <= depends
