"""Replaying laps through a reward function: what it gets to see, and what is told about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.tracks.track import Track
from deepracer_training.report.plots import png
from deepracer_training.report.reward_plots import reward_figure
from deepracer_training.rewards import terms
from deepracer_training.rewards.drives import drives
from deepracer_training.rewards.function import RewardError, RewardFunction
from deepracer_training.rewards.preview import Preview, preview
from deepracer_training.rewards.replay import replay
from deepracer_training.traces import COLUMNS, Trace, parse_trace

Write = Callable[[str], Path]


def laps(radii: list[float], rows: int = 90, status: str = "in_progress") -> Trace:
    """Laps around the origin, one for each radius of the nose; every row turns the car by 360 / `rows` degrees."""
    lines = [",".join(COLUMNS)]
    for episode, radius in enumerate(radii):
        for step in range(rows):
            angle = 360.0 * step / rows
            x, y = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
            heading = (angle + 90.0 + 180.0) % 360.0 - 180.0
            on_road = 1.5 < radius < 2.5
            progress, time_s = 100.0 * step / rows, step / 15
            lines.append(
                f"{episode},{step + 1},{x},{y},{heading},3.5,1.25,[3.5 1.25],0.5,False,{on_road},{progress},0,12.57,"
                f"{time_s},{status},0,0,{time_s}"
            )
    return parse_trace("\n".join(lines), "circles")


def test_a_replayed_step_has_the_params_of_the_recorded_one(
    reward_file: Write, circle: Track, vehicle: Vehicle
) -> None:
    source = """
        def reward_function(params):
            keys = ("distance_from_center", "is_left_of_center", "progress", "steps", "speed", "steering_angle",
                    "heading", "x", "all_wheels_on_track", "is_offtrack", "sim_time", "track_width",
                    "projection_distance")
            return 1.0, {key: params[key] for key in keys}
    """
    result = replay(reward_file(source), laps([2.2, 3.5]), circle, vehicle)
    row = {name: values[30] for name, values in result.terms.items()}  # at 120 degrees
    assert row["distance_from_center"] == pytest.approx(0.2, abs=1e-3)
    assert row["is_left_of_center"] == 0.0  # counter-clockwise: outside is right
    assert row["progress"] == pytest.approx(100 / 3)
    assert row["steps"] == 31
    assert (row["speed"], row["steering_angle"]) == (1.25, 3.5)
    assert row["heading"] == pytest.approx(-150.0)
    assert row["x"] == pytest.approx(2.2 * math.cos(math.radians(120)))
    assert row["sim_time"] == pytest.approx(2.0)
    assert row["track_width"] == pytest.approx(1.0, abs=1e-2)
    assert row["projection_distance"] == pytest.approx(2.0 * math.tau / 3, rel=1e-3)
    assert (row["all_wheels_on_track"], row["is_offtrack"]) == (1.0, 0.0)
    assert result.arc_length[30] == pytest.approx(2.0 * math.tau / 3, rel=1e-3)
    assert result.lateral[30] == pytest.approx(-0.2, abs=1e-3)
    assert (result.terms["all_wheels_on_track"][120], result.terms["is_offtrack"][120]) == (0.0, 1.0)
    assert result.off_track.tolist() == [False] * 90 + [True] * 90


def test_each_lap_has_globals_of_its_own_and_penalties_are_left_out(
    reward_file: Write, circle: Track, vehicle: Vehicle
) -> None:
    counting = reward_file("calls = [0]\ndef reward_function(params):\n    calls[0] += 1\n    return float(calls[0])\n")
    trace = laps([2.0, 2.1], rows=20)
    trace.status[5:8] = "pause"
    result = replay(counting, trace, circle, vehicle)
    assert result.reward.tolist() == [*range(1, 18), *range(1, 21)]
    assert len(result.trace) == 37


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("def reward_function(params):\n    return params['sped']\n", "KeyError", 2),
        ("def reward_function(params):\n    return (\n", "syntax", 2),
        ("def reward_function(params):\n    return float('nan')\n", "not_finite", 1),
        ("import os\ndef reward_function(params):\n    os._exit(3)\n", "crash", None),
    ],
)
def test_a_function_that_fails_says_where(
    reward_file: Write, circle: Track, vehicle: Vehicle, source: str, kind: str, line: int | None
) -> None:
    with pytest.raises(RewardError) as caught:
        replay(reward_file(source), laps([2.0], rows=5), circle, vehicle)
    assert caught.value.kind == kind
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("center: 0.5 speed=1.25, steer = -3e-2", {"center": 0.5, "speed": 1.25, "steer": -0.03}),
        ("terms {'a': 1, 'b': -2.5, 'name': 'x'} end", {"a": 1.0, "b": -2.5}),
        ('{"a": 0.25}', {"a": 0.25}),
        ("off the track at x=1.5m, v=2.0.1, t=nan", {}),
        ("nothing to see {here", {}),
    ],
)
def test_terms_are_found_in_what_a_function_prints(text: str, expected: dict[str, float]) -> None:
    assert terms.in_text(text) == expected


def test_a_reward_with_its_terms_also_trains(reward_file: Write) -> None:
    function = RewardFunction.load(reward_file("def reward_function(params):\n    return 0.75, {'center': 0.5}\n"))
    assert function({"speed": 1.0}, 0) == 0.75


def previewed(path: Path, trace: Trace, track: Track, vehicle: Vehicle) -> Preview:
    return preview(replay(path, trace, track, vehicle), track)


def test_terms_that_add_up_have_shares(reward_file: Write, circle: Track, vehicle: Vehicle) -> None:
    source = """
        def reward_function(params):
            center, speed = 0.5 - params["distance_from_center"], 2.0 * params["speed"]
            print("center=", center, sep="")
            print(f"speed: {speed}")
            return center + speed
    """
    found = previewed(reward_file(source), laps([2.0, 2.3]), circle, vehicle)
    assert found.additive
    by_name = {term.name: term for term in found.terms}
    assert by_name["center"].mean == pytest.approx((0.5 + 0.2) / 2, abs=1e-3)
    assert by_name["center"].share == pytest.approx(0.35 / (0.35 + 2.5), abs=1e-3)
    assert by_name["speed"].constant
    assert any("term speed is 2.5" in finding for finding in found.findings)
    logged = previewed(
        reward_file("def reward_function(params):\n    print('x:', params['x'])\n    return params['progress']\n"),
        laps([2.0]),
        circle,
        vehicle,
    )
    assert not logged.additive
    assert [term.share for term in logged.terms] == [None]


def test_dead_and_saturated_regions_are_where_no_lap_makes_a_difference(
    reward_file: Write, circle: Track, vehicle: Vehicle
) -> None:
    # Of the lap of 4 pi m: nothing in the first quarter, around the start line; 1 in the third; distance in the others.
    source = """
        def reward_function(params):
            share = (params["projection_distance"] / params["track_length"] + 0.125) % 1.0
            if share < 0.25:
                return 0.0
            if 0.5 <= share < 0.75:
                return 1.0
            return 0.9 - params["distance_from_center"]
    """
    found = previewed(reward_file(source), laps([2.0, 2.1, 2.3], rows=180), circle, vehicle)
    length = circle.length
    regions = sorted((one.kind, one.begin_m / length, one.end_m / length, one.reward) for one in found.regions)
    assert [one[0] for one in regions] == ["dead", "saturated"]
    piece = 0.25 / length
    for (_, begin, end, _), expected in zip(regions, ((0.875, 0.125), (0.375, 0.625)), strict=True):
        assert begin == pytest.approx(expected[0], abs=1.01 * piece)
        assert end == pytest.approx(expected[1], abs=1.01 * piece)
    assert [one[3] for one in regions] == [0.0, 1.0]
    assert (found.minimum, found.maximum) == (0.0, 1.0)
    assert found.at_minimum_share == pytest.approx(0.25, abs=0.02)


def test_a_constant_reward_and_one_for_leaving_the_road_are_found_out(
    reward_file: Write, circle: Track, vehicle: Vehicle
) -> None:
    constant = previewed(reward_file("def reward_function(params):\n    return 1.0\n"), laps([2.0]), circle, vehicle)
    assert any("1 in every step" in finding for finding in constant.findings)
    assert [(one.kind, one.begin_m) for one in constant.regions] == [("flat", 0.0)]
    leaving = reward_file("def reward_function(params):\n    return params['distance_from_center']\n")
    found = previewed(leaving, laps([2.0, 3.5]), circle, vehicle)
    assert any("leaving it pays" in finding for finding in found.findings)


def test_built_in_drives_do_what_their_names_say(reward_file: Write, circle: Track, vehicle: Vehicle) -> None:
    names, trace, objects = drives(circle, vehicle, (1.0, 3.0))
    assert objects is None
    lap_of = dict(zip(names, trace.episodes(), strict=True))
    assert set(lap_of["centre line"].speed) == {2.0}
    assert set(lap_of["centre line, fastest"].speed) == {3.0}
    # 4 pi m at 2 m/s and 15 Hz.
    assert len(lap_of["centre line"]) == pytest.approx(4 * math.pi / 2 * 15, abs=2)
    statuses = {name: str(lap.status[-1]) for name, lap in lap_of.items()}
    assert statuses.pop("leaves the road") == "off_track"
    assert set(statuses.values()) == {"lap_complete"}
    sides = {name: circle.project(np.column_stack([lap.x, lap.y])).lateral for name, lap in lap_of.items()}
    assert np.abs(sides["centre line"]).max() < 1e-6
    assert sides["left border"].min() == pytest.approx(0.35, abs=1e-3)
    assert sides["right border"].max() == pytest.approx(-0.35, abs=1e-3)
    assert sides["weaving"].max() == pytest.approx(0.25, abs=0.02)
    assert not lap_of["wheels beside the road"].all_wheels_on_track.any()
    assert lap_of["centre line"].all_wheels_on_track.all()

    slow = reward_file("def reward_function(params):\n    return 4.0 - params['speed']\n")
    found = preview(replay(slow, trace, circle, vehicle), circle, names)
    assert [lap.name for lap in found.laps] == names
    assert any("teaches to be slow" in finding for finding in found.findings)


def test_the_picture_shows_map_reward_and_terms(reward_file: Write, circle: Track, vehicle: Vehicle) -> None:
    path = reward_file("def reward_function(params):\n    return 1.0, {'a': 0.5, 'b': params['x']}\n")
    result = replay(path, laps([2.0]), circle, vehicle)
    figure = reward_figure(circle, result, preview(result, circle), "a title")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "a title"
    assert any("along the track" in title for title in titles)
    assert any("terms" in title for title in titles)
    assert png(figure).startswith(b"\x89PNG")
