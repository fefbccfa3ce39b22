"""How a node's process introduces itself to DDS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from deepracer_inference.nodes.process import FASTDDS_PROFILES, FASTDDS_VARIABLES, announcements  # noqa: E402

KILTED, JAZZY = FASTDDS_VARIABLES


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*FASTDDS_VARIABLES, "ROS_DISTRO"):
        # Set before it is taken away, so that what a test sets is taken away, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("distro", "variable"), [(None, KILTED), ("kilted", KILTED), ("jazzy", JAZZY)])
def test_the_profiles_are_given_under_the_name_that_this_fast_dds_knows(
    monkeypatch: pytest.MonkeyPatch, distro: str | None, variable: str
) -> None:
    if distro:
        monkeypatch.setenv("ROS_DISTRO", distro)
    assert announcements() == {variable: str(FASTDDS_PROFILES)}


@pytest.mark.parametrize("variable", FASTDDS_VARIABLES)
def test_profiles_of_the_user_stay(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "mine.xml")
    assert announcements() == {}


@pytest.mark.parametrize("variable", FASTDDS_VARIABLES)
def test_fast_dds_understands_the_profiles(tmp_path: Path, variable: str) -> None:
    """A wrong element is an error of its parser; an older or newer Fast DDS does not look at the other's variable."""

    def errors(profiles: Path) -> str:
        made = subprocess.run(
            [sys.executable, "-c", "import rclpy; rclpy.init(); rclpy.create_node('x'); rclpy.shutdown()"],
            env={**os.environ, variable: str(profiles), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
            capture_output=True,
            text=True,
            check=True,
        )
        return "\n".join(line for line in (made.stdout + made.stderr).splitlines() if "XML" in line)

    wrong = tmp_path / "wrong.xml"
    wrong.write_text(FASTDDS_PROFILES.read_text().replace("leaseAnnouncement", "announcementOfLeases"))
    if not errors(wrong):
        pytest.skip(f"this DDS does not read {variable}")
    assert errors(FASTDDS_PROFILES) == ""
