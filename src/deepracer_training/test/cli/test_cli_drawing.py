"""Pictures for the terminal."""

from __future__ import annotations

import numpy as np
import pytest

from deepracer_sim.tracks.library import load_track
from deepracer_training.cli.drawing import Canvas, curve_drawing, track_drawing


def test_a_canvas_sets_the_dots_of_a_line() -> None:
    canvas = Canvas(2, 1)
    canvas.line(np.array([[0.0, 0.0], [3.0, 3.0]]))
    # The diagonal from the lower left to the upper right dot: bits 0x40 and 0x20 in the left character, 0x02
    # and 0x08 in the right one.
    assert canvas.lines() == [chr(0x2800 + 0x40 + 0x20) + chr(0x2800 + 0x02 + 0x08)]


@pytest.mark.parametrize("name", ["oval", "grand_tour", "pebble"])
def test_a_track_drawing_fits_its_room(name: str) -> None:
    lines = track_drawing(load_track(name), columns=40, rows=12)
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 40
    assert len(lines) == 12 or max(map(len, lines)) >= 39


def test_a_curve_drawing_names_its_ends() -> None:
    lines = curve_drawing([0.0, 1000.0], [0.0, 100.0], 100.0, "progress", columns=10, rows=4)
    assert lines[0].strip() == "progress"
    assert lines[1].startswith("   100 │")
    assert lines[4].startswith("     0 │")
    assert lines[-1].endswith("1,000 steps")
