"""The camera's scan lines: where on the ground and on the horizon each image row looks.

The car is level and the camera does not roll. So the points seen by one image row all lie equally far ahead, side by
side: sampling a row means walking straight over the ground. Towards the horizon a pixel sees a strip that is far
longer than wide; it is sampled by several scan lines, each on a texture level as fine as the strip is wide.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Camera as CameraMount
from deepracer_sim.camera.panorama import PANORAMA_LEVELS, PANORAMA_SHAPE, PANORAMA_TEXEL, Z_MIN
from deepracer_sim.camera.world import FINEST_TEXEL

FloatArray = NDArray[np.float64]

MAX_DISTANCE = 200.0
"""m; the ground beyond counts as lying there. It is plain and within 0.1 px of the horizon."""


class Sampling(NamedTuple):
    """How finely a pixel is sampled; F is the width of its footprint on the ground."""

    texel: float
    """Texels are at most that many F wide, more than half of it where the texture is fine enough."""
    spacing: float
    """Distance between the scan lines of one row, in F."""
    most: int
    """Scan lines of one row at most; their texels grow with the distance between them."""


CAMERA_SAMPLING = Sampling(texel=1.4, spacing=2.0, most=8)
"""For camera images: mean error against exact averaging 0.6 grey levels, mostly the finest grain of the asphalt."""
OBSERVATION_SAMPLING = Sampling(texel=0.8, spacing=1.0, most=32)
"""For smaller images: a pixel must be the mean of several camera pixels, so its footprint is filled more evenly."""


class Plan(NamedTuple):
    """Scan lines of all rows (H) of an image, in the form that the compiled renderer reads."""

    width: int
    """Columns of the image W, px."""
    mount_x: float
    """Camera ahead of `base_link`, m."""
    mount_y: float
    """Camera left of `base_link`, m."""
    forward: FloatArray
    """Distance ahead of the camera at which each ground scan line lies (K,), m."""
    step: FloatArray
    """From one pixel to the next on it (K,), m."""
    log2_texel: FloatArray
    """Binary logarithm of the largest texel, m, to sample it with (K,)."""
    ground_first: NDArray[np.int64]
    """First ground scan line of each row and, last, their number (H + 1,)."""
    ground_share: NDArray[np.float32]
    """Factor from the sum over a row's ground scan lines to grey levels (H,)."""
    sky_column: NDArray[np.int32]
    """Column of the panorama level for yaw 0, 16.16 fixed point (S, W)."""
    sky_row: NDArray[np.int32]
    """Row of the panorama level, 16.16 fixed point (S, W)."""
    sky_level: NDArray[np.int64]
    """Level of the panorama (S,)."""
    sky_first: NDArray[np.int64]
    """As `ground_first`, for the panorama (H + 1,)."""
    sky_share: NDArray[np.float32]
    """As `ground_share`, for the panorama (H,)."""


class Optics:
    """Rays of a pinhole camera that is pitched down, in a frame that is level and looks where the car does.

    The ray of image point (u right, v down, px from the centre) is (ahead, left, down) =
    (cos p - v/f sin p, -u/f, sin p + v/f cos p).
    """

    def __init__(self, mount: CameraMount) -> None:
        """Take the intrinsics and the pitch from the vehicle file."""
        self.focal_px = mount.focal_px
        self._cos, self._sin = math.cos(mount.pitch), math.sin(mount.pitch)
        self.horizon_px = -self.focal_px * math.tan(mount.pitch)

    def ahead(self, v: FloatArray) -> FloatArray:
        """Return how far rays go ahead, for rows `v`, px from the centre."""
        return self._cos - v / self.focal_px * self._sin

    def down(self, v: FloatArray) -> FloatArray:
        """Return how far rays go down."""
        return self._sin + v / self.focal_px * self._cos


