"""Fixtures that several tests of this package share."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.vehicle import Vehicle, load_vehicle
from deepracer_sim.tracks.track import Track


@pytest.fixture(scope="session")
def vehicle() -> Vehicle:
    """The DeepRacer."""
    return load_vehicle("deepracer")


@pytest.fixture(scope="session")
def rectangle() -> Track:
    """Counter-clockwise, 8 m x 4 m, 24 m long and 1 m wide; the start line is at x = 2 on the lower straight, y = 0."""
    return Track(
        "rectangle",
        center=[(2.0, 0.0), (8.0, 0.0), (8.0, 4.0), (0.0, 4.0), (0.0, 0.0)],
        inner=[(2.0, 0.5), (7.5, 0.5), (7.5, 3.5), (0.5, 3.5), (0.5, 0.5)],
        outer=[(2.0, -0.5), (8.5, -0.5), (8.5, 4.5), (-0.5, 4.5), (-0.5, -0.5)],
    )


@pytest.fixture(scope="session")
def circle() -> Track:
    """Counter-clockwise, radius 2 m, 1 m wide, 360 way points from (2, 0) on."""
    angle = np.radians(np.arange(360))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Track("circle", 2.0 * ring, 1.5 * ring, 2.5 * ring)


@pytest.fixture
def reward_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a reward function into a file."""

    def write(source: str) -> Path:
        path = tmp_path / "reward_function.py"
        path.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
        return path

    return write
