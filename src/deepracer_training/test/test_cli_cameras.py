"""`deepracer cameras`, with an embedded simulator in the place of Gazebo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed here (see docs/ros.md)")

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.embedded import EmbeddedSimulator
from deepracer_sim.nodes import ros_simulator
from deepracer_sim.tracks.track import Track
from deepracer_training.cli.main import main


class Other(EmbeddedSimulator):
    """Another simulator over topics: the same, but with other grain on its road."""

    seed = 0
    closed = 0

    def __init__(self, track: Track, vehicle: Vehicle, cars: int, **_: Any) -> None:
        super().__init__(track, vehicle, cars, seed=self.seed)

    def close(self) -> None:
        Other.closed += 1


@pytest.mark.parametrize("seed", [0, 5])
def test_cameras_reports_the_differences_and_shows_them(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ros_simulator, "RosSimulator", Other)
    monkeypatch.setattr(Other, "seed", seed)
    monkeypatch.setattr(Other, "closed", 0)
    picture = tmp_path / "cameras.png"
    assert main(["cameras", "oval", "--poses", "3", "--json", "--output", str(picture)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert Other.closed == 1 and picture.read_bytes().startswith(b"\x89PNG")
    assert report["track"] == "oval" and len(report["poses"]) == 3
    differences = [pose["mean_absolute"] for pose in report["poses"]]
    assert (max(differences) == 0.0) == (seed == 0)
    assert report["lines"]["centre line"]["places"] > 0
    assert report["lines"]["centre line"]["largest_px"] < (1e-9 if seed == 0 else 1.0)


def test_cameras_prints_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ros_simulator, "RosSimulator", Other)
    assert main(["cameras", "oval", "--poses", "2", "--output", str(tmp_path / "cameras.png")]) == 0
    text = capsys.readouterr().out
    assert "grey Gazebo" in text and "left border" in text and str(tmp_path / "cameras.png") in text
