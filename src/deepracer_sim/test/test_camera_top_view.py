from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from deepracer_sim.camera.ground import COLORS
from deepracer_sim.camera.top_view import top_view
from deepracer_sim.camera.world import World
from deepracer_sim.tracks import Track


def color_at(image: NDArray[np.uint8], transform: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    column, row = np.round(np.array([x, y]) @ transform[:, :2].T + transform[:, 2]).astype(int)
    return image[row, column].astype(float)


def test_transform_puts_world_points_on_their_pixels(square_track: Track) -> None:
    image, transform = top_view(square_track, 370)
    assert image.shape == (370, 370, 3)
    # Middles of the road beside a dash, of the white lines and of the ground, on all four sides.
    for x, y in ((2.0, 0.25), (4.25, 2.0), (2.0, 3.75), (-0.25, 2.0)):
        assert color_at(image, transform, x, y) == pytest.approx(COLORS[1], abs=25.0)
    for x, y in ((2.0, -0.475), (4.475, 2.0), (2.0, 3.525), (0.475, 1.0)):
        assert color_at(image, transform, x, y) == pytest.approx(COLORS[2], abs=25.0)
    for x, y in ((2.0, 2.0), (-0.8, 1.0), (2.0, 4.9)):
        assert color_at(image, transform, x, y) == pytest.approx(COLORS[0], abs=35.0)


def test_y_points_upwards_and_x_to_the_right(stadium_track: Track) -> None:
    image, transform = top_view(stadium_track, 400)
    right, up = transform[:, :2] @ [1.0, 0.0], transform[:, :2] @ [0.0, 1.0]
    assert right[0] > 0.0 == right[1]
    assert up[1] < 0.0 == up[0]
    assert image.shape[1] == 400 and image.flags.c_contiguous


def test_world_shows_its_own_textures(square_track: Track) -> None:
    world = World(square_track, seed=9, texel=0.02)
    of_world, _ = top_view(world, 200)
    of_track, _ = top_view(square_track, 200)
    assert (of_world != of_track).mean() > 0.3
    assert np.abs(of_world.astype(float) - of_track).mean() < 10.0
