"""How long the stages between exposure and pulse take: percentiles of the newest measurements."""

from __future__ import annotations

import numpy as np

KEPT = 1024
"""Measurements per stage; a minute at 15 Hz."""


class StageTimes:
    """Durations by stage; written by one thread, read by any."""

    def __init__(self, *stages: str) -> None:
        self._rings = {stage: np.zeros(KEPT) for stage in stages}
        self._counts = dict.fromkeys(stages, 0)

    def add(self, stage: str, seconds: float) -> None:
        """Take a measurement."""
        count = self._counts[stage]
        self._rings[stage][count % KEPT] = seconds
        self._counts[stage] = count + 1

    def percentile_ms(self, stage: str, percent: float) -> float | None:
        """Return a percentile (ms) of the newest measurements; None if there is none."""
        count = min(self._counts[stage], KEPT)
        return float(np.percentile(self._rings[stage][:count], percent)) * 1e3 if count else None

    def values(self) -> dict[str, str]:
        """Return p50 and p99 of every stage that has been measured, for diagnostics (ms)."""
        return {
            f"{stage} p{percent}": f"{self.percentile_ms(stage, percent):.3f} ms"
            for stage, count in self._counts.items()
            if count
            for percent in (50, 99)
        }

    def reset(self) -> None:
        """Forget everything."""
        self._counts = dict.fromkeys(self._counts, 0)
