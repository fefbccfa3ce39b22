"""Track geometry against values by hand, a slow reference and shapely."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from deepracer_sim.tracks import Track, load_track, track_names
from deepracer_sim.tracks.kernels import project_point
from deepracer_sim.tracks.track import FloatArray, distance_to_ring


def slow_projection(point: FloatArray, line: FloatArray) -> tuple[float, float]:
    """Nearest point of a closed polyline, segment by segment: arc length and distance."""
    best = (math.inf, 0.0)
    driven = 0.0
    for start, end in zip(line, np.roll(line, -1, axis=0), strict=True):
        length = float(np.linalg.norm(end - start))
        if length > 0.0:
            along = min(max(float((point - start) @ (end - start)) / length, 0.0), length)
            nearest = start + along / length * (end - start)
            best = min(best, (float(np.linalg.norm(point - nearest)), driven + along))
        driven += length
    return best[1] % driven, best[0]


def scattered_points(track: Track, count: int, seed: int) -> FloatArray:
    x_min, y_min, x_max, y_max = track.bounds
    return np.random.default_rng(seed).uniform([x_min - 1.0, y_min - 1.0], [x_max + 1.0, y_max + 1.0], (count, 2))


def test_length_width_and_bounds_of_a_stadium(stadium_track: Track) -> None:
    assert stadium_track.length == pytest.approx(8.0 + 2.0 * math.pi, rel=1e-3)
    assert stadium_track.width == pytest.approx(0.8, abs=2e-3)
    assert stadium_track.bounds == pytest.approx((0.0, 0.0, 6.8, 2.8), abs=2e-3)
    np.testing.assert_allclose(stadium_track.half_widths, 0.4, atol=3e-3)


def test_curvature_of_a_circle_is_one_over_its_radius(circle_track: Track) -> None:
    np.testing.assert_allclose(circle_track.curvature(), 0.5, rtol=1e-4)
    np.testing.assert_allclose(circle_track.reversed().curvature(), -0.5, rtol=1e-4)
    assert circle_track.min_radius == pytest.approx(2.0, rel=1e-4)


def test_curvature_of_a_stadium_has_two_values_and_adds_up_to_one_turn(stadium_track: Track) -> None:
    curvature = stadium_track.curvature()
    along = stadium_track.arc_length
    assert curvature[np.argmin(np.abs(along - 0.0))] == pytest.approx(0.0, abs=1e-3)  # middle of the straight
    assert curvature[np.argmin(np.abs(along - (2.0 + math.pi / 2.0)))] == pytest.approx(
        1.0, rel=5e-3
    )  # top of the bend
    assert np.max(curvature) < 1.005
    assert np.sum(curvature) * stadium_track.length / len(along) == pytest.approx(2.0 * math.pi, rel=1e-3)


def test_curvature_ignores_the_noise_of_way_points(circle_track: Track) -> None:
    rng = np.random.default_rng(0)
    rows = slice(None, None, 12)  # about 0.2 m apart, off by 2 mm
    noise = rng.normal(0.0, 0.002, (len(circle_track.center[rows]), 2))
    noisy = Track("noisy", circle_track.center[rows] + noise, circle_track.inner[rows], circle_track.outer[rows])
    assert noisy.min_radius == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize(
    ("point", "arc_length", "lateral", "heading", "segment"),
    [
        ((1.0, 0.3), 1.0, 0.3, 0.0, 0),  # left of the first side
        ((1.0, -0.2), 1.0, -0.2, 0.0, 0),  # right of it
        ((3.7, 3.0), 7.0, 0.3, math.pi / 2.0, 4),  # behind the repeated row 3 = 4
        ((4.2, 2.0), 6.0, -0.2, math.pi / 2.0, 4),  # level with the repeated row: the segment that has a length
        ((2.0, 4.1), 10.0, -0.1, math.pi, 6),
        ((-0.3, -0.4), 0.0, -0.5, 0.0, 0),  # outside the corner at the start
        ((4.3, -0.4), 4.0, -0.5, math.pi / 2.0, 2),  # outside another corner
        ((-0.25, 1.0), 15.0, -0.25, -math.pi / 2.0, 8),  # last side, back to the start
    ],
)
def test_projection_onto_a_square_by_hand(
    square_track: Track,
    point: tuple[float, float],
    arc_length: float,
    lateral: float,
    heading: float,
    segment: int,
) -> None:
    projection = square_track.project([point])
    assert projection.arc_length[0] == pytest.approx(arc_length)
    assert projection.lateral[0] == pytest.approx(lateral)
    assert projection.heading[0] == pytest.approx(heading)
    assert projection.segment[0] == segment


def test_side_is_right_at_the_tip_of_a_hairpin() -> None:
    """Beyond a sharp tip everything lies outside; judged by one of the two segments alone, a part would be inside."""
    tip = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 0.4], [-1.0, 0.2]])
    track = Track("tip", tip, tip, tip)
    lateral = track.project([[4.5, 0.3], [4.5, 0.03], [4.5, -0.03], [4.5, -0.3], [3.0, 0.05]]).lateral
    assert np.all(lateral[:4] < 0.0)
    assert lateral[4] > 0.0


def test_where_the_search_for_the_nearest_point_begins_does_not_matter(square_track: Track) -> None:
    for track in (square_track, load_track("delta")):
        line, count = track.center, len(track.center)
        for point in [*scattered_points(track, 40, seed=3), *line[:3], 0.5 * (line[0] + line[1]), line.mean(axis=0)]:
            found = {project_point(*point, line, track.cumulative, near) for near in range(count)}
            assert len(found) == 1


@pytest.mark.parametrize("name", ["riverside", "bowtie_cw", "comb"])
def test_projection_equals_the_slow_reference_and_shapely(name: str) -> None:
    track = load_track(name)
    points = scattered_points(track, 200, seed=1)
    projection = track.project(points)
    reference = np.array([slow_projection(point, track.center) for point in points])
    np.testing.assert_allclose(np.abs(projection.lateral), reference[:, 1], atol=1e-12)
    np.testing.assert_allclose(projection.arc_length, reference[:, 0], atol=1e-9)

    ring = shapely.LinearRing(track.center)
    np.testing.assert_allclose(np.abs(projection.lateral), shapely.distance(ring, shapely.points(points)), atol=1e-12)
    inside = shapely.contains(shapely.Polygon(track.center), shapely.points(points))
    np.testing.assert_array_equal(projection.lateral > 0.0, inside == track.is_ccw)


def test_projection_undoes_pose_at() -> None:
    track = load_track("switchback")
    rng = np.random.default_rng(2)
    s = rng.uniform(0.0, track.length, 500)
    lateral = rng.uniform(-0.3, 0.3, 500)
    pose = track.pose_at(s, lateral)
    projection = track.project(pose[:, :2])
    # Inside a bend the way points' corners overlap a little; nowhere by more than a share of the spacing.
    np.testing.assert_allclose(np.abs(projection.lateral), np.abs(lateral), atol=5e-3)
    gap = np.mod(projection.arc_length - s + 0.5 * track.length, track.length) - 0.5 * track.length
    assert np.max(np.abs(gap)) < 0.08
    on_line = track.project(track.pose_at(s)[:, :2])
    np.testing.assert_allclose(on_line.arc_length, s, atol=1e-9)
    np.testing.assert_allclose(on_line.heading, track.pose_at(s)[:, 2], atol=1e-12)


def test_pose_at_takes_laps_off_and_offsets_to_the_left(square_track: Track) -> None:
    np.testing.assert_allclose(square_track.pose_at(1.0, 0.25), [[1.0, 0.25, 0.0]])
    np.testing.assert_allclose(square_track.pose_at([17.0, -15.0]), [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(square_track.pose_at(6.0), [[4.0, 2.0, math.pi / 2.0]])  # at the repeated row
    np.testing.assert_allclose(square_track.pose_at(1.0, [0.1, -0.1])[:, 1], [0.1, -0.1])
    assert square_track.pose_at(-1e-18).shape == (1, 3)


def test_every_waypoint_projects_onto_itself_with_arc_length_below_one_lap() -> None:
    for name in ("oval", "grand_tour"):
        track = load_track(name)
        projection = track.project(track.center)
        np.testing.assert_allclose(projection.arc_length, track.arc_length, atol=1e-9)
        np.testing.assert_allclose(projection.lateral, 0.0, atol=1e-12)
        assert np.max(projection.arc_length) < track.length


@pytest.mark.parametrize("name", ["riverside", "bean", "clover_cw", "grand_tour"])
def test_on_road_equals_shapely(name: str) -> None:
    track = load_track(name)
    points = scattered_points(track, 3000, seed=3)
    road = shapely.Polygon(track.outer, [track.inner])
    expected = shapely.contains(road, shapely.points(points))
    assert 0 < np.count_nonzero(expected) < len(points)
    np.testing.assert_array_equal(track.on_road(points), expected)


def test_on_road_of_a_circle_by_hand(circle_track: Track) -> None:
    points = [[3.0, 2.0], [4.4, 2.0], [4.6, 2.0], [5.0, 2.0], [5.4, 2.0], [5.6, 2.0]]
    assert circle_track.on_road(points).tolist() == [False, False, True, True, True, False]


def test_reversing_keeps_the_start_and_swaps_the_sides(stadium_track: Track) -> None:
    back = stadium_track.reversed()
    assert stadium_track.is_ccw
    assert not back.is_ccw
    np.testing.assert_array_equal(back.center[0], stadium_track.center[0])
    np.testing.assert_array_equal(back.center[1], stadium_track.center[-1])
    point = [[3.0, 0.5]]  # 0.1 m inside of the straight along y = 0.4
    assert stadium_track.project(point).lateral[0] == pytest.approx(0.1)
    assert back.project(point).lateral[0] == pytest.approx(-0.1)
    np.testing.assert_array_equal(stadium_track.left, stadium_track.inner)
    np.testing.assert_array_equal(back.left, back.outer)
    np.testing.assert_array_equal(back.reversed().rows(), stadium_track.rows())


def test_left_border_is_to_the_left_on_every_track() -> None:
    for name in track_names():
        for suffix in ("_cw", "_ccw"):
            track = load_track(name + suffix)
            assert np.all(track.project(track.left).lateral > 0.0)
            assert np.all(track.project(track.right).lateral < 0.0)


def test_distance_to_a_ring_by_hand() -> None:
    ring = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    points = np.array([[1.0, 0.5], [3.0, 1.0], [-3.0, -4.0]])
    np.testing.assert_allclose(distance_to_ring(points, ring), [0.5, 1.0, 5.0])


def test_a_track_cannot_be_changed(stadium_track: Track) -> None:
    with pytest.raises(ValueError, match="read-only"):
        stadium_track.center[0, 0] = 1.0
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        stadium_track.project([1.0, 2.0])
    with pytest.raises(ValueError, match="M >= 3"):
        Track("line", np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)))
