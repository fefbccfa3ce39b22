"""The library's circuits are sound, and tracks are found by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.errors import UserError
from deepracer_sim.tracks import library, load_track, track_names
from deepracer_sim.tracks.check import check_track, find_clearance, find_turns
from deepracer_sim.tracks.layout import LayoutError, round_corners
from deepracer_sim.tracks.library import DEFAULT_TRACK, describe, library_names, save_track


@pytest.mark.parametrize("name", library_names())
def test_a_library_track_keeps_to_the_building_rules(name: str) -> None:
    track = load_track(name)
    problems = check_track(track, strict=True)
    # Roads of the living-room tracks are narrower than AWS asks for, nothing else.
    assert {problem.code for problem in problems} <= {"size", "narrow"}
    assert find_clearance(track)[0] > 0.3
    spacing = np.diff(track.cumulative)
    assert 0.08 < spacing.min() <= spacing.max() < 0.2
    assert np.all(track.on_road(track.center))
    assert track.project(track.center + 1e-3).segment.max() < len(track.center)


@pytest.mark.parametrize("name", library_names())
def test_a_library_track_has_no_kinks(name: str) -> None:
    center = load_track(name).center
    step = np.roll(center, -1, axis=0) - center
    heading = np.arctan2(step[:, 1], step[:, 0])
    bend = np.abs(np.mod(heading - np.roll(heading, 1) + math.pi, 2.0 * math.pi) - math.pi)
    assert np.max(bend) < np.radians(12.0)


def test_the_library_serves_every_taste() -> None:
    info = {name: describe(name) for name in library_names()}
    assert len(info) >= 14
    small = [name for name, track in info.items() if track.bounds[2] <= 3.0 + 1e-3 and track.bounds[3] <= 2.0 + 1e-3]
    assert len(small) >= 3
    assert {"oval", "bowtie", DEFAULT_TRACK} <= set(info)
    assert max(track.length for track in info.values()) > 55.0
    assert len({track.title for track in info.values()}) == len(info)
    for track in info.values():
        assert track.title
        assert track.description.endswith(".")


def test_the_default_track_is_friendly() -> None:
    track = load_track(DEFAULT_TRACK)
    assert 15.0 < track.length < 18.0
    assert 0.75 <= track.width <= 1.0
    assert track.min_radius > 0.8
    assert {np.sign(turn.angle) for turn in find_turns(track)} == {-1.0, 1.0}


def test_suffixes_force_the_direction() -> None:
    for name in library_names():
        assert load_track(f"{name}_ccw").is_ccw
        assert not load_track(f"{name}_cw").is_ccw
        assert load_track(f"{name}_cw").length == pytest.approx(load_track(name).length)
    assert load_track("oval_cw").name == "oval_cw"
    assert describe("oval_cw").title == "Oval"


def test_loading_twice_gives_the_same_bytes() -> None:
    first = load_track("ridge").rows().tobytes()
    library._library_track.cache_clear()
    assert load_track("ridge").rows().tobytes() == first


def test_a_user_track_is_saved_and_found_by_name(home: Path) -> None:
    mine = load_track("oval").renamed("my_oval")
    path = save_track(mine)
    assert path == home / "tracks" / "my_oval.npy"
    assert track_names() == sorted([*library_names(), "my_oval"])
    np.testing.assert_array_equal(load_track("my_oval").center, mine.center)
    assert not load_track("my_oval_cw").is_ccw
    assert load_track(path).name == "my_oval"
    info = describe("my_oval")
    assert (info.title, info.description) == ("my_oval", "")
    assert info.bounds == pytest.approx((0.0, 0.0, 6.8, 3.3), abs=3e-3)


def test_saving_refuses_bad_and_taken_names(home: Path) -> None:
    track = load_track("oval")
    for name in ("", "a b", "../up", ".hidden", "x/y"):
        with pytest.raises(UserError, match="no name for a track"):
            save_track(track.renamed(name))
    for name in ("riverside", "riverside_cw"):
        with pytest.raises(UserError, match="in the library"):
            save_track(track.renamed(name))
    save_track(track.renamed("mine"))
    with pytest.raises(UserError, match="exists in"):
        save_track(track.renamed("mine"))
    save_track(track.reversed().renamed("mine"), overwrite=True)
    assert not load_track("mine").is_ccw


@pytest.mark.parametrize("name", ["riversid", "Riverside", "riverside_ccww", "", "..", "_cw", "a\0b", "../tracks/oval"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="There is no track"):
        load_track(name)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(UserError, match=r"'riversid' .*did you mean 'riverside'"):
        load_track("riversid")
    with pytest.raises(UserError, match="oval"):
        load_track("zzzzzz")


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ([[0, 0, 1], [4, 0, 1]], "at least 3 corners"),
        ([[0, 0, 1], [4, 0, 1], [4, 0, 1], [2, 3, 1]], "same point"),
        ([[0, 0, 1], [4, 0, 1], [1, 0, 1], [1, 4, 1]], "turns back"),
        ([[0, 0, 1], [4, 0, -1], [4, 4, 1], [0, 4, 1]], "corner 2 needs a radius above 0"),
        ([[0, 0, 1], [4, 0, 3], [4, 4, 2], [0, 4, 1]], r"corners 2 and 3 are 4\.00 m apart, .* need 5\.00 m"),
    ],
)
def test_corners_that_cannot_be_rounded(corners: list[list[float]], reason: str) -> None:
    with pytest.raises(LayoutError, match=reason):
        round_corners(np.array(corners, dtype=float))


def test_a_lap_starts_in_the_middle_of_the_first_straight() -> None:
    layout = round_corners(np.array([[0, 0, 1], [6, 0, 2], [6, 8, 1], [0, 8, 1]], dtype=float))
    np.testing.assert_allclose(layout.poses(4)[0], [2.5, 0.0, 0.0])  # between x = 1 and x = 4
    straights = 3.0 + 5.0 + 4.0 + 6.0
    assert layout.total_length == pytest.approx(straights + 0.5 * math.pi * (1 + 2 + 1 + 1))
