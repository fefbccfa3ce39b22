from __future__ import annotations

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from deepracer_sim.camera.ground import COLORS, LINE_WIDTH, MARGIN, Area, area_around, extent, paint_ground
from deepracer_sim.tracks import Track

Array = NDArray[np.float64]

GROUND, ROAD, LINE, DASH = range(4)
TEXEL = 0.01


def positions(area: Area) -> list[Array]:
    rows, columns = area.shape
    return list(np.meshgrid(area.x0 + area.texel * np.arange(columns), area.y0 + area.texel * np.arange(rows)))


def nearest_color(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Index of the surface whose colour is most similar in hue and brightness."""
    difference = image[:, :, None, :].astype(float) - COLORS
    return np.argmin((difference**2).sum(axis=-1), axis=-1)


@pytest.mark.parametrize("fixture", ["stadium_track", "square_track"])
def test_surfaces_are_where_the_geometry_of_the_track_puts_them(fixture: str, request: pytest.FixtureRequest) -> None:
    track: Track = request.getfixturevalue(fixture)
    area = area_around(track, TEXEL, 1)
    surface = nearest_color(paint_ground(track, area, seed=3))
    x, y = positions(area)
    random = np.random.default_rng(0)
    row, column = random.integers(0, area.shape[0], 20_000), random.integers(0, area.shape[1], 20_000)
    points = shapely.points(x[row, column], y[row, column])
    road = shapely.Polygon(track.outer, [track.inner])
    on_road = shapely.contains(road, points)
    to_edge = shapely.distance(shapely.boundary(road), points)
    to_center = shapely.distance(shapely.LinearRing(track.center), points)
    found = surface[row, column]
    clear = 0.012  # of the blend between two colours
    assert (found[~on_road & (to_edge > clear)] == GROUND).all()
    assert (found[on_road & (to_edge > clear) & (to_edge < LINE_WIDTH - clear)] == LINE).all()
    assert (found[on_road & (to_edge > LINE_WIDTH + clear) & (to_center > 0.03)] == ROAD).all()
    assert set(found[to_center < 0.006]) == {ROAD, DASH}


def test_centre_dashes_and_gaps_are_equal_and_close_the_lap(circle_track: Track) -> None:
    area = area_around(circle_track, TEXEL, 1)
    surface = nearest_color(paint_ground(circle_track, area, seed=0))
    angle = (np.arange(20_000) + 0.5) * (2.0 * np.pi / 20_000)
    column = np.round((3.0 + 2.0 * np.cos(angle) - area.x0) / TEXEL).astype(int)
    row = np.round((2.0 + 2.0 * np.sin(angle) - area.y0) / TEXEL).astype(int)
    is_dash = surface[row, column] == DASH
    starts = np.flatnonzero(is_dash & ~np.roll(is_dash, 1))
    # The lap of 4 pi m has 31 dashes and 31 gaps of about 0.2 m.
    assert len(starts) == 31
    assert is_dash.mean() == pytest.approx(0.5, abs=0.02)
    assert np.diff(starts) == pytest.approx(20_000 / 31, abs=40)


def test_same_seed_paints_the_same_and_another_seed_other_textures(square_track: Track) -> None:
    area = area_around(square_track, 0.02, 1)
    first, again, other = (paint_ground(square_track, area, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    assert np.abs(first.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 2.0


def test_picture_depends_on_the_place_and_not_on_the_raster(square_track: Track) -> None:
    area = area_around(square_track, TEXEL, 1)
    whole = paint_ground(square_track, area, seed=0)
    part = Area(area.x0 + 100 * TEXEL, area.y0 + 37 * TEXEL, TEXEL, (150, 200))
    np.testing.assert_array_equal(paint_ground(square_track, part, seed=0), whole[37:187, 100:300])


def test_texture_has_no_repetition(square_track: Track) -> None:
    area = Area(-0.4, -0.4, 0.005, (160, 900))
    road = paint_ground(square_track, area, seed=0)[:, :, 1].astype(float)
    strip = road[30:70] - road[30:70].mean()
    strip = strip[:, 20:]
    power = (strip**2).mean()
    for shift in range(80, 800, 3):
        assert abs((strip[:, shift:] * strip[:, :-shift]).mean()) < 0.35 * power


def test_plain_ground_frames_the_picture(stadium_track: Track) -> None:
    area = area_around(stadium_track, TEXEL, 128)
    image = paint_ground(stadium_track, area, seed=0)
    assert area.shape[0] % 128 == 0 and area.shape[1] % 128 == 0
    x_min, y_min, x_max, y_max = stadium_track.bounds
    assert extent(stadium_track) == (x_min - MARGIN, y_min - MARGIN, x_max + MARGIN, y_max + MARGIN)
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert np.abs(rim - COLORS[GROUND]).max() <= 3.0
