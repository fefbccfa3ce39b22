"""Explaining an evaluation: sections of a track, and laps that are made bad at a known place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from deepracer_inference.vehicle import Vehicle
from deepracer_sim.objects import Objects
from deepracer_sim.tracks.library import library_names, load_track
from deepracer_sim.tracks.track import Track
from deepracer_training.explanation.analysis import Explanation, explain
from deepracer_training.explanation.findings import findings
from deepracer_training.explanation.laps import Limits
from deepracer_training.explanation.sections import section_at, sections
from deepracer_training.explanation.steering import swings
from deepracer_training.explanation.table import COLUMNS, table
from deepracer_training.models.config import continuous_action_space, discrete_action_space
from deepracer_training.object_trace import recorded
from deepracer_training.report.explain_plots import explanation_figure
from deepracer_training.report.plots import png
from deepracer_training.traces import COLUMNS as TRACE_COLUMNS
from deepracer_training.traces import Trace, parse_trace

LIMITS = Limits(-25.0, 25.0, 2.0)
PERIOD_S = 1 / 15


@pytest.fixture(scope="module")
def oval() -> Track:
    """Straights of 3.3 m from -1.7 m and from 5.8 m on, and half circles to the left between them."""
    return load_track("oval")


def lap_rows(
    track: Track,
    episode: int = 0,
    *,
    laps: float = 2.0,
    slow: tuple[float, float] = (0.0, 0.0),
    weave: tuple[float, float] = (0.0, 0.0),
    saturate: tuple[float, float] = (0.0, 0.0),
    off_at: float | None = None,
    crash_at: float | None = None,
) -> list[str]:
    """Drive along the centre line at 2 m/s.

    Args:
        track: The road.
        episode: Number.
        laps: How far.
        slow: Where the car does 1 m/s only, m.
        weave: Where the steering command changes sides every other step, 10 degrees either way.
        saturate: Where the steering is at its left limit.
        off_at: Where the car leaves the road to the right, once, and waits two seconds.
        crash_at: Where the car hits something, once, and is put back by a metre.
    """
    rows, way, step, time_s = [], 0.0, 0, 0.0

    def row(status: str, lateral: float, steering: float) -> None:
        nonlocal step, time_s
        x, y, yaw = track.pose_at(way, lateral)[0].tolist()
        step, time_s = step + 1, time_s + PERIOD_S
        wheels = abs(lateral) < 0.5 * track.width
        rows.append(
            f"{episode},{step},{x},{y},{np.degrees(yaw)},{steering},2.0,[0],1.0,False,{wheels},1.0,0,{track.length},"
            f"{time_s},{status},0,0,{time_s}"
        )

    def inside(stretch: tuple[float, float]) -> bool:
        return stretch[0] <= way % track.length < stretch[1]

    while way < laps * track.length:
        steering = 25.0 if inside(saturate) else 10.0 * (-1.0) ** (step // 2) if inside(weave) else 0.0
        if off_at is not None and way > off_at:
            row("off_track", -0.5 * track.width - 0.2, steering)
            for _ in range(30):
                row("pause", 0.0, 0.0)
            off_at = None
        if crash_at is not None and way > crash_at:
            row("crashed", 0.0, steering)
            way -= 1.0
            crash_at = None
            for _ in range(75):
                row("pause", 0.0, 0.0)
        row("in_progress", 0.0, steering)
        way += (1.0 if inside(slow) else 2.0) * PERIOD_S
    return rows


def explained(
    track: Track, vehicle: Vehicle, *laps: list[str], objects: Mapping[int, Objects] | None = None
) -> Explanation:
    text = "\n".join([",".join(TRACE_COLUMNS), *(row for lap in laps for row in lap)])
    return explain(parse_trace(text, "made up"), track, vehicle, LIMITS, objects)


@pytest.mark.parametrize("name", library_names())
def test_sections_cover_every_track_once(name: str) -> None:
    track = load_track(name)
    cut = sections(track)
    assert sum(one.length_m for one in cut) == pytest.approx(track.length)
    assert len({one.name for one in cut}) == len(cut)
    s = np.arange(0.0, track.length, 0.01, dtype=np.float64)
    where = section_at(cut, s, track.length)
    for index, one in enumerate(cut):
        assert 0.01 * np.sum(where == index) == pytest.approx(one.length_m, abs=0.03)
    assert section_at(cut, np.array([-0.1]), track.length) == section_at(
        cut, np.array([track.length - 0.1]), track.length
    )


def test_an_oval_has_two_straights_and_two_bends_and_a_circle_is_one_bend(oval: Track, circle: Track) -> None:
    assert [one.name for one in sections(oval)] == [
        "straight 1",
        "left 1a",
        "left 1b",
        "straight 2",
        "left 2a",
        "left 2b",
    ]
    first, second = (one for one in sections(oval) if one.kind == "straight")
    assert second.begin_m - first.begin_m == pytest.approx(0.5 * oval.length - oval.length, abs=0.2)
    assert {one.kind for one in sections(circle)} == {"left"}
    assert {one.kind for one in sections(circle.reversed())} == {"right"}


def test_a_section_that_is_driven_slowly_is_where_time_is_lost(oval: Track, vehicle: Vehicle) -> None:
    found = explained(oval, vehicle, lap_rows(oval, slow=(5.0, 10.0)))
    by_name = {one.name: one for one in found.sections}
    straight = by_name["straight 2"]
    length = straight.end_m - straight.begin_m
    assert straight.passes == 2
    assert straight.time_mean_s == pytest.approx(length / 1.0, abs=0.01)
    assert straight.reference_s == pytest.approx(length / 2.0, abs=0.01)
    assert straight.lost_s == pytest.approx(length / 2.0, abs=0.02)
    assert straight.speed_mean == pytest.approx(1.0, abs=0.01)
    assert by_name["straight 1"].lost_s == pytest.approx(0.0, abs=0.02)
    # The first pass of the section with the start line is half of one, the last one too.
    assert by_name["straight 1"].passes == 1
    sentence = next(one for one in findings(found) if "loses" in one)
    assert "straight 2" in sentence
    assert f"{straight.lost_s:.2f} s a lap" in sentence


def test_grip_limits_what_a_bend_can_take(oval: Track, vehicle: Vehicle) -> None:
    fast = explain_at(oval, vehicle, 4.0)
    slow = explain_at(oval, vehicle, 1.0)
    assert slow.reference_s == pytest.approx(oval.length / 1.0, rel=1e-3)
    bend = next(one for one in fast.sections if one.name == "left 1a")
    middle = 0.5 * (bend.begin_m + bend.end_m)
    curvature = float(np.interp(middle, oval.arc_length, oval.curvature()))
    grip = (vehicle.tyre.friction * 9.81 / curvature) ** 0.5
    assert grip < 4.0
    assert bend.reference_s == pytest.approx((bend.end_m - bend.begin_m) / grip, rel=0.05)


def explain_at(track: Track, vehicle: Vehicle, top_speed: float) -> Explanation:
    text = "\n".join([",".join(TRACE_COLUMNS), *lap_rows(track)])
    return explain(parse_trace(text, "made up"), track, vehicle, Limits(-25.0, 25.0, top_speed))


def test_leaving_the_road_at_one_place_in_two_laps_is_one_hotspot(oval: Track, vehicle: Vehicle) -> None:
    laps = [lap_rows(oval, 0, off_at=7.0), lap_rows(oval, 1), lap_rows(oval, 2, off_at=7.4, saturate=(5.0, 8.0))]
    found = explained(oval, vehicle, *laps)
    (spot,) = found.hotspots
    assert (spot.section, spot.side, spot.count, spot.laps) == ("straight 2", "right", 2, [1, 3])
    assert spot.arc_length_m == pytest.approx(7.2, abs=0.4)
    assert spot.at_limit_share == pytest.approx(0.5, abs=0.1)
    by_name = {one.name: one for one in found.sections}
    assert by_name["straight 2"].violations == 2
    assert by_name["straight 2"].penalty_s == pytest.approx(4.0)
    # 3 laps of 2 rounds: the passes with a violation do not count, and the penalty is in no time.
    assert by_name["straight 2"].passes == 4
    assert by_name["straight 2"].lost_s == pytest.approx(0.0, abs=0.02)
    assert any("leaves the road to the right in straight 2" in one and "2 of 3 laps" in one for one in findings(found))


def test_what_a_car_comes_to_and_what_it_hits_is_told_and_drawn(oval: Track, vehicle: Vehicle) -> None:
    laps = [lap_rows(oval, 0, laps=0.7, crash_at=6.85), lap_rows(oval, 1, laps=0.7), lap_rows(oval, 2, laps=0.7)]
    # To the left at 3 and at 7 m, to the right at 10 m; and beyond what is driven of the lap.
    places = [(3.0, 0.25), (7.0, 0.25), (10.0, -0.25), (0.9 * oval.length, 0.25)]
    poses = [[*oval.pose_at(s, lateral)[0].tolist()[:2], 0.0, 0.0] for s, lateral in places]
    objects = {lap: recorded(oval, ["box"] * 4, np.array([poses] * len(rows))) for lap, rows in enumerate(laps)}
    found = explained(oval, vehicle, *laps, objects=objects)
    assert [(met.lap, round(met.arc_length_m), bool(met.hits)) for met in found.meetings] == [
        (lap, s, (lap, s) == (1, 7)) for lap in (1, 2, 3) for s in (3, 7, 10)
    ]
    (spot,) = found.hotspots
    assert (spot.status, spot.hit, spot.section, spot.laps) == ("crashed", "box", "straight 2", [1])
    told = findings(found)
    assert any(one.startswith("It hits a box in straight 2, at 6.9 m, once, in 1 of 3 laps") for one in told)
    assert "It hits 1 of 9 boxes that it comes to: 1 of 6 on the left and 0 of 3 on the right of the road." in told

    top, _, _, line, _ = explanation_figure(oval, found, LIMITS, "a title").axes[:5]
    for axes, name in ((top, "map"), (line, "line")):
        boxes = [one for one in axes.collections if isinstance(one, PolyCollection)]
        framed = [one for one in boxes if np.max(one.get_linewidth()) > 1.0]
        assert (len(boxes), len(framed)) == (9, 1), name
        corners = np.asarray(framed[0].get_paths()[0].vertices)[:4]
        middle = oval.pose_at(7.0, 0.25)[0, :2] if axes is top else (7.0, 0.25)
        np.testing.assert_allclose(np.mean(corners, axis=0), middle, atol=0.01)
    assert "boxes" in line.get_title(loc="left") + line.get_title()


def test_without_a_record_of_objects_a_crash_is_a_crash(oval: Track, vehicle: Vehicle) -> None:
    found = explained(oval, vehicle, lap_rows(oval, crash_at=6.8))
    assert found.hotspots[0].hit is None
    assert findings(found)[0].startswith("It crashes in straight 2")
    assert found.meetings == []


def test_weaving_and_full_steering_are_told_apart(oval: Track, vehicle: Vehicle) -> None:
    found = explained(oval, vehicle, lap_rows(oval, weave=(5.8, 9.1), saturate=(9.2, 11.1)))
    by_name = {one.name: one for one in found.sections}
    assert [one.name for one in found.sections if one.weaving] == ["straight 2"]
    assert by_name["straight 2"].swings_per_s == pytest.approx(7.5, rel=0.15)  # turns back every other step
    assert by_name["straight 2"].at_limit_share == 0.0
    assert by_name["left 2a"].at_limit_share > 0.9
    assert by_name["left 1a"].at_limit_share == 0.0
    text = " ".join(findings(found))
    assert "weaves in straight 2" in text
    assert "as far as it may in left 2a" in text


def test_a_flawless_evaluation_has_nothing_to_tell(oval: Track, vehicle: Vehicle) -> None:
    found = explained(oval, vehicle, lap_rows(oval))
    assert findings(found)[0].startswith("Nothing stands out")
    assert found.lap_time_mean_s == pytest.approx(oval.length / 2.0, abs=0.02)


def test_swings_are_turning_points_of_some_size() -> None:
    steering = np.array([0.0, 5.0, 10.0, 9.0, 10.0, 0.0, -10.0, -9.0, 10.0, 10.0])
    assert np.flatnonzero(swings(steering, 8.0)).tolist() == [2, 6]
    assert not swings(np.array([-25.0, -10.0, 5.0, 25.0]), 5.0).any()
    assert not swings(np.array([]), 5.0).any()


def test_limits_come_from_either_kind_of_action_space() -> None:
    assert Limits.of(continuous_action_space()) == Limits(-25.0, 25.0, 2.0)
    assert Limits.of(discrete_action_space()) == Limits(-30.0, 30.0, 0.6)


def test_table_and_picture_show_every_section(oval: Track, vehicle: Vehicle) -> None:
    found = explained(oval, vehicle, lap_rows(oval, slow=(5.0, 10.0), off_at=3.0))
    rows = table(found)
    assert [row[0][0] for row in rows] == [one.name for one in found.sections]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert [row[0][0] for row in rows if row[COLUMNS.index("lost")][1]] == ["straight 2"]
    figure = explanation_figure(oval, found, LIMITS, "a title")
    labels = {text.get_text() for text in figure.axes[0].texts}
    assert {"S1", "L1a", "S2"} <= labels
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["off track"]
    assert png(figure).startswith(b"\x89PNG")


def test_a_car_that_never_gets_going_is_explained_too(oval: Track, vehicle: Vehicle) -> None:
    trace: Trace = parse_trace("\n".join([",".join(TRACE_COLUMNS), *lap_rows(oval, laps=0.01)]), "made up")
    found = explain(trace, oval, vehicle, LIMITS)
    assert found.lap_time_mean_s is None
    assert {one.passes for one in found.sections} == {0}
    assert png(explanation_figure(oval, found, LIMITS, "stands")).startswith(b"\x89PNG")
