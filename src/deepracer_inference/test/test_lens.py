"""Rectification: what a wide lens saw looks like what a pinhole camera would have seen."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from deepracer_inference.errors import DeepRacerError, UserError
from deepracer_inference.lens import Lens, Rectifier, load_lens
from deepracer_inference.vehicle import Camera, load_vehicle

Float64Array = npt.NDArray[np.float64]

FISHEYE = Lens.equidistant(640, 480, math.radians(140))


@pytest.fixture
def camera() -> Camera:
    return load_vehicle("deepracer").camera


def scene(direction: Float64Array) -> Float64Array:
    """Grey level of the world in directions (..., 3), x right, y down, z ahead: soft stripes along both axes."""
    x, y = direction[..., 0] / direction[..., 2], direction[..., 1] / direction[..., 2]
    return np.asarray(128 + 60 * np.sin(9 * x) + 60 * np.cos(7 * y))


def pinhole_view(camera: Camera) -> Float64Array:
    """Look at the scene through an ideal pinhole, pixel centre by pixel centre."""
    x, y = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    x, y = x - (camera.width_px - 1) / 2, y - (camera.height_px - 1) / 2
    return scene(np.stack([x, y, np.full(x.shape, camera.focal_px)], axis=-1))


def fisheye_view(lens: Lens) -> Float64Array:
    """Look at it through an ideal fisheye: the distance from the middle is the angle off the axis."""
    focal = lens.camera_matrix.data[0]
    x, y = np.meshgrid(np.arange(lens.image_width), np.arange(lens.image_height))
    x, y = x - (lens.image_width - 1) / 2, y - (lens.image_height - 1) / 2
    radius = np.hypot(x, y) + 1e-12
    angle = np.minimum(radius / focal, 1.4)
    direction = np.stack([np.sin(angle) * x / radius, np.sin(angle) * y / radius, np.cos(angle)], axis=-1)
    return np.clip(scene(direction), 0, 255)


def test_a_fisheye_becomes_the_pinhole_of_the_training(camera: Camera) -> None:
    seen = Rectifier(FISHEYE, camera)(np.rint(fisheye_view(FISHEYE)).astype(np.uint8))
    assert seen.shape == (camera.height_px, camera.width_px)
    error = np.abs(seen - pinhole_view(camera))
    assert error.mean() < 1.0
    assert error.max() < 6.0
    plain = cv2.resize(fisheye_view(FISHEYE), seen.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(plain - pinhole_view(camera)).mean() > 20.0, "without rectification it is another picture"


def test_a_distorted_pinhole_is_straightened(camera: Camera) -> None:
    # Barrel distortion with k1 = -0.2: a point at radius r (of the focal length) is seen at r (1 - 0.2 r^2).
    focal = 0.75 * 640 / (2 * math.tan(camera.horizontal_fov / 2))
    lens = Lens.model_validate(
        {
            "image_width": 640,
            "image_height": 480,
            "distortion_model": "plumb_bob",
            "camera_matrix": {"data": (focal, 0, 319.5, 0, focal, 239.5, 0, 0, 1)},
            "distortion_coefficients": {"data": (-0.2, 0, 0, 0, 0)},
        }
    )
    x, y = np.meshgrid((np.arange(640) - 319.5) / focal, (np.arange(480) - 239.5) / focal)
    seen_radius = np.hypot(x, y) + 1e-12
    radius = seen_radius.copy()
    for _ in range(60):
        radius = seen_radius / (1 - 0.2 * np.minimum(radius, 1.2) ** 2)
    image = scene(np.stack([x * radius / seen_radius, y * radius / seen_radius, np.ones_like(x)], axis=-1))
    seen = Rectifier(lens, camera)(np.rint(np.clip(image, 0, 255)).astype(np.uint8))
    assert np.abs(seen - pinhole_view(camera)).mean() < 1.0


def test_colours_stay(camera: Camera) -> None:
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[:] = (10, 200, 90)
    seen = Rectifier(FISHEYE, camera)(frame)
    assert seen.shape == (120, 160, 3)
    assert (seen == (10, 200, 90)).all()


def test_a_lens_that_sees_too_little_is_refused(camera: Camera) -> None:
    with pytest.raises(UserError, match=r"does not show \d+ % of the 65 degrees"):
        Rectifier(Lens.equidistant(640, 480, math.radians(50)), camera)


def test_a_frame_of_another_size_is_refused(camera: Camera) -> None:
    with pytest.raises(DeepRacerError, match="delivers 320 x 240 pixels, but its lens was calibrated with 640 x 480"):
        Rectifier(FISHEYE, camera)(np.zeros((240, 320), np.uint8))


ROS_FILE = """image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [300.5, 0., 319.5, 0., 301.5, 239.5, 0., 0., 1.]
distortion_model: equidistant
distortion_coefficients:
  rows: 1
  cols: 4
  data: [0.01, -0.002, 0., 0.]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [300., 0., 320., 0., 0., 300., 240., 0., 0., 0., 1., 0.]
"""


def test_the_file_of_ros_camera_calibration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPRACER_HOME", str(tmp_path))
    assert load_lens() is None
    (tmp_path / "car").mkdir()
    (tmp_path / "car" / "camera.yaml").write_text(ROS_FILE)
    lens = load_lens()
    assert lens is not None
    assert lens.camera_matrix.data[4] == 301.5
    assert lens.distortion_coefficients.data[1] == -0.002


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("distortion_model: equidistant", "distortion_model: plumb_bob", "has 4 numbers, but 5 are expected"),
        ("distortion_model: equidistant", "distortion_model: barrel", "distortion_model is 'barrel'"),
        ("data: [300.5, ", "data: [0.0, ", "with focal lengths above 0"),
        ("image_width: 640\n", "", "the key 'image_width' is missing"),
    ],
)
def test_a_wrong_camera_calibration_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "camera.yaml").write_text(ROS_FILE.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_lens(tmp_path / "camera.yaml")
