"""The compact network's encoder by compiled kernels, for training: the same function as in torch, in less time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepracer_training import compact_kernels as kernels
from deepracer_training.compact_kernels import DENSE, FILTERS_1, FILTERS_2, KERNEL_1, KERNEL_2, ROWS, TAPS_1, TAPS_2

SPLIT = 128
"""Images from which on they are encoded in two halves by two threads; a hand-over costs as much as 50 images.

Two halves whatever the number of cores: gradients are sums, which must not depend on it.
"""

Hidden = tuple[kernels.FloatArray, kernels.FloatArray]

_pool = ThreadPoolExecutor(1, "encoder")
_idle: dict[tuple[int, ...], list[Hidden]] = {}
"""Hidden layers of the last minibatch by its shape, for the next one: new memory is not in the processor's cache."""


def prepare() -> None:
    """Compile the kernels, or load them from numba's cache, before anybody measures time."""
    shapes = (FILTERS_1, 1, KERNEL_1, KERNEL_1), (FILTERS_2, FILTERS_1, KERNEL_2, KERNEL_2), (DENSE, FILTERS_2)
    parameters = [torch.zeros(size, requires_grad=True) for shape in shapes for size in (shape, shape[:1])]
    smallest = KERNEL_1 + (KERNEL_2 - 1) * kernels.STRIDE_1
    with torch.enable_grad():
        encoded = encode(torch.zeros((1, smallest, smallest, 1), dtype=torch.uint8), parameters)
        torch.autograd.grad(encoded.sum(), parameters)


def encode(images: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Encode images.

    Args:
        images: Grey images `(N, H, W, 1)` uint8, N > 0.
        parameters: Weight and bias of the two convolutions and of the dense layer, float32.

    Returns:
        Features `(N, DENSE)`.
    """
    if torch.is_grad_enabled():
        encoded: Tensor = _Encode.apply(images, *parameters)  # type: ignore[no-untyped-call]
        return encoded
    arrays = _planes(images)
    out = _features(len(arrays))
    kernels.forward(arrays, _matrices(parameters), *_hidden(arrays, kernels.together(*arrays.shape[1:])), out)
    return torch.from_numpy(out[: len(arrays)])


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, *parameters: Tensor) -> Tensor:
        arrays = _planes(images)
        parts, matrices, out = _parts(len(arrays)), _matrices(parameters), _features(len(arrays))
        hidden = _idle.pop(arrays.shape, None) or [_hidden(arrays[part], len(arrays[part])) for part in parts]
        jobs = [(arrays[part], matrices, *own, out[part]) for part, own in zip(parts, hidden, strict=True)]
        _run(kernels.forward, jobs)
        encoded = torch.from_numpy(out[: len(arrays)])
        ctx.save_for_backward(encoded, images, *parameters)
        ctx.hidden = hidden
        return encoded

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        encoded, images, *parameters = ctx.saved_tensors
        if ctx.hidden is None:
            raise RuntimeError("the encoder can be differentiated only once: its hidden layers are in use again")
        rows, out, arrays = gradient.contiguous().numpy(), encoded.detach().numpy(), _planes(images)
        taps_2 = parameters[2].detach().permute(0, 2, 3, 1).reshape(FILTERS_2, TAPS_2).numpy()
        weight_3 = parameters[4].detach().contiguous().numpy()
        shapes = ((TAPS_1, FILTERS_1), (FILTERS_1,), (TAPS_2, FILTERS_2), (FILTERS_2,), weight_3.shape, (DENSE,))
        sums = [tuple(np.empty(shape, np.float32) for shape in shapes) for _ in ctx.hidden]
        jobs = [
            (rows[part], arrays[part], taps_2, weight_3, *own, out[part], gradients)
            for part, own, gradients in zip(_parts(len(arrays)), ctx.hidden, sums, strict=True)
        ]
        _run(kernels.backward, jobs)
        _idle.clear()
        _idle[arrays.shape], ctx.hidden = ctx.hidden, None
        for others in sums[1:]:
            for mine, theirs in zip(sums[0], others, strict=True):
                mine += theirs
        total = [torch.from_numpy(gradient) for gradient in sums[0]]
        total[0] = total[0].t().contiguous().view(FILTERS_1, 1, KERNEL_1, KERNEL_1)
        total[2] = total[2].view(KERNEL_2, KERNEL_2, FILTERS_1, FILTERS_2).permute(3, 2, 0, 1).contiguous()
        return None, *total


def _parts(count: int) -> list[slice]:
    """Cut images where rows of matrices need no padding; the last part has all of it."""
    if count < SPLIT:
        return [slice(None)]
    middle = kernels.padded(count // 2, ROWS)
    return [slice(middle), slice(middle, None)]


def _planes(images: Tensor) -> kernels.ImageArray:
    return images.squeeze(-1).contiguous().numpy()


def _features(count: int) -> kernels.FloatArray:
    return np.empty((kernels.padded(count, ROWS), DENSE), np.float32)


def _hidden(arrays: kernels.ImageArray, kept: int) -> Hidden:
    """Reserve the hidden layers of some images, the first one for as many as are kept."""
    _, _, pixels_1, pixels_2 = kernels.sizes(*arrays.shape[1:])
    first = kept, kernels.padded(pixels_1, kernels.ROWS_1), FILTERS_1
    second = kernels.padded(len(arrays), ROWS), FILTERS_2 * pixels_2
    return np.empty(first, np.float32), np.empty(second, np.float32)


def _matrices(parameters: Sequence[Tensor]) -> tuple[kernels.FloatArray, ...]:
    """Lay out the weights as `forward` wants them."""
    weight_1, bias_1, weight_2, bias_2, weight_3, bias_3 = (parameter.detach() for parameter in parameters)
    taps_1 = weight_1.reshape(FILTERS_1, TAPS_1).t().contiguous()
    taps_2 = weight_2.permute(2, 3, 1, 0).reshape(TAPS_2, FILTERS_2)
    matrices = taps_1, bias_1, taps_2, bias_2, weight_3.t().contiguous(), bias_3
    return tuple(matrix.numpy() for matrix in matrices)


def _run(kernel: Callable[..., None], jobs: Sequence[tuple[Any, ...]]) -> None:
    """Run a kernel on one or two parts at once."""
    others = [_pool.submit(kernel, *job) for job in jobs[1:]]
    kernel(*jobs[0])
    for other in others:
        other.result()