def plan_image(mount: CameraMount, width: int, height: int, crop_px: int) -> Plan:
    """Plan the scan lines of an image.

    Args:
        mount: Camera of the vehicle file.
        width: Columns of the image, px.
        height: Rows of the image, px.
        crop_px: Rows of the camera's own image that are removed at the top before it is brought to this size.
    """
    optics = Optics(mount)
    camera_columns = mount.width_px / width
    camera_rows = (mount.height_px - crop_px) / height
    sampling = OBSERVATION_SAMPLING if max(camera_columns, camera_rows) > 1.0 else CAMERA_SAMPLING
    columns: FloatArray = (np.arange(width, dtype=np.float64) + 0.5) * camera_columns - 0.5 * mount.width_px
    ground: list[FloatArray] = []
    sky: list[tuple[FloatArray, FloatArray, int]] = []
    ground_first, sky_first = [0], [0]
    ground_share, sky_share = np.zeros(height, np.float32), np.zeros(height, np.float32)
    for row in range(height):
        top = crop_px + row * camera_rows - 0.5 * mount.height_px
        bottom = top + camera_rows
        horizon = min(max(optics.horizon_px, top), bottom)
        if horizon < bottom:
            lines = _ground_lines(optics, mount.z, horizon, bottom, camera_columns, sampling)
            ground.append(lines)
            ground_share[row] = (bottom - horizon) / camera_rows / len(lines) / 65536.0
        if horizon > top:
            looks = _sky_looks(optics, top, horizon, columns, sampling)
            sky.extend(looks)
            sky_share[row] = (horizon - top) / camera_rows / len(looks) / 65536.0
        ground_first.append(sum(map(len, ground)))
        sky_first.append(len(sky))
    forward, step, log2_texel = np.ascontiguousarray(np.concatenate([np.empty((0, 3)), *ground]).T)
    return Plan(
        width=width,
        mount_x=mount.x,
        mount_y=mount.y,
        forward=forward,
        step=step,
        log2_texel=log2_texel,
        ground_first=np.array(ground_first),
        ground_share=ground_share,
        sky_column=np.array([column for column, _, _ in sky], np.int32).reshape(-1, width),
        sky_row=np.array([row for _, row, _ in sky], np.int32).reshape(-1, width),
        sky_level=np.array([level for _, _, level in sky], np.int64),
        sky_first=np.array(sky_first),
        sky_share=sky_share,
    )


def _ground_lines(
    optics: Optics, z: float, top: float, bottom: float, camera_columns: float, sampling: Sampling
) -> FloatArray:
    """Divide the ground between two image rows, px from the centre, into lines (K, 3): forward, step, log2_texel."""
    fine = top + (bottom - top) * (np.arange(32) + 0.5) / 32
    wide = z * camera_columns / (optics.focal_px * optics.down(fine))
    long = z / (optics.focal_px * optics.down(fine) ** 2)
    # Where the texture is coarser than the pixels, closer scan lines would only read the same texels again.
    wanted = long / (sampling.spacing * np.maximum(wide, FINEST_TEXEL / sampling.texel))
    count = min(max(math.ceil((bottom - top) * wanted.mean() - 0.2), 1), sampling.most)
    part = (bottom - top) / count
    v = top + (np.arange(count) + 0.5) * part
    down = np.maximum(optics.down(v), z / MAX_DISTANCE)
    step = z * camera_columns / (optics.focal_px * down)
    gap = z / (optics.focal_px * down**2) * part
    texel = sampling.texel * np.maximum(step, 0.75 * gap / sampling.spacing)
    return np.column_stack([z * optics.ahead(v) / down, step, np.log2(texel)])


def _sky_looks(
    optics: Optics, top: float, bottom: float, columns: FloatArray, sampling: Sampling
) -> list[tuple[FloatArray, FloatArray, int]]:
    """Look up where on the panorama the pixels between two image rows lie: (column (W,), row (W,), level) per line."""
    step = (columns[1] - columns[0]) / optics.focal_px
    count = 1 if sampling is CAMERA_SAMPLING else 2
    texels = sampling.texel * step / PANORAMA_TEXEL / count
    level = min(max(math.floor(math.log2(texels)), 0), PANORAMA_LEVELS - 1)
    rows_of_level = PANORAMA_SHAPE[0] >> level
    texel = PANORAMA_TEXEL * (1 << level)
    looks = []
    for part in range(count):
        v = np.full(1, top + (bottom - top) * (part + 0.5) / count)
        ahead = optics.ahead(v)
        azimuth = np.arctan2(-columns / optics.focal_px, ahead)
        rise = -optics.down(v) / np.hypot(ahead, columns / optics.focal_px)
        column = azimuth / texel * 65536.0
        row = np.clip(((rise - Z_MIN) / texel - 0.5) * 65536.0, 0.0, (rows_of_level - 1) * 65536.0 - 1.0)
        looks.append((np.round(column), np.round(row), level))
    return looks
