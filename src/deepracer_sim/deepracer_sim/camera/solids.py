"""The looks of the objects on the road, in the form that the compiled renderer reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from deepracer_sim.camera.object_kernels import Parts

if TYPE_CHECKING:
    from deepracer_sim.objects import ObjectKind


class Solids(NamedTuple):
    """Shapes and colours of M objects."""

    parts: Parts
    gray: NDArray[np.float32]
    """Of each part (P, 1), 0..255."""
    rgb: NDArray[np.float32]
    """Of each part (P, 3), 0..255."""


def solids(kinds: Sequence[ObjectKind]) -> Solids:
    """Gather the parts of all objects of a world."""
    shapes = np.array([part[:5] for kind in kinds for part in kind.parts])
    rgb = np.array([part[5:] for kind in kinds for part in kind.parts], np.float32)
    # Grey as OpenCV makes it of the colour picture, so that both agree.
    gray = np.asarray(cv2.cvtColor(rgb[None], cv2.COLOR_RGB2GRAY), np.float32).reshape(-1, 1)
    first = np.cumsum([0, *(len(kind.parts) for kind in kinds)])
    footprint = np.array([(kind.length, kind.width) for kind in kinds])
    return Solids(Parts(shapes, first.astype(np.int64), footprint), gray, rgb)
