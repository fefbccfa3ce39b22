from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deepracer_inference.errors import DeepRacerError
from deepracer_inference.observation import ObservationSpec, observe

SPEC = ObservationSpec()


def test_the_image_is_cropped_at_the_top_and_averaged_over_blocks(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (120, 160), dtype=np.uint8)
    # 20 % of 120 rows are 24; the remaining 96 x 160 make 24 x 40 blocks of 4 x 4.
    blocks = frame[24:].reshape(24, 4, 40, 4).mean(axis=(1, 3))
    result = observe(frame, SPEC)
    assert result.shape == SPEC.shape == (24, 40, 1)
    assert result.dtype == np.uint8
    assert np.abs(result[..., 0] - blocks).max() <= 0.5


@pytest.mark.parametrize(("color", "gray"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((9, 9, 9), 9)])
def test_colors_are_weighted_as_rgb(color: tuple[int, int, int], gray: int) -> None:
    # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    frame = np.full((120, 160, 3), color, dtype=np.uint8)
    assert (observe(frame, SPEC) == gray).all()


def test_gray_with_and_without_channel_axis_are_the_same(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (120, 160), dtype=np.uint8)
    np.testing.assert_array_equal(observe(frame, SPEC), observe(frame[..., None], SPEC))


def test_mirrored_and_transposed_views_are_accepted(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    np.testing.assert_array_equal(observe(frame[:, ::-1], SPEC), observe(frame[:, ::-1].copy(), SPEC))
    np.testing.assert_array_equal(
        observe(frame.transpose(1, 0, 2), SPEC), observe(frame.transpose(1, 0, 2).copy(), SPEC)
    )


def test_the_result_does_not_share_memory_with_the_frame() -> None:
    frame = np.zeros((24, 40), dtype=np.uint8)
    result = observe(frame, ObservationSpec(crop_top=0.0))
    frame[:] = 255
    assert (result == 0).all()


def test_any_camera_resolution_is_reduced_to_the_same_size(rng: np.random.Generator) -> None:
    for height, width in ((480, 640), (121, 163), (24, 40), (10, 10)):
        assert observe(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), SPEC).shape == SPEC.shape


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((120, 160, 4), np.uint8),
        np.zeros((120, 160, 3), np.float32),
        np.zeros((1, 120, 160, 3), np.uint8),
        np.zeros((0, 160, 3), np.uint8),
        np.zeros(5, np.uint8),
    ],
)
def test_another_shape_or_type_is_refused(frame: npt.NDArray[Any]) -> None:
    with pytest.raises(DeepRacerError, match=r"The camera frame has shape .* of type uint8"):
        observe(frame, SPEC)
