"""Generated circuits keep to what was asked, are reproducible, and impossible wishes are explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from deepracer_inference.errors import UserError
from deepracer_sim.tracks import generate
from deepracer_sim.tracks.check import check_track, errors_of, find_clearance, find_turns
from deepracer_sim.tracks.generate import generate_track
from deepracer_sim.tracks.outline import _grow, _outline, draw_folded


@pytest.mark.parametrize(
    "wishes",
    [
        {"length": (18.0, 32.0), "width": 0.76, "area": (9.0, 6.0)},
        {"length": (4.0, 12.0), "width": 0.5, "area": (3.0, 2.0)},
        {"length": (38.0, 42.0), "width": 0.9, "area": (12.0, 8.0), "clearance": 0.6},
        {"length": (18.0, 32.0), "width": 0.7, "area": (6.0, 9.0), "min_radius": 0.9},
    ],
)
def test_twenty_seeds_keep_to_every_wish(wishes: dict[str, Any]) -> None:
    shapes = set()
    for seed in range(20):
        track = generate_track(seed, **wishes)
        shapes.add(track.center.tobytes())
        assert wishes["length"][0] - 0.1 <= track.length <= wishes["length"][1]
        assert track.width == pytest.approx(wishes["width"], abs=0.01)
        assert track.bounds[2] <= wishes["area"][0]
        assert track.bounds[3] <= wishes["area"][1]
        assert find_clearance(track)[0] >= wishes.get("clearance", 0.3)
        assert track.min_radius >= 0.98 * wishes.get("min_radius", 0.0)
        assert min(turn.outer_radius for turn in find_turns(track)) >= 0.98 * 0.635
        assert errors_of(check_track(track, strict=True)) == []
    assert len(shapes) == 20


def test_some_seed_turns_both_ways() -> None:
    both = [{np.sign(turn.angle) for turn in find_turns(generate_track(seed))} == {-1.0, 1.0} for seed in range(10)]
    assert sum(both) >= 5


def test_equal_seeds_give_equal_bytes_whatever_ran_before() -> None:
    first = generate_track(5).rows().tobytes()
    np.random.seed(0)
    generate_track(6)
    assert generate_track(5).rows().tobytes() == first
    assert generate_track(6).rows().tobytes() != first


def test_a_single_length_is_met() -> None:
    assert generate_track(1, length=60.0, area=(16.0, 9.0), width=1.0).length == pytest.approx(60.0, rel=0.06)


def test_the_name_tells_the_seed_unless_given() -> None:
    assert generate_track(3).name == "generated_3"
    assert generate_track(3, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        (
            {"length": (50.0, 60.0), "area": (4.0, 4.0)},
            r"circuits drawn in 4\.00 x 4\.00 m .* were shorter than 50\.0 m \(the longest: 1\d\.\d m\)",
        ),
        ({"length": 2.0}, r"could not be shortened to 2\.1 m \(the shortest: 3\.\d m\)"),
        ({"min_radius": 2.6}, r"no room for bends of 2\.60 m"),
        ({"area": (3.0, 1.0)}, "half circle"),
        ({"width": 0.2}, "0.20 m wide road is too narrow"),
        ({"length": (30.0, 20.0)}, "reversed"),
        ({"length": float("nan")}, "finite"),
        ({"clearance": -1.0}, "negative"),
        ({"length": (18.0, 1e9)}, "at most 250 m"),
    ],
)
def test_impossible_wishes_are_explained(wishes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        generate_track(0, **wishes)


def test_stretches_that_come_too_close_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ATTEMPTS", 1)
    messages = []
    for seed in range(100):
        try:
            generate.generate_track(seed, clearance=0.8)
        except UserError as error:
            messages.append(str(error))
    assert any("1 had less than 0.80 m between two stretches (the best: " in message for message in messages)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="seed"):
        generate_track(-1)


def test_grown_outlines_never_cross_or_touch_themselves() -> None:
    for seed in range(30):
        corners = draw_folded(np.random.default_rng(seed), np.array([10.0, 6.0]), 1.0, 60.0)
        assert len(corners) >= 4
    # Without shaking and cutting the outline is a simple polygon, counter-clockwise.
    for seed in range(30):
        cells = _grow(np.random.default_rng(seed), (9, 7), np.array([1.0, 1.0]), 60.0)
        ring = shapely.LinearRing(_outline(cells))
        assert ring.is_simple
        assert ring.is_ccw
        assert shapely.Polygon(ring).area == pytest.approx(np.count_nonzero(cells))
