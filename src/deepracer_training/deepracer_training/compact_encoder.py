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

Arrays = tuple[kernels.FloatArray, ...]

_pool = ThreadPoolExecutor(1, "encoder")
_idle: dict[tuple[int, ...], list[Arrays]] = {}
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
    out = np.empty((kernels.padded(len(arrays), ROWS), DENSE), np.float32)
    hidden = _reserve_hidden(arrays, kernels.together(*arrays.shape[1:]))
    kernels.forward(arrays, _for_forward(parameters), *hidden, out)
    return torch.from_numpy(out[: len(arrays)])


class Passes:
    """A forward and a backward pass over some images, in parts that threads may share."""

    def __init__(self, images: Tensor, parameters: Sequence[Tensor]) -> None:
        """Prepare the passes; arguments as of `encode`."""
        self._arrays, self._parameters = _planes(images), [parameter.detach() for parameter in parameters]
        count = len(self._arrays)
        # Rows of matrices are cut where they need no padding; the last part has all of it.
        middle = kernels.padded(count // 2, ROWS)
        self.parts = [slice(count)] if count < SPLIT else [slice(middle), slice(middle, count)]
        self.features = np.empty((kernels.padded(count, ROWS), DENSE), np.float32)
        """`(N, DENSE)`, N padded to `ROWS`; those of a part are there after its `forward`."""
        self._weights = _for_forward(self._parameters)
        _, _, taps_2, _, weight_3, _ = self._parameters
        self._back = taps_2.permute(0, 2, 3, 1).reshape(FILTERS_2, TAPS_2).numpy(), weight_3.contiguous().numpy()
        self._hidden = _idle.pop(self._arrays.shape, []) or [
            _reserve_hidden(self._arrays[part], len(self._arrays[part])) for part in self.parts
        ]
        shapes = ((TAPS_1, FILTERS_1), (FILTERS_1,), (TAPS_2, FILTERS_2), (FILTERS_2,), weight_3.shape, (DENSE,))
        self._sums = [tuple(np.empty(shape, np.float32) for shape in shapes) for _ in self.parts]

    def _rows(self, number: int) -> kernels.FloatArray:
        last = number + 1 == len(self.parts)
        return self.features[self.parts[number].start or 0 : None if last else self.parts[number].stop]

    def forward(self, number: int) -> None:
        """Encode a part."""
        arrays = self._arrays[self.parts[number]]
        kernels.forward(arrays, self._weights, *self._hidden[number], self._rows(number))

    def backward(self, number: int, gradient: kernels.FloatArray) -> None:
        """Differentiate a part; `gradient` is with respect to its features."""
        arrays, hidden = self._arrays[self.parts[number]], self._hidden[number]
        kernels.backward(gradient, arrays, *self._back, *hidden, self._rows(number), self._sums[number])

    def run(self, job: Callable[[int], Any]) -> list[Any]:
        """Call `job` for all parts at once; return what it returns."""
        others = [_pool.submit(job, number) for number in range(1, len(self.parts))]
        return [job(0), *(other.result() for other in others)]

    def gradients(self) -> list[Tensor]:
        """Return those with respect to the parameters, when all parts have been differentiated; nothing may follow."""
        _idle.clear()
        _idle[self._arrays.shape] = self._hidden
        for others in self._sums[1:]:
            for mine, theirs in zip(self._sums[0], others, strict=True):
                mine += theirs
        total = [torch.from_numpy(gradient) for gradient in self._sums[0]]
        total[0] = total[0].t().contiguous().view(FILTERS_1, 1, KERNEL_1, KERNEL_1)
        total[2] = total[2].view(KERNEL_2, KERNEL_2, FILTERS_1, FILTERS_2).permute(3, 2, 0, 1).contiguous()
        return total


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, *parameters: Tensor) -> Tensor:
        ctx.passes = passes = Passes(images, parameters)
        passes.run(passes.forward)
        encoded = torch.from_numpy(passes.features[: len(images)])
        ctx.save_for_backward(encoded, images, *parameters)  # torch refuses to go on if they are changed meanwhile
        return encoded

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        passes: Passes | None = ctx.passes
        if passes is None or not ctx.saved_tensors:
            raise RuntimeError("the encoder can be differentiated only once: its hidden layers are in use again")
        ctx.passes = None
        rows = gradient.contiguous().numpy()
        passes.run(lambda number: passes.backward(number, rows[passes.parts[number]]))
        return None, *passes.gradients()


def _planes(images: Tensor) -> kernels.ImageArray:
    return images.squeeze(-1).contiguous().numpy()


def _reserve_hidden(arrays: kernels.ImageArray, kept: int) -> Arrays:
    """Reserve the hidden layers of some images, the first one for as many as are kept."""
    _, _, pixels_1, pixels_2 = kernels.sizes(*arrays.shape[1:])
    first = kept, kernels.padded(pixels_1, kernels.ROWS_1), FILTERS_1
    second = kernels.padded(len(arrays), ROWS), FILTERS_2 * pixels_2
    return np.empty(first, np.float32), np.empty(second, np.float32)


def _for_forward(parameters: Sequence[Tensor]) -> Arrays:
    """Lay out the weights as `kernels.forward` wants them."""
    weight_1, bias_1, weight_2, bias_2, weight_3, bias_3 = (parameter.detach() for parameter in parameters)
    taps_1 = weight_1.reshape(FILTERS_1, TAPS_1).t().contiguous()
    taps_2 = weight_2.permute(2, 3, 1, 0).reshape(TAPS_2, FILTERS_2)
    matrices = taps_1, bias_1, taps_2, bias_2, weight_3.t().contiguous(), bias_3
    return tuple(matrix.numpy() for matrix in matrices)
