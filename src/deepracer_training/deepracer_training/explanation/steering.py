"""Weaving, seen in the steering command."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepracer_sim.simulator import FloatArray


def swings(steering_angle: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """Mark the turning points of a steering command: where it turns back after a way of at least `threshold`.

    Args:
        steering_angle: Commands (K,), degrees.
        threshold: Smaller movements are noise, degrees.

    Returns:
        Where a movement of at least `threshold` ended that another one of that size, the other way, follows (K,).
    """
    marks = np.zeros(len(steering_angle), np.bool_)
    if not len(steering_angle):
        return marks
    # The extremes since the last turning point, and which way the movement goes that leads away from it.
    low = high = 0
    direction = 0
    for row, angle in enumerate(steering_angle.tolist()):
        if angle > steering_angle[high]:
            high = row
        if angle < steering_angle[low]:
            low = row
        if direction >= 0 and steering_angle[high] - angle >= threshold:
            marks[high] = direction > 0
            direction, low = -1, row
        elif direction <= 0 and angle - steering_angle[low] >= threshold:
            marks[low] = direction < 0
            direction, high = 1, row
    return marks
