"""Which throttle to measure next: from what was measured on this car, because no two speed controllers are alike."""

from __future__ import annotations

import math
from itertools import pairwise

SLOWEST = 0.15
"""m/s; slower cars stick to the floor, and a run of 8 s tells the speed no better than to 5 %."""
GROWTH = 1.6
"""From one speed to the next. The curve between two is then good to 3 % for any controller whose speed is a power of
the throttle between 0.8 and 1.6."""
WIDEST = 2.2
"""Two neighbouring speeds that are further apart get one between them."""
BEYOND = 1.1
"""How far beyond the top speed the last throttle aims, so that it is not just missed."""
FIRST_SHARE = 0.06
"""Of the way from the dead band to the end of the throttle: slow on every car, and enough to turn the wheels."""
RESOLUTION_NS = 5_000
"""One step of a PCA9685 at 50 Hz: pulses that are closer may be the same."""
_EXPONENTS = 0.5, 2.0
_TYPICAL_EXPONENT = 1.3
_DESCENTS = 3


class ThrottleSearch:
    """Throttles of one direction, as distances (ns) from the end of the dead band."""

    def __init__(self, room_ns: int, top_speed: float) -> None:
        """Begin.

        Args:
            room_ns: How far the throttle goes.
            top_speed: Speed at which the search ends, m/s.
        """
        self._room, self._top = room_ns, top_speed
        self._speeds: dict[int, float] = {}
        self._too_slow, self._descents = 0, 0

    def add(self, offset_ns: int, speed: float) -> None:
        """Take a measured speed, m/s."""
        self._speeds[offset_ns] = speed

    def add_too_slow(self, offset_ns: int) -> None:
        """Note a throttle whose speed cannot be measured."""
        self._too_slow = max(self._too_slow, offset_ns)

    def next(self) -> tuple[int, float | None] | None:
        """Return the throttle to measure next and the speed expected of it, None if unknown; None at the end."""
        if not self._speeds:
            offset = 2 * self._too_slow or max(round(FIRST_SHARE * self._room), RESOLUTION_NS)
            return (offset, None) if offset <= self._room else None
        points = sorted(self._speeds.items())
        return self._slower(points[:2]) or self._faster(points[-2:]) or _between(points)

    def _slower(self, points: list[tuple[int, float]]) -> tuple[int, float] | None:
        offset, speed = points[0]
        if speed < 1.4 * SLOWEST or self._descents == _DESCENTS:
            return None
        lower = offset * (SLOWEST / speed) ** (1.0 / _exponent(points))
        # Not again where it was too slow, but halfway.
        lower = max(round(lower), round(math.sqrt(self._too_slow * offset)), RESOLUTION_NS)
        if offset - lower < RESOLUTION_NS or lower - self._too_slow < RESOLUTION_NS:
            return None
        self._descents += 1
        return lower, SLOWEST

    def _faster(self, points: list[tuple[int, float]]) -> tuple[int, float] | None:
        offset, speed = points[-1]
        if offset >= self._room or speed >= self._top:
            return None
        growth = min(GROWTH, BEYOND * self._top / speed)
        further = max(round(offset * growth ** (1.0 / _exponent(points))), offset + RESOLUTION_NS)
        return min(further, self._room), growth * speed


def _between(points: list[tuple[int, float]]) -> tuple[int, float] | None:
    for (low, slow), (high, fast) in pairwise(points):
        if fast > WIDEST * slow and high - low >= 2 * RESOLUTION_NS:
            middle = round(math.sqrt(low * high))
            return min(max(middle, low + RESOLUTION_NS), high - RESOLUTION_NS), math.sqrt(slow * fast)
    return None


def _exponent(points: list[tuple[int, float]]) -> float:
    """Return the power of the throttle with which the speed grows from one point to the other."""
    if len(points) < 2:
        return _TYPICAL_EXPONENT
    (low, slow), (high, fast) = points
    return min(max(math.log(fast / slow) / math.log(high / low), _EXPONENTS[0]), _EXPONENTS[1])
