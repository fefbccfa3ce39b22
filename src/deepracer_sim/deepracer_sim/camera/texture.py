"""Textures in many resolutions, in the form that the compiled renderer reads."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]


ROW_PADDING = 32
"""Pairs in a cache line. Rows are an odd number of lines apart, else walks across them crowd into few cache sets."""


class Texture(NamedTuple):
    """A picture on the ground or on the horizon, with coarser levels of half the resolution each, one after another."""

    pairs: NDArray[np.uint16]
    """Each grey texel (low byte) with the one above it in the next row (K,); only these are read in training."""
    rgb: ImageArray
    """The same texels in colour (K, 3)."""
    levels: NDArray[np.int64]
    """Index of the first texel, rows, columns and distance between rows of each level (L, 4), finest first."""
    texel: float
    """Size of the finest texels, m (rad for a panorama)."""
    x_min: float
    """Left edge of the first column, m."""
    y_min: float
    """Lower edge of the first row, m."""


def build_texture(
    image: ImageArray, levels: int, *, texel: float, x_min: float = 0.0, y_min: float = 0.0, wrap: bool = False
) -> Texture:
    """Average a picture down to a texture.

    Args:
        image: RGB (rows, columns, 3); both sides divisible by 2^(levels - 1).
        levels: Number of levels L.
        texel: Size of the picture's texels.
        x_min: Left edge of the first column.
        y_min: Lower edge of the first row.
        wrap: Whether the first column follows the last one, as in a panorama; else the last one goes on.
    """
    images = [image]
    for _ in range(levels - 1):
        rows, columns = images[-1].shape[:2]
        images.append(np.asarray(cv2.resize(images[-1], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)))
    sizes = np.array([level.shape[:2] for level in images])
    # One column more than the picture has: a bilinear sample reads the texel beside it.
    strides = sizes[:, 1] + 1 + (ROW_PADDING - 1 - sizes[:, 1]) % (2 * ROW_PADDING)
    ends = np.cumsum(sizes[:, 0] * strides)
    pairs = np.zeros(ends[-1], np.uint16)
    rgb = np.zeros((ends[-1], 3), np.uint8)
    table = np.column_stack([np.concatenate([[0], ends[:-1]]), sizes, strides])
    for level, (first, rows, columns, stride), end in zip(images, table, ends, strict=True):
        beside = level[:, :1] if wrap else level[:, -1:]
        color = rgb[first:end].reshape(rows, stride, 3)
        color[:, : columns + 1] = np.concatenate([level, beside], axis=1)
        # Grey from colour on every level, so that grey and colour images differ by rounding only.
        gray = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY)).astype(np.uint16)
        pairs[first:end].reshape(rows, stride)[:] = gray | np.concatenate([gray[1:], gray[-1:]]) << 8
    for array in (pairs, rgb, table):
        array.flags.writeable = False
    return Texture(pairs, rgb, table, texel, x_min, y_min)
