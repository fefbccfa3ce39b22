"""A smooth curve through measured points that never turns back, and its exact inverse."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise


class MonotoneCurve:
    """Rational quadratic interpolation of Gregory and Delbourgo (1982, IMA J. Numer. Anal. 2, p. 123).

    It keeps the order of the points, has a continuous slope, and one quadratic equation inverts it. Beyond its ends
    it stays at the last point.
    """

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        """Lay the curve through at least two points, `x` and `y` strictly ascending."""
        if len(x) != len(y) or len(x) < 2 or any(b <= a for values in (x, y) for a, b in pairwise(values)):
            raise ValueError(f"two or more points are expected, both coordinates ascending, not {x} and {y}")
        self._x, self._y = [*map(float, x)], [*map(float, y)]
        self._slopes = _slopes(self._x, self._y)

    def __call__(self, x: float) -> float:
        """Return y at `x`."""
        if x <= self._x[0] or x >= self._x[-1]:
            return self._y[0] if x <= self._x[0] else self._y[-1]
        i = bisect_right(self._x, x) - 1
        width, height = self._x[i + 1] - self._x[i], self._y[i + 1] - self._y[i]
        left, right, secant = self._slopes[i], self._slopes[i + 1], height / width
        t = (x - self._x[i]) / width
        rise = height * (secant * t * t + left * t * (1.0 - t))
        return self._y[i] + rise / (secant + (left + right - 2.0 * secant) * t * (1.0 - t))

    def inverse(self, y: float) -> float:
        """Return x where the curve reaches `y`."""
        if y <= self._y[0] or y >= self._y[-1]:
            return self._x[0] if y <= self._y[0] else self._x[-1]
        i = bisect_right(self._y, y) - 1
        width, height = self._x[i + 1] - self._x[i], self._y[i + 1] - self._y[i]
        left, right, secant = self._slopes[i], self._slopes[i + 1], height / width
        rise = y - self._y[i]
        bend = left + right - 2.0 * secant
        a, b, c = height * (secant - left) + rise * bend, height * left - rise * bend, -secant * rise
        # This form of the solution neither cancels nor divides by zero when the piece is straight (a = 0).
        t = -2.0 * c / (b + math.sqrt(max(b * b - 4.0 * a * c, 0.0)))
        return self._x[i] + t * width


def _slopes(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """Estimate the slope in every point by geometric means, which stay positive (section 3 of the paper)."""
    widths = [b - a for a, b in pairwise(x)]
    secants = [(b - a) / width for (a, b), width in zip(pairwise(y), widths, strict=True)]
    if len(secants) == 1:
        return [secants[0]] * 2
    inner = [
        math.exp((after_width * math.log(before) + before_width * math.log(after)) / (before_width + after_width))
        for (before, after), (before_width, after_width) in zip(pairwise(secants), pairwise(widths), strict=True)
    ]
    first = secants[0] * (secants[0] * (x[2] - x[0]) / (y[2] - y[0])) ** (widths[0] / widths[1])
    last = secants[-1] * (secants[-1] * (x[-1] - x[-3]) / (y[-1] - y[-3])) ** (widths[-1] / widths[-2])
    return [first, *inner, last]
