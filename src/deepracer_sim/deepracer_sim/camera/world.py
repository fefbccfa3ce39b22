"""The world a camera sees: a flat ground with the track, and surroundings that are too far away to come nearer."""

from __future__ import annotations

import math

from deepracer_sim.camera.ground import area_around, extent, paint_ground
from deepracer_sim.camera.panorama import PANORAMA_LEVELS, PANORAMA_TEXEL, paint_panorama
from deepracer_sim.camera.texture import Texture, build_texture
from deepracer_sim.tracks.track import Track

FINEST_TEXEL = 0.003
"""m; two texels are a pixel of the camera's image 0.5 m ahead."""
MAX_TEXELS = 12_000_000
"""Of the ground's finest level: 80 MB with all levels in grey and colour."""
MAX_SIDE = 20_000
"""Texels along one side; leaves the renderer's 16.16 fixed point room for views from outside."""
LEVELS = 8
"""Of the ground; the coarsest texels, 0.4 to 0.8 m, are as wide as a pixel of a small image near the horizon."""


class World:
    """Immutable, and so shared by any number of cameras and threads.

    Attributes:
        track: The road.
        seed: Of all textures and the surroundings.
        texel: Size of the ground's finest texels, m.
        ground: Texture of the ground.
        sky: Panorama of the surroundings.
    """

    track: Track
    seed: int
    texel: float
    ground: Texture
    sky: Texture

    def __init__(self, track: Track, *, seed: int = 0, texel: float | None = None) -> None:
        """Paint the world, which takes about a second.

        Args:
            track: The road.
            seed: Another seed gives other textures and surroundings.
            texel: Size of the finest texels, m; by default 3 mm, more for tracks that need over `MAX_TEXELS` of them.

        Raises:
            ValueError: The ground would have more than `MAX_SIDE` texels along a side.
        """
        self.track = track
        self.seed = seed
        self.texel = default_texel(track) if texel is None else texel
        area = area_around(track, self.texel, multiple=1 << (LEVELS - 1))
        if max(area.shape) > MAX_SIDE:
            raise ValueError(
                f"texels of {self.texel} m make the ground of track '{track.name}' {max(area.shape)} texels long; "
                f"give a larger texel, so that it has at most {MAX_SIDE}"
            )
        self.ground = build_texture(
            paint_ground(track, area, seed=seed),
            LEVELS,
            texel=self.texel,
            x_min=area.x0 - 0.5 * self.texel,
            y_min=area.y0 - 0.5 * self.texel,
        )
        self.sky = build_texture(paint_panorama(seed), PANORAMA_LEVELS, texel=PANORAMA_TEXEL, wrap=True)


def default_texel(track: Track) -> float:
    """Return the size of texels, m, with which a track and its margin fit into `MAX_TEXELS`."""
    x_min, y_min, x_max, y_max = extent(track)
    return max(FINEST_TEXEL, math.sqrt((x_max - x_min) * (y_max - y_min) / MAX_TEXELS))
