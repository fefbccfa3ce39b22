"""The images and the compose file name things that exist. They are built where Docker is."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BRINGUP = ROOT / "src" / "deepracer_bringup"
IMAGES = ("simulation", "car")
BUILT_BY_US = {"deepracer_gazebo", "deepracer_inference", "deepracer_sim", "deepracer_training"}
PARTS_OF_ROS_BASE = {"diagnostic_msgs", "launch", "launch_ros", "python3-yaml", "ros2topic"}


def dockerfile(image: str) -> str:
    """The text with continued lines joined."""
    return (ROOT / "docker" / f"{image}.Dockerfile").read_text().replace("\\\n", " ")


def commands() -> dict[str, list[str]]:
    """What each service runs, with the defaults of its variables."""
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    return {
        name: shlex.split(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["command"]))
        for name, service in services.items()
    }


def arguments_of(launch_file: str) -> set[str]:
    """Names that a launch file declares, and those of the ones that it includes."""
    text = (BRINGUP / "launch" / launch_file).read_text()
    names = set(re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', text))
    return names.union(
        *(arguments_of(name) for name in re.findall(r'"(\w+\.launch\.py)"', text) if name != "gz_sim.launch.py")
    )


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_built_from_files_that_exist_and_runs_as_a_user(image: str) -> None:
    text = dockerfile(image)
    sources = [source for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE)
               for source in line.split()[:-1] if not source.startswith("--")]  # fmt: skip
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE)[-1] != "root"
    assert re.search(r"^HEALTHCHECK .*CMD \[\"healthy\", \"\w+\"\]$", text, re.MULTILINE)
    assert "VOLUME /home/deepracer/.deepracer" in text
    for script in ("entrypoint", "healthy"):
        assert (ROOT / "docker" / script).stat().st_mode & 0o111


def test_the_simulation_has_every_package_that_the_launch_files_start() -> None:
    depends = {str(each.text) for each in ElementTree.parse(BRINGUP / "package.xml").getroot().iter("exec_depend")}
    # ros_gz is the sum of ros_gz_bridge and ros_gz_sim.
    needed = depends - BUILT_BY_US - PARTS_OF_ROS_BASE - {"ros_gz_bridge", "ros_gz_sim"} | {"ros_gz"}
    installed = {name.replace("-", "_") for name in re.findall(r"ros-jazzy-([\w-]+)", dockerfile("simulation"))}
    assert needed == installed


def test_the_car_has_no_simulator_and_no_trainer() -> None:
    text = re.sub("^#.*$", "", dockerfile("car"), flags=re.MULTILINE)
    assert not re.search(r"torch|numba|deepracer_(sim|training)", text)


def test_every_service_starts_a_launch_file_with_arguments_that_it_has() -> None:
    assert set(commands()) == {"train", "evaluate", "monitor"}
    for words in commands().values():
        assert words[:3] == ["ros2", "launch", "deepracer_bringup"]
        assert {word.split(":=")[0] for word in words[4:]} <= arguments_of(words[3])


def test_every_service_has_a_health_check_and_the_models() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert service["healthcheck"]["test"][:2] == ["CMD", "healthy"]
        assert any(volume.endswith(":/home/deepracer/.deepracer") for volume in service["volumes"])
