"""PPO's clipped objective (Schulman et al. 2017, arXiv:1707.06347) and its derivatives, one experience after another.

What is minimised is the mean over a minibatch of

    -min(r A, clip(r, 1 - e, 1 + e) A) + c_v loss(v, target) - c_h entropy,    r = exp(log_prob - old log_prob).

torch differentiates the network; the dozens of small operations from there to this number would take it as long as the
compact network itself, so they and their derivatives are written out here.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import deepracer_sim  # noqa: F401  which tells numba where to keep compiled kernels

# isort: split
import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from deepracer_training.networks import Categorical, Distribution, Gaussian

HALF_LOG_2PI = 0.5 * Gaussian.LOG_2PI


class Weights(NamedTuple):
    """What the terms of the objective count."""

    sample: float
    """1 / size of the minibatch."""
    clip_range: float
    value: float
    entropy: float
    huber: bool


class Terms(NamedTuple):
    """Sums over experiences, each times `Weights.sample`."""

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float


def differentiate(
    policy: Distribution,
    value: Tensor,
    weights: Weights,
    actions: Tensor,
    old_log_probs: Tensor,
    advantage: Tensor,
    target: Tensor,
) -> tuple[Terms, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Evaluate the objective on n experiences of a minibatch.

    Args:
        policy: For n observations.
        value: `(n,)`.
        weights: Of the terms.
        actions: That were taken, `(n, 2)` float or `(n,)` int64.
        old_log_probs: Their log densities when they were, `(n,)`.
        advantage: `(n,)`.
        target: Of the value, `(n,)`.

    Returns:
        The terms, what the network said, and the derivatives of the objective with respect to each of that.
    """
    given = [column.detach().contiguous().numpy() for column in (actions, old_log_probs, advantage, target)]
    if isinstance(policy, Gaussian):
        said: tuple[Tensor, ...] = (policy.mean, policy.log_std, value)
        kernel: Any = _gaussian
    else:
        said, kernel = (policy.log_probs, value), _categorical
    arrays = [tensor.detach().contiguous().numpy() for tensor in said]
    derivatives = [np.zeros_like(array) for array in arrays]
    terms = Terms(*kernel(*arrays, *given, weights, *derivatives))
    return terms, said, tuple(torch.from_numpy(each) for each in derivatives)


def prepare() -> None:
    """Compile the kernels, or load them from numba's cache, before anybody measures time."""
    weights, none = Weights(1.0, 0.2, 0.5, 0.0, True), torch.zeros(1)
    differentiate(Gaussian(torch.zeros(1, 2), torch.zeros(2)), none, weights, torch.zeros(1, 2), none, none, none)
    differentiate(Categorical(torch.zeros(1, 2)), none, weights, torch.zeros(1, dtype=torch.int64), none, none, none)


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
    mean: NDArray[np.float32],
    log_std: NDArray[np.float32],
    value: NDArray[np.float32],
    actions: NDArray[np.float32],
    old_log_probs: NDArray[np.float32],
    advantage: NDArray[np.float32],
    target: NDArray[np.float32],
    weights: Weights,
    to_mean: NDArray[np.float32],
    to_log_std: NDArray[np.float32],
    to_value: NDArray[np.float32],
) -> NDArray[np.float64]:
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
    log_probs: NDArray[np.float32],
    value: NDArray[np.float32],
    actions: NDArray[np.int64],
    old_log_probs: NDArray[np.float32],
    advantage: NDArray[np.float32],
    target: NDArray[np.float32],
    weights: Weights,
    to_log_probs: NDArray[np.float32],
    to_value: NDArray[np.float32],
) -> NDArray[np.float64]:
    terms = np.zeros(5)
    for i in range(value.shape[0]):
        for k in range(log_probs.shape[1]):
            p = math.exp(log_probs[i, k])
            terms[2] -= weights.sample * p * log_probs[i, k]
            to_log_probs[i, k] = weights.sample * weights.entropy * p * (log_probs[i, k] + 1.0)
        log_ratio = log_probs[i, actions[i]] - old_log_probs[i]
        to_log_prob, to_value[i] = _sample(log_ratio, advantage[i], value[i] - target[i], weights, terms)
        to_log_probs[i, actions[i]] += to_log_prob
    return terms
