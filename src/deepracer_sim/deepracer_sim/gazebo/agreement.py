"""How well two cameras agree on the same pose: grey levels, and where the lines of the track are in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepracer_inference.vehicle import Camera
from deepracer_sim.camera.ground import DASH_WIDTH, LINE_WIDTH
from deepracer_sim.tracks.track import Track

FloatArray = NDArray[np.float64]
GrayArray = NDArray[np.uint8]

LINES = ("left border", "centre line", "right border")
ROW_STEP = 6
"""px between the rows in which lines are looked for."""
REACH_M = 4.0
"""Lines are looked for so far ahead."""
MARGIN_PX = 3.0
"""A line is looked for so far to either side of its width, at least."""
CONTRAST = 40
"""Grey levels by which a line has to stand out in both images; the grain of the road has half of it."""
STEEPNESS = 4.0
"""Columns that a line moves per row; one that lies flatter has no definite column."""


@dataclass(frozen=True)
class LineAgreement:
    """Where one line crosses one row of the image, px from the left edge."""

    name: str
    row: int
    first: float
    second: float


@dataclass(frozen=True)
class FrameAgreement:
    """One pose, seen by two cameras."""

    mean_first: float
    """Grey levels, of the part below the horizon, as all but `mean_sky_*`."""
    mean_second: float
    mean_absolute: float
    """Of the differences, pixel by pixel."""
    p99_absolute: float
    mean_sky_first: float
    """Above the horizon."""
    mean_sky_second: float
    lines: tuple[LineAgreement, ...]


def compare_frames(
    track: Track,
    camera: Camera,
    pose: tuple[float, float, float],
    arc_length: float,
    first: GrayArray,
    second: GrayArray,
) -> FrameAgreement:
    """Compare two pictures of one pose.

    Args:
        track: The road.
        camera: Mount and intrinsics of both cameras.
        pose: x, y (m), yaw (rad) of `base_link`.
        arc_length: Of the pose, m.
        first: Grey image (H, W).
        second: Same size.
    """
    if first.shape != (camera.height_px, camera.width_px) or second.shape != first.shape:
        raise ValueError(f"images of {first.shape} and {second.shape} do not fit the camera's {camera.height_px} rows")
    horizon = int(np.ceil(0.5 * camera.height_px - camera.focal_px * np.tan(camera.pitch))) + 1
    horizon = min(max(horizon, 0), camera.height_px - 1)
    difference = np.abs(first[horizon:].astype(np.int16) - second[horizon:])
    sky = [float(image[:horizon].mean()) if horizon else 0.0 for image in (first, second)]
    return FrameAgreement(
        mean_first=float(first[horizon:].mean()),
        mean_second=float(second[horizon:].mean()),
        mean_absolute=float(difference.mean()),
        p99_absolute=float(np.percentile(difference, 99)),
        mean_sky_first=sky[0],
        mean_sky_second=sky[1],
        lines=tuple(_lines(track, camera, pose, arc_length, first, second)),
    )


def project(camera: Camera, pose: tuple[float, float, float], points: FloatArray) -> FloatArray:
    """Return where points on the ground (M, 2), m, are in the image (M, 2), px from its upper left; nan if behind."""
    x, y, yaw = pose
    cosine, sine = np.cos(yaw), np.sin(yaw)
    offset = points - (x, y)
    ahead = offset @ (cosine, sine) - camera.x
    left = offset @ (-sine, cosine) - camera.y
    depth = ahead * np.cos(camera.pitch) + camera.z * np.sin(camera.pitch)
    below = camera.z * np.cos(camera.pitch) - ahead * np.sin(camera.pitch)
    depth = np.where(depth > 0.02, depth, np.nan)
    scale = camera.focal_px / depth
    return np.column_stack([0.5 * camera.width_px - scale * left, 0.5 * camera.height_px + scale * below])


def _lines(
    track: Track,
    camera: Camera,
    pose: tuple[float, float, float],
    arc_length: float,
    first: GrayArray,
    second: GrayArray,
) -> list[LineAgreement]:
    s = arc_length + np.linspace(-0.3, REACH_M, 800)
    halves = [np.interp(s % track.length, track.cumulative, np.append(h, h[0])) for h in track.half_widths.T]
    offsets = (halves[0] - 0.5 * LINE_WIDTH, np.zeros(len(s)), 0.5 * LINE_WIDTH - halves[1])
    found = []
    for name, offset in zip(LINES, offsets, strict=True):
        pixels = project(camera, pose, track.pose_at(s, offset)[:, :2])
        width = DASH_WIDTH if name == LINES[1] else LINE_WIDTH
        for row in range(camera.height_px - 1, 0, -ROW_STEP):
            crossing = _crossing(pixels, row + 0.5)
            if crossing is None:
                continue
            column, slope = crossing
            reach = MARGIN_PX + width * _px_per_m(camera, row) * np.hypot(1.0, slope)
            places = [_centre(image[row], column, reach) for image in (first, second)]
            if places[0] is not None and places[1] is not None:
                found.append(LineAgreement(name, row, places[0], places[1]))
    return found


def _crossing(pixels: FloatArray, row: float) -> tuple[float, float] | None:
    """Return column, and columns per row, where a line first crosses a row; None if it is too flat there."""
    v = pixels[:, 1]
    with np.errstate(invalid="ignore"):
        hits = np.flatnonzero((v[:-1] >= row) & (v[1:] < row))
    if not len(hits):
        return None
    i = hits[0]
    step = pixels[i + 1] - pixels[i]
    slope = float(step[0] / step[1])
    if abs(slope) > STEEPNESS:
        return None
    return float(pixels[i, 0] + (row - v[i]) * slope), slope


def _px_per_m(camera: Camera, row: int) -> float:
    """Return how many pixels a metre across the road has in a row of the image."""
    below = np.arctan((row + 0.5 - 0.5 * camera.height_px) / camera.focal_px) + camera.pitch
    return float(camera.focal_px * np.sin(below) / (camera.z * np.cos(below - camera.pitch))) if below > 0.0 else 0.0


def _centre(profile: GrayArray, column: float, reach: float) -> float | None:
    """Return the centre of the brightest stripe near a column, px; None where nothing stands out."""
    low, high = round(column - reach), round(column + reach) + 1
    if low < 0 or high > len(profile):
        return None
    values = profile[low:high].astype(np.float64)
    if values.max() - values.min() < CONTRAST:
        return None
    weights = np.clip(values - 0.5 * (values.max() + values.min()), 0.0, None)
    return float(np.sum(weights * (np.arange(low, high) + 0.5)) / np.sum(weights))
