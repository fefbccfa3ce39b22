"""Confidence intervals of what laps show: how far the same policy may do better or worse from other starts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 4000
BOOTSTRAP_SEED = 0
"""Equal laps give equal intervals."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval; None where the laps are too few to tell."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def clear(self) -> bool:
        """Whether a difference is surely not zero."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)

    def as_json(self) -> dict[str, float | None]:
        """Return plain data for `json.dumps`."""
        return asdict(self)


UNKNOWN = Interval(None, None, None)


def share(successes: int, count: int, confidence: float = CONFIDENCE) -> Interval:
    """Return a share of successes with Wilson's interval, which holds for few laps and for none or all of them."""
    from scipy.stats import binomtest

    if not count:
        return UNKNOWN
    ends = binomtest(successes, count).proportion_ci(confidence, method="wilson")
    return Interval(successes / count, float(ends.low), float(ends.high))


def rate(counts: Sequence[int], confidence: float = CONFIDENCE) -> Interval:
    """Return the events per lap with Garwood's interval for Poisson counts, wider if a few laps have most of them."""
    from scipy.stats import chi2

    if not counts:
        return UNKNOWN
    total, laps = sum(counts), len(counts)
    tail = (1.0 - confidence) / 2.0
    low = float(chi2.ppf(tail, 2 * total)) / 2.0 / laps if total else 0.0
    high = float(chi2.ppf(1.0 - tail, 2 * total + 2)) / 2.0 / laps
    value = total / laps
    dispersion = math.sqrt(max(_variance(counts) / value, 1.0)) if total else 1.0
    return Interval(value, max(value - dispersion * (value - low), 0.0), value + dispersion * (high - value))


def hybrid_difference(first: Interval, second: Interval) -> Interval:
    """Return the second value minus the first, with an interval from their two.

    For Wilson's intervals of shares this is Newcombe's (1998, method 10); Zou and Donner (2008) show it for rates.
    """
    if first.value is None or second.value is None:
        return UNKNOWN
    assert first.low is not None
    assert first.high is not None
    assert second.low is not None
    assert second.high is not None
    value = second.value - first.value
    down = math.hypot(second.value - second.low, first.high - first.value)
    up = math.hypot(second.high - second.value, first.value - first.low)
    return Interval(value, value - down, value + up)


def mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return a mean with Student's interval."""
    if not values:
        return UNKNOWN
    return _student(float(np.mean(values)), _variance(values) / len(values), len(values) - 1, confidence)


def mean_difference(
    first: Sequence[float], second: Sequence[float], *, paired: bool, confidence: float = CONFIDENCE
) -> Interval:
    """Return the second mean minus the first with Student's interval, for samples of unlike spread Welch's.

    Args:
        first: Values of one model.
        second: Values of the other one.
        paired: Whether values with the same index belong together, as laps from the same start do.
        confidence: Probability that the interval holds.
    """
    if not first or not second:
        return UNKNOWN
    if paired:
        return mean(np.subtract(second, first).tolist(), confidence)
    parts = [_variance(values) / len(values) for values in (first, second)]
    value = float(np.mean(second) - np.mean(first))
    if min(len(first), len(second)) < 2:
        return Interval(value, None, None)
    weights = [part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)]
    freedom = sum(parts) ** 2 / sum(weights) if sum(weights) > 0.0 else 1.0
    return _student(value, sum(parts), freedom, confidence)


def spread(times: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the consistency of lap times, standard deviation as a share of the mean, with a bootstrap interval."""
    return _bootstrapped((np.asarray(times),), lambda sample, axis=-1: _spread(sample, axis), confidence)


def spread_difference(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the second consistency minus the first, with a bootstrap interval."""
    return _bootstrapped(
        (np.asarray(first), np.asarray(second)),
        lambda a, b, axis=-1: _spread(b, axis) - _spread(a, axis),
        confidence,
    )


def _student(value: float, squared_error: float, freedom: float, confidence: float) -> Interval:
    from scipy.stats import t

    if freedom < 1.0:
        return Interval(value, None, None)
    margin = float(t.ppf(0.5 + confidence / 2.0, freedom)) * math.sqrt(squared_error)
    return Interval(value, value - margin, value + margin)


def _variance(values: Sequence[float]) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else 0.0


def _spread(sample: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(np.std(sample, axis=axis) / np.mean(sample, axis=axis))


def _bootstrapped(samples: tuple[NDArray[np.float64], ...], statistic: object, confidence: float) -> Interval:
    from scipy.stats import bootstrap

    if any(len(sample) == 0 for sample in samples):
        return UNKNOWN
    value = float(statistic(*samples))  # type: ignore[operator]
    if any(len(sample) < 3 for sample in samples):
        return Interval(value, None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about samples without any spread, whose interval is a point
        ends = bootstrap(
            samples,
            statistic,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            method="percentile",
            random_state=np.random.default_rng(BOOTSTRAP_SEED),
        ).confidence_interval
    return Interval(value, float(ends.low), float(ends.high))
