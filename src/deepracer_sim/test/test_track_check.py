"""Each problem of a track is found, named and placed; a sound track has none."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepracer_sim.tracks import Track, load_track
from deepracer_sim.tracks.check import Problem, check_array, check_track, errors_of, find_clearance, find_turns
from deepracer_sim.tracks.layout import round_corners
from deepracer_sim.tracks.track import FloatArray


def circle_rows(radius: float = 2.0, width: float = 0.8, count: int = 120) -> FloatArray:
    """Rows of a circle around the origin, counter-clockwise, closed."""
    angle = np.append(np.arange(count) * (2.0 * np.pi / count), 0.0)
    ray = np.column_stack([np.cos(angle), np.sin(angle)])
    return np.hstack([radius * ray, (radius - 0.5 * width) * ray, (radius + 0.5 * width) * ray])


def only(problems: list[Problem], severity: str = "error") -> Problem:
    """The one problem of this severity."""
    found = [problem for problem in problems if problem.severity == severity]
    assert len(found) == 1, [str(problem) for problem in problems]
    return found[0]


def test_a_sound_track_has_no_problem_but_tells_its_size() -> None:
    problems = check_array(circle_rows())
    assert [(problem.code, problem.severity) for problem in problems] == [("size", "info")]
    assert "12.56 m long, 0.80 m wide, on 4.80 x 4.80 m" in problems[0].message


@pytest.mark.parametrize(
    ("array", "code", "word"),
    [
        (np.array([None, 1]), "dtype", "object"),
        (np.array([["a"] * 6]), "dtype", "<U1"),
        (np.ones((20, 6), dtype=complex), "dtype", "complex128"),
        (np.zeros((20, 6), dtype=bool), "dtype", "bool"),
        (np.zeros((20, 5)), "shape", r"\(20, 5\)"),
        (np.zeros(6), "shape", r"\(6,\)"),
        (np.array(1.0), "shape", r"\(\)"),
        (np.zeros((0, 6)), "too_few_rows", "0 different"),
        (circle_rows(count=7), "too_few_rows", "7 different"),
        (circle_rows(count=5000), "too_many_rows", "5001 rows"),
    ],
)
def test_arrays_of_the_wrong_form(array: NDArray[Any], code: str, word: str) -> None:
    problem = only(check_array(array))
    assert problem.code == code
    assert re.search(word, problem.message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value: float) -> None:
    rows = circle_rows()
    rows[30, 4] = rows[31, 0] = value
    problem = only(check_array(rows))
    assert (problem.code, problem.where) == ("not_finite", "row 30")
    assert "2 of 726 values" in problem.message
    assert "outer border x" in problem.message


def test_an_open_loop() -> None:
    rows = circle_rows()[:100]
    problem = only(check_array(rows))
    assert problem.code == "open_loop"
    assert problem.where.startswith("row 99,")
    assert "centre line is open" in problem.message


def test_an_open_border() -> None:
    rows = circle_rows()
    rows[-1, 2:4] = [0.0, 0.0]
    assert "inner border is open" in only(check_array(rows)).message


def test_a_missing_closing_row_is_only_a_warning() -> None:
    assert only(check_array(circle_rows()[:-1]), "warning").code == "closing_row"
    assert not errors_of(check_array(circle_rows()[:-1]))


def test_repeated_rows_are_only_a_warning() -> None:
    rows = circle_rows()
    problem = only(check_array(np.insert(rows, 40, rows[40], axis=0)), "warning")
    assert problem.code == "duplicate_rows"
    assert problem.where == f"row 41, x {rows[40, 0]:.2f}, y {rows[40, 1]:.2f}"


def test_swapped_borders() -> None:
    rows = circle_rows()[:, [0, 1, 4, 5, 2, 3]]
    assert only(check_array(rows)).code == "swapped_borders"


@pytest.mark.parametrize(("columns", "name"), [([2, 3], "inner border"), ([4, 5], "outer border")])
def test_a_border_that_shrank_to_a_point(columns: list[int], name: str) -> None:
    rows = circle_rows()
    rows[:, columns] = 0.0
    problem = only(check_array(rows))
    assert problem.code == "no_area"
    assert name in problem.message


@pytest.mark.parametrize(("factor", "code"), [(1e300, "too_far"), (1e6, "too_far"), (1e-300, "no_area")])
def test_sizes_out_of_this_world(factor: float, code: str) -> None:
    assert {problem.code for problem in errors_of(check_array(circle_rows() * factor))} == {code}


def test_no_garbage_stops_the_check() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows = circle_rows(count=40)
        broken = rng.uniform(size=rows.shape) < rng.choice([0.01, 0.1])
        rows[broken] = rng.choice([0.0, 1e3, -1.0, 2.0, 1e200], np.count_nonzero(broken))
        assert all(problem.message for problem in check_array(rows))


def test_a_border_that_crosses_itself() -> None:
    rows = circle_rows()
    rows[20:22, 4:6] = rows[[21, 20], 4:6]
    problem = only(check_array(rows))
    assert problem.code == "self_crossing"
    assert "outer border" in problem.message
    assert problem.where.startswith("row 19,")


def test_a_figure_of_eight_is_refused() -> None:
    t = np.linspace(0.0, 2.0 * np.pi, 201)
    center = np.column_stack([4.0 * np.sin(t), 2.0 * np.sin(2.0 * t)])
    codes = {problem.code for problem in errors_of(check_array(np.hstack([center, 0.8 * center, 1.2 * center])))}
    assert "self_crossing" in codes


def test_borders_that_cross_each_other() -> None:
    rows = circle_rows()
    rows[60, 2:4] *= 2.0  # the inner border now has a spike through centre line and outer border
    problems = errors_of(check_array(rows))
    assert {problem.code for problem in problems} == {"lines_cross"}
    messages = " ".join(problem.message for problem in problems)
    assert "inner border crosses or touches the outer border" in messages
    assert "centre line crosses or touches the inner border" in messages


def test_a_centre_line_outside_the_road() -> None:
    rows = circle_rows()
    rows[:, 0:2] *= 1.5
    problem = only(check_array(rows))
    assert problem.code == "center_off_road"
    assert problem.where == "row 0, x 3.00, y 0.00"


def test_an_inner_border_beside_the_outer_one() -> None:
    rows = circle_rows()
    rows[:, 2] += 10.0
    assert only(check_array(rows)).code == "borders_apart"


def test_a_border_in_the_other_direction() -> None:
    rows = circle_rows()
    rows[:, 2:4] = rows[::-1, 2:4]
    problem = only(check_array(rows))
    assert problem.code == "border_direction"
    assert "inner border" in problem.message


@pytest.mark.parametrize(
    ("width", "severity", "code"),
    [(0.29, "error", "too_narrow"), (0.31, "warning", "narrow"), (0.53, "warning", "narrow")],
)
def test_a_narrow_road(width: float, severity: str, code: str) -> None:
    assert only(check_array(circle_rows(width=width, count=400)), severity).code == code


def test_a_pinch_is_found_where_it_is() -> None:
    rows = circle_rows()
    rows[30, 4:6] *= 1.7 / 2.4  # outer border dented to 0.1 m from the inner one, at the top
    rows[30, 0:2] *= 1.65 / 2.0
    problem = only(check_array(rows))
    assert problem.code == "too_narrow"
    assert "only 0.10 m" in problem.message
    assert problem.where == "row 30, x 0.00, y 1.60"


def test_a_jump_of_a_border_is_only_a_warning() -> None:
    rows = circle_rows()
    rows[30, 5] = 40.0  # a spike outwards, at the top
    problems = [problem for problem in check_array(rows) if problem.severity != "info"]
    assert [(problem.code, problem.severity) for problem in problems] == [("jump", "warning")]
    assert "outer border jumps 37.6 m" in problems[0].message
    assert problems[0].where == "row 29, x 0.13, y 2.40"


def test_an_odd_length_points_to_the_unit() -> None:
    problem = only(check_array(circle_rows() * 1000.0), "warning")
    assert problem.code == "length"
    assert "metres" in problem.message


def test_turns_of_a_rounded_rectangle() -> None:
    corners = np.array([[0, 0, 1.0], [6, 0, 0.5], [6, 4, 1.5], [0, 4, 0.7]], dtype=float)
    turns = find_turns(round_corners(corners).track("rectangle", 0.6))
    np.testing.assert_allclose([turn.radius for turn in turns], [0.5, 1.5, 0.7, 1.0], rtol=0.02)
    np.testing.assert_allclose([turn.outer_radius for turn in turns], [0.8, 1.8, 1.0, 1.3], rtol=0.02)
    np.testing.assert_allclose([turn.angle for turn in turns], math.pi / 2.0, atol=0.1)


def test_turns_have_signs_and_a_circle_is_one_turn(circle_track: Track) -> None:
    assert [round(turn.angle / (2.0 * math.pi), 3) for turn in find_turns(circle_track)] == [1.0]
    assert [round(turn.angle / (2.0 * math.pi), 3) for turn in find_turns(circle_track.reversed())] == [-1.0]
    assert {np.sign(turn.angle) for turn in find_turns(load_track("clover"))} == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("corner_radius", "finds"),
    [(0.40, 0), (0.31, 4)],  # outer radius 0.70 m and 0.61 m; 25 in = 0.635 m
)
def test_the_radius_rule_for_right_angles(corner_radius: float, finds: int) -> None:
    corners = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=float)
    track = round_corners(np.column_stack([corners, np.full(4, corner_radius)])).track("square", 0.6)
    assert [problem.code for problem in check_track(track) if problem.severity == "warning"] == ["tight_turn"] * finds
    assert len(errors_of(check_track(track, strict=True))) == finds


@pytest.mark.parametrize(
    ("radius", "finds"),
    [(0.48, 0), (0.44, 2)],  # outer radius 0.78 m and 0.74 m; 30 in = 0.762 m
)
def test_the_radius_rule_for_hairpins(radius: float, finds: int) -> None:
    corners = np.array([[0, 0], [5, 0], [5, 2 * radius], [0, 2 * radius]], dtype=float)
    track = round_corners(np.column_stack([corners, np.full(4, radius)])).track("hairpins", 0.6)
    warnings = [problem for problem in check_track(track) if problem.severity == "warning"]
    assert len(warnings) == finds
    assert all("178 degrees" in problem.message and "0.76 m" in problem.message for problem in warnings)


def test_clearance_between_neighbouring_stretches(circle_track: Track) -> None:
    assert find_clearance(circle_track)[0] == math.inf
    corners = np.array([[0, 0], [5, 0], [5, 1.6], [0, 1.6]], dtype=float)
    track = round_corners(np.column_stack([corners, np.full(4, 0.8)])).track("hairpins", 0.6)
    assert find_clearance(track)[0] == pytest.approx(1.0, abs=0.01)


def test_problems_print_with_their_place() -> None:
    assert str(Problem("code", "Something is wrong.", "row 3")) == "Something is wrong. (row 3)"
    assert str(Problem("code", "Something is wrong.")) == "Something is wrong."
