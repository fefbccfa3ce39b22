"""PPO's clipped objective (Schulman et al. 2017, arXiv:1707.06347) and its derivatives, one experience after another.

What is minimised is the mean over a minibatch of

    -min(r A, clip(r, 1 - e, 1 + e) A) + c_v loss(v, target) - c_h entropy,    r = exp(log_prob - old log_prob).

torch differentiates the network; the dozens of small operations from there to this number would take it as long as the
compact network's kernels take, so they and their derivatives are written out here.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import deepracer_sim  # noqa: F401  which tells numba where to keep compiled kernels

# isort: split
import numpy as np
from numba import njit
from numpy.typing import NDArray

from deepracer_training.networks import Gaussian

FloatArray = NDArray[np.float32]

HALF_LOG_2PI = 0.5 * Gaussian.LOG_2PI


class Weights(NamedTuple):
    """What the terms of the objective count."""

    sample: float
    """1 / size of the minibatch."""
    clip_range: float
    value: float
    entropy: float
    huber: bool


class Experience(NamedTuple):
    """What a gradient learns from, besides the observations: n rows each."""

    actions: NDArray[Any]
    """That were taken, `(n, 2)` float32 or `(n,)` int64."""
    old_log_probs: FloatArray
    """Their log densities when they were."""
    advantage: FloatArray
    target: FloatArray
    """Of the value."""


def differentiate(
    head: FloatArray, value: FloatArray, log_std: FloatArray | None, weights: Weights, experience: Experience
) -> tuple[NDArray[np.float64], FloatArray, FloatArray, FloatArray | None]:
    """Evaluate the objective on n experiences of a minibatch; all arrays are C-contiguous.

    Args:
        head: What the network says of the policy: mean actions `(n, 2)`, or logits or log probabilities `(n, k)`.
        value: What it says of the value, `(n,)`.
        log_std: Of Gaussian actions, `(2,)`; None for a table of k actions.
        weights: Of the terms.
        experience: What was done, and what came of it.

    Returns:
        Policy loss, value loss, entropy, approximate KL divergence and share of clipped ratios, each summed over the
        experiences times `Weights.sample`; and the objective's derivatives with respect to head, value and log_std.
    """
    to_head, to_value = np.empty_like(head), np.empty_like(value)
    if log_std is None:
        return _categorical(head, value, experience, weights, to_head, to_value), to_head, to_value, None
    to_log_std = np.empty_like(log_std)
    terms = _gaussian(head, log_std, value, experience, weights, to_head, to_log_std, to_value)
    return terms, to_head, to_value, to_log_std


def prepare() -> None:
    """Compile the kernels, or load them from numba's cache, before anybody measures time."""
    one, pair, weights = np.zeros(1, np.float32), np.zeros((1, 2), np.float32), Weights(1.0, 0.2, 0.5, 0.0, True)
    differentiate(pair, one, pair[0], weights, Experience(pair, one, one, one))
    differentiate(pair, one, None, weights, Experience(np.zeros(1, np.int64), one, one, one))


@njit(cache=True, nogil=True)
def _sample(
    log_ratio: float, advantage: float, error: float, weights: Weights, terms: NDArray[np.float64]
) -> tuple[float, float]:
    """Add one experience to the terms; return the derivatives with respect to its log density and its value."""
    ratio = math.exp(log_ratio)
    gain = slope = ratio * advantage
    limit = (1.0 + weights.clip_range if advantage > 0.0 else 1.0 - weights.clip_range) * advantage
    if limit < gain:
        gain, slope = limit, 0.0
    if not weights.huber:
        loss, pull = error * error, 2.0 * error
    elif abs(error) < 1.0:
        loss, pull = 0.5 * error * error, error
    else:
        loss, pull = abs(error) - 0.5, error / abs(error)
    terms[0] -= weights.sample * gain
    terms[1] += weights.sample * loss
    terms[3] += weights.sample * (ratio - 1.0 - log_ratio)
    terms[4] += weights.sample * (abs(ratio - 1.0) > weights.clip_range)
    return -weights.sample * slope, weights.sample * weights.value * pull


@njit(cache=True, nogil=True)
def _gaussian(
    mean: FloatArray,
    log_std: FloatArray,
    value: FloatArray,
    experience: Experience,
    weights: Weights,
    to_mean: FloatArray,
    to_log_std: FloatArray,
    to_value: FloatArray,
) -> NDArray[np.float64]:
    actions, old_log_probs, advantage, target = experience
    terms, total = np.zeros(5), np.zeros(log_std.shape[0])
    for i in range(value.shape[0]):
        log_prob = 0.0
        for k in range(log_std.shape[0]):
            z = (actions[i, k] - mean[i, k]) * math.exp(-log_std[k])
            log_prob -= 0.5 * z * z + HALF_LOG_2PI + log_std[k]
        to_log_prob, to_value[i] = _sample(
            log_prob - old_log_probs[i], advantage[i], value[i] - target[i], weights, terms
        )
        for k in range(log_std.shape[0]):
            z = (actions[i, k] - mean[i, k]) * math.exp(-log_std[k])
            to_mean[i, k] = to_log_prob * z * math.exp(-log_std[k])
            total[k] += to_log_prob * (z * z - 1.0) - weights.sample * weights.entropy
    for k in range(log_std.shape[0]):
        to_log_std[k] = total[k]
        terms[2] += weights.sample * value.shape[0] * (0.5 + HALF_LOG_2PI + log_std[k])
    return terms


@njit(cache=True, nogil=True)
def _categorical(
    logits: FloatArray,
    value: FloatArray,
    experience: Experience,
    weights: Weights,
    to_logits: FloatArray,
    to_value: FloatArray,
) -> NDArray[np.float64]:
    actions, old_log_probs, advantage, target = experience
    terms, log_probs = np.zeros(5), np.empty(logits.shape[1])
    for i in range(value.shape[0]):
        peak = logits[i].max()
        total = 0.0
        for k in range(log_probs.shape[0]):
            total += math.exp(logits[i, k] - peak)
        entropy = 0.0
        for k in range(log_probs.shape[0]):
            log_probs[k] = logits[i, k] - peak - math.log(total)
            entropy -= math.exp(log_probs[k]) * log_probs[k]
        terms[2] += weights.sample * entropy
        log_ratio = log_probs[actions[i]] - old_log_probs[i]
        to_log_prob, to_value[i] = _sample(log_ratio, advantage[i], value[i] - target[i], weights, terms)
        for k in range(log_probs.shape[0]):
            uncertain = weights.sample * weights.entropy * (log_probs[k] + entropy)
            to_logits[i, k] = math.exp(log_probs[k]) * (uncertain - to_log_prob)
        to_logits[i, actions[i]] += to_log_prob
    return terms
