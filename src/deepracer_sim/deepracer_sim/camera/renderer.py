"""The car's camera: renders what it sees from any pose, at any resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Camera as CameraMount
from deepracer_sim.camera import kernels
from deepracer_sim.camera.plan import plan_image
from deepracer_sim.camera.world import World

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]


class Camera:
    """A pinhole camera on a level car; immutable, and so shared by any number of threads.

    Obstacles can later be drawn over the finished image, as boxes on the ground, farthest first: nothing else in this
    world stands up, so only nearer boxes can hide them.

    Attributes:
        width: Columns of the image, px.
        height: Rows of the image after cropping, px.
    """

    def __init__(self, mount: CameraMount, width: int, height: int, crop_top: float = 0.0) -> None:
        """Plan the image.

        Args:
            mount: Place, pitch and intrinsics from the vehicle file.
            width: Columns of the image, px.
            height: Rows of the image after cropping, px.
            crop_top: Share of the camera's own image that is removed at the top, to whole rows as in
                `deepracer_inference.observation.observe`.
        """
        if not 2 <= width <= kernels.MAX_WIDTH or height < 1 or not 0.0 <= crop_top < 1.0:
            raise ValueError(
                f"an image of {width} x {height} px with {crop_top} cropped cannot be rendered; "
                f"expected a width of 2..{kernels.MAX_WIDTH}, a height of at least 1 and a crop_top of 0 to below 1"
            )
        self.width = width
        self.height = height
        self._plan = plan_image(mount, width, height, round(mount.height_px * crop_top))

    def render_gray(self, world: World, poses: FloatArray, out: ImageArray, lo: int, hi: int) -> None:
        """Render frames `lo` to `hi`; the GIL is released, and frames do not depend on the others.

        Args:
            world: What there is to see.
            poses: x, y, yaw of `base_link` (N, 3), m, m, rad.
            out: Grey images (N, height, width), C-contiguous uint8; only frames `lo` to `hi` are written.
            lo: First frame.
            hi: Behind the last frame.

        Raises:
            ValueError: The shapes do not fit or a pose is not finite.
        """
        if not 0 <= lo <= hi <= len(poses) or out.shape != (len(poses), self.height, self.width):
            raise ValueError(
                f"frames {lo} to {hi} of {len(poses)} poses do not fit images of shape {out.shape}; "
                f"expected images ({len(poses)}, {self.height}, {self.width})"
            )
        chosen = np.ascontiguousarray(poses[lo:hi], dtype=np.float64)
        _check_finite(chosen, lo)
        kernels.render_gray(world.ground, world.sky, self._plan, chosen, out[lo:hi])

    def render_rgb(self, world: World, pose: FloatArray) -> ImageArray:
        """Render one frame in colour, for videos and pictures; its grey is that of `render_gray` within rounding.

        Args:
            world: What there is to see.
            pose: x, y, yaw of `base_link` (3,), m, m, rad.

        Returns:
            RGB (height, width, 3), uint8, a new array.
        """
        pose = np.ascontiguousarray(pose, dtype=np.float64)
        _check_finite(pose[None], 0)
        out = np.empty((self.height, self.width, 3), np.uint8)
        kernels.render_rgb(world.ground, world.sky, self._plan, pose, out)
        return out


def _check_finite(poses: FloatArray, first: int) -> None:
    if not np.isfinite(poses).all():
        car = first + int(np.argmin(np.isfinite(poses).all(axis=1)))
        raise ValueError(f"the pose of car {car} is {poses[car - first].tolist()}; finite numbers are expected")
