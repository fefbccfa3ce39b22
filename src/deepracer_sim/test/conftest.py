"""What the tests of this package share: simple tracks with known geometry, and the folder of real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepracer_sim.tracks import Track
from deepracer_sim.tracks.layout import round_corners


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that no test sees or touches the user's own tracks."""
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Real tracks and traces beside the repository; tests that need them are skipped elsewhere."""
    folder = Path(__file__).resolve().parents[4] / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of real tracks and traces is not beside this repository")
    return folder


@pytest.fixture(scope="session")
def circle_track() -> Track:
    """Counter-clockwise circle around (3, 2) with radius 2 m, 1 m wide, 720 rows, starting at its right."""
    angle = np.arange(720) * (2.0 * np.pi / 720)
    ray = np.column_stack([np.cos(angle), np.sin(angle)])
    return Track("circle", *([3.0, 2.0] + radius * ray for radius in (2.0, 1.5, 2.5)))


@pytest.fixture(scope="session")
def square_track() -> Track:
    """Counter-clockwise square from (0, 0) to (4, 4), 1 m wide, rows at corners and mid-sides, one of them twice."""
    center = np.array([[0, 0], [2, 0], [4, 0], [4, 2], [4, 2], [4, 4], [2, 4], [0, 4], [0, 2]], dtype=float)
    away = np.sign(center - 2.0)
    return Track("square", center, center - 0.5 * away, center + 0.5 * away)


@pytest.fixture(scope="session")
def stadium_track() -> Track:
    """Counter-clockwise stadium: two straights of 4 m, two half circles of 1 m radius, 0.8 m wide."""
    corners = np.array([[0.0, 0.0, 1.0], [6.0, 0.0, 1.0], [6.0, 2.0, 1.0], [0.0, 2.0, 1.0]])
    return round_corners(corners).track("stadium", 0.8)
