"""The car's camera: renders what it sees from any pose, at any resolution."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Camera as CameraMount
from deepracer_sim.camera import kernels, object_kernels
from deepracer_sim.camera.plan import plan_image
from deepracer_sim.camera.solids import Solids
from deepracer_sim.camera.world import World

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]


class Camera:
    """A pinhole camera on a level car; immutable, and so shared by any number of threads.

    Boxes and cars are drawn over the finished image: nothing else in this world stands up, so only they hide something.

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
        crop_px = round(mount.height_px * crop_top)
        self._plan = plan_image(mount, width, height, crop_px)
        row_px = (mount.height_px - crop_px) / height
        self._view = object_kernels.View(
            mount_x=mount.x,
            mount_y=mount.y,
            height=mount.z,
            cos=math.cos(mount.pitch),
            sin=math.sin(mount.pitch),
            focal_px=mount.focal_px,
            column_px=mount.width_px / width,
            row_px=row_px,
            left_px=0.5 * mount.width_px,
            top_px=0.5 * mount.height_px - crop_px,
            # A row is cut into pieces of half a pixel of the camera, so that small images show what reduced ones do.
            sub_rows=max(4, math.ceil(2.0 * row_px)),
            reach=0.5 * mount.width_px / mount.focal_px,
        )

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

    def draw_gray(
        self,
        solids: Solids,
        poses: FloatArray,
        objects: FloatArray,
        there: NDArray[np.bool_],
        out: ImageArray,
        lo: int,
        hi: int,
    ) -> None:
        """Draw what stands on the road over the finished frames `lo` to `hi`; the GIL is released.

        Args:
            solids: Looks of the M objects.
            poses: x, y, yaw of `base_link` (N, 3), m, m, rad.
            objects: x, y, yaw of the objects in the world of each car (N, M, 3).
            there: Whether an object is there (N, M).
            out: Grey images (N, height, width), in and out.
            lo: First frame.
            hi: Behind the last frame.
        """
        chosen = np.ascontiguousarray(poses[lo:hi], dtype=np.float64)
        object_kernels.draw_objects(
            self._view, chosen, objects[lo:hi], there[lo:hi], solids.parts, solids.gray, out[lo:hi, :, :, None]
        )

    def draw_rgb(
        self, solids: Solids, pose: FloatArray, objects: FloatArray, there: NDArray[np.bool_], out: ImageArray
    ) -> None:
        """Draw what stands on the road over a finished frame (H, W, 3), as `draw_gray` does.

        Args:
            solids: Looks of the M objects.
            pose: x, y, yaw of `base_link` (3,), m, m, rad.
            objects: x, y, yaw of the objects (M, 3).
            there: Whether an object is there (M,).
            out: The frame, in and out.
        """
        pose = np.ascontiguousarray(pose, dtype=np.float64)
        object_kernels.draw_objects(
            self._view, pose[None], objects[None], there[None], solids.parts, solids.rgb, out[None]
        )

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
