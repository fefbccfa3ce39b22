"""Compiled forward and backward pass of the compact network, a few images at a time so that all stays in the cache.

Convolutions are matrix products over patches. All products are made of `tile`, which keeps its sums in vector
registers; it about reaches MKL (140 to 170 GFLOP/s per core of an Emerald Rapids), without torch's passes over memory
and calls between the layers. Images do not depend on each other, and each gradient is summed in one fixed order.

The intrinsics stand in this file because numba compiles anew only when the file of the kernel itself has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import deepracer_sim  # noqa: F401  which tells numba where to keep compiled kernels

# isort: split
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]

FILTERS_1, KERNEL_1, STRIDE_1 = 16, 8, 4
FILTERS_2, KERNEL_2, STRIDE_2 = 32, 3, 2
DENSE = 128
TAPS_1 = KERNEL_1 * KERNEL_1
TAPS_2 = KERNEL_2 * KERNEL_2 * FILTERS_1
ROW_2 = KERNEL_2 * FILTERS_1
ROWS, ROWS_1 = 8, 12
"""Rows of most tiles, and of the first convolution's."""
PATCHES = 32
"""Of the second convolution that are multiplied together, if the images are small."""

F32 = np.float32
ZERO = F32(0.0)
LANES = ir.VectorType(ir.FloatType(), 16)


def worthwhile() -> bool:
    """Tell whether numba compiles for the vectors that the kernels are made for; they were not measured on others."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512f" in features.split(",")


def _runs(combine: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """Return a function `(dst, i, src, j, n)` that combines n floats at once; n is a constant.

    As a loop, this is what the compiler does not vectorise: it cannot know that source and target do not overlap.
    """

    def typer(typingctx: Any, dst: Any, i: Any, src: Any, j: Any, n: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), n.literal_value)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def place(array: int) -> Any:
                data = context.make_array(signature.args[array])(context, builder, args[array]).data
                return builder.bitcast(builder.gep(data, [args[array + 1]]), vector.as_pointer())

            old, new = builder.load(place(0), align=4), builder.load(place(2), align=4)
            builder.store(combine(builder, old, new, ir.Constant(vector, None)), place(0), align=4)

        return types.void(dst, types.intp, src, types.intp, n), codegen

    return intrinsic(prefer_literal=True)(typer)


def _add_relu(builder: Any, old: Any, new: Any, zero: Any) -> Any:
    total = builder.fadd(old, new)
    return builder.select(builder.fcmp_ordered("<", total, zero), zero, total)


# Both keep NaN as torch does, by which a diverged training is noticed.
add_relu = _runs(_add_relu)
mask = _runs(lambda builder, old, new, zero: builder.select(builder.fcmp_ordered("<=", new, zero), zero, old))
copy = _runs(lambda builder, old, new, zero: new)
add = _runs(lambda builder, old, new, zero: builder.fadd(old, new))


@intrinsic(prefer_literal=True)
def tile(
    typingctx: Any, out: Any, a: Any, b: Any, row: Any, column: Any, rows: Any, vectors: Any, accumulate: Any
) -> Any:
    """Compute a part of a matrix product, `rows` rows from `row` on and 16 * `vectors` columns from `column` on.

    `rows`, `vectors` and `accumulate` (0: overwrite, 1: add) are constants; 16 to 24 vectors of sums keep an AVX-512
    core busy. Rows of b and out are contiguous; a may be transposed.
    """
    height, width, adding = rows.literal_value, vectors.literal_value, accumulate.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        int64, zero, undefined = ir.IntType(64), ir.Constant(LANES, None), ir.Constant(LANES, ir.Undefined)
        arrays = [context.make_array(signature.args[n])(context, builder, args[n]) for n in range(3)]
        row, column = args[3:5]

        def place(n: int, y: Any, x: Any, kind: Any) -> Any:
            strides = cgutils.unpack_tuple(builder, arrays[n].strides)
            dense = {"C": 1, "F": 0}.get(signature.args[n].layout)
            if dense is not None:
                strides[dense] = int64(4)
            offset = builder.add(builder.mul(y, strides[0]), builder.mul(x, strides[1]))
            data = builder.bitcast(arrays[n].data, ir.IntType(8).as_pointer())
            return builder.bitcast(builder.gep(data, [offset]), kind.as_pointer())

        def after(index: Any, n: int) -> Any:
            return builder.add(index, int64(n))

        before, loop, end = builder.block, builder.append_basic_block("tile"), builder.append_basic_block("tile.end")
        depth = cgutils.unpack_tuple(builder, arrays[1].shape)[1]
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(int64)
        sums = [builder.phi(LANES) for _ in range(height * width)]
        right = [builder.load(place(2, k, after(column, 16 * c), LANES), align=4) for c in range(width)]
        totals = []
        for r in range(height):
            value = builder.load(place(1, after(row, r), k, ir.FloatType()))
            left = builder.insert_element(undefined, value, int64(0))
            left = builder.shuffle_vector(left, undefined, ir.Constant(ir.VectorType(ir.IntType(32), 16), None))
            for c in range(width):
                product = builder.fmul(left, right[c], flags=("contract",))
                totals.append(builder.fadd(sums[r * width + c], product, flags=("contract",)))
        k.add_incoming(int64(0), before)
        k.add_incoming(after(k, 1), loop)
        for start, total in zip(sums, totals, strict=True):
            start.add_incoming(zero, before)
            start.add_incoming(total, loop)
        builder.cbranch(builder.icmp_signed("<", after(k, 1), depth), loop, end)
        builder.position_at_end(end)
        for n, total in enumerate(totals):
            target = place(0, after(row, n // width), after(column, n % width * 16), LANES)
            builder.store(builder.fadd(builder.load(target, align=4), total) if adding else total, target, align=4)

    return types.void(out, a, b, types.intp, types.intp, rows, vectors, accumulate), codegen


@njit(inline="always")
def multiply(out: FloatArray, a: FloatArray, b: FloatArray, rows: int, vectors: int, accumulate: int) -> None:
    """Compute a matrix product by tiles; behind the last row of a and out there is memory for a whole tile."""
    for column in range(0, b.shape[1], 16 * vectors):
        for row in range(0, a.shape[0], rows):
            tile(out, a, b, row, column, rows, vectors, accumulate)


@njit(cache=True, nogil=True)
def padded(n: int, multiple: int) -> int:
    """Round up."""
    return (n + multiple - 1) // multiple * multiple


@njit(cache=True, nogil=True)
def sizes(height: int, width: int) -> tuple[int, int, int, int]:
    """Return height and width behind the first convolution, and the pixels behind the first and the second one."""
    high, wide = (height - KERNEL_1) // STRIDE_1 + 1, (width - KERNEL_1) // STRIDE_1 + 1
    return high, wide, high * wide, ((high - KERNEL_2) // STRIDE_2 + 1) * ((wide - KERNEL_2) // STRIDE_2 + 1)


@njit(cache=True, nogil=True)
def together(height: int, width: int) -> int:
    """Return how many images go through the second convolution together."""
    return max(1, PATCHES // sizes(height, width)[3])


@njit(cache=True, nogil=True)
def image_patches(image: ImageArray, plane: FloatArray, patches: FloatArray) -> None:
    """Scale a grey image `(H, W)` and lay out what each output of the first convolution sees."""
    height, width = image.shape
    pixels = image.reshape(height * width)
    for p in range(height * width):
        plane[p] = F32(pixels[p]) * F32(1.0 / 128.0) - F32(1.0)
    at = 0
    for y in range(0, height - KERNEL_1 + 1, STRIDE_1):
        for x in range(0, width - KERNEL_1 + 1, STRIDE_1):
            for row in range(y, y + KERNEL_1):
                copy(patches, at, plane, row * width + x, KERNEL_1)
                at += KERNEL_1


@njit(cache=True, nogil=True)
def inner_patches(hidden: FloatArray, high: int, wide: int, patches: FloatArray, at: int, back: bool) -> int:
    """Lay out what each output of the second convolution sees, or `back`: add up what the patches say about its inputs.

    Returns:
        Where the next image's patches are.
    """
    for y in range(0, high - KERNEL_2 + 1, STRIDE_2):
        for x in range(0, wide - KERNEL_2 + 1, STRIDE_2):
            for row in range(y, y + KERNEL_2):
                if back:
                    add(hidden, (row * wide + x) * FILTERS_1, patches, at, ROW_2)
                else:
                    copy(patches, at, hidden, (row * wide + x) * FILTERS_1, ROW_2)
                at += ROW_2
    return at


@njit(cache=True, nogil=True)
def forward(
    images: ImageArray, weights: tuple[FloatArray, ...], hidden_1: FloatArray, hidden_2: FloatArray, out: FloatArray
) -> None:
    """Encode images.

    Args:
        images: `(N, H, W)`.
        weights: Weights and biases of the two convolutions and of the dense layer: `(TAPS_1, FILTERS_1)`,
            `(FILTERS_1,)`, `(TAPS_2, FILTERS_2)` with taps by row, column, channel, `(FILTERS_2,)`, `(F, DENSE)`,
            `(DENSE,)`.
        hidden_1: Filled with the first convolution's outputs: `(N, pixels, FILTERS_1)`, the pixels padded to `ROWS_1`.
            With fewer images, at least `together`, only the last ones are left.
        hidden_2: Filled with the second convolution's outputs `(N, F)`, N padded to `ROWS`; F is `FILTERS_2 * pixels`.
        out: Filled with the features `(N, DENSE)`, N padded to `ROWS`.
    """
    taps_1, bias_1, taps_2, bias_2, dense, bias_3 = weights
    count, height, width = images.shape
    high, wide, pixels_1, pixels_2 = sizes(height, width)
    group = together(height, width)
    plane, patches_1 = np.empty(height * width, F32), np.zeros((hidden_1.shape[1], TAPS_1), F32)
    patches_2 = np.zeros((padded(group * pixels_2, ROWS), TAPS_2), F32)
    sums = np.empty((len(patches_2), FILTERS_2), F32)
    for first in range(0, count, group):
        images_here = min(group, count - first)
        at = 0
        for image in range(first, first + images_here):
            image_patches(images[image], plane, patches_1)
            activation = hidden_1[image % len(hidden_1)]
            multiply(activation, patches_1, taps_1, ROWS_1, 1, 0)
            for p in range(pixels_1):
                add_relu(activation, p * FILTERS_1, bias_1, 0, FILTERS_1)
            at = inner_patches(activation, high, wide, patches_2, at, False)
        multiply(sums, patches_2[: images_here * pixels_2], taps_2, ROWS, 2, 0)
        for i in range(images_here):
            for f in range(FILTERS_2):
                for p in range(pixels_2):
                    value = sums[i * pixels_2 + p, f] + bias_2[f]
                    hidden_2[first + i, f * pixels_2 + p] = ZERO if value < ZERO else value
    multiply(out, hidden_2[:count], dense, ROWS, 2, 0)
    for image in range(count):
        add_relu(out, image * DENSE, bias_3, 0, DENSE)


@njit(cache=True, nogil=True)
def backward(
    gradient: FloatArray,
    images: ImageArray,
    taps_2: FloatArray,
    weight_3: FloatArray,
    hidden_1: FloatArray,
    hidden_2: FloatArray,
    out: FloatArray,
    gradients: tuple[FloatArray, ...],
) -> None:
    """Differentiate `forward`.

    Args:
        gradient: With respect to the features, `(N, DENSE)`.
        images: As given to `forward`.
        taps_2: Weights of the second convolution, `(FILTERS_2, TAPS_2)`.
        weight_3: Weights of the dense layer, `(DENSE, F)`.
        hidden_1: As filled by `forward`, with all images.
        hidden_2: As filled by `forward`.
        out: As filled by `forward`.
        gradients: Filled with those with respect to the weights of `forward`, but that of the dense layer `(DENSE, F)`.
    """
    to_taps_1, to_bias_1, to_taps_2, to_bias_2, to_weight_3, to_bias_3 = gradients
    count, height, width = images.shape
    high, wide, pixels_1, pixels_2 = sizes(height, width)
    group = together(height, width)
    to_taps_1[:], to_bias_1[:], to_taps_2[:], to_bias_2[:], to_bias_3[:] = ZERO, ZERO, ZERO, ZERO, ZERO

    to_dense = np.zeros((len(hidden_2), DENSE), F32)
    for at in range(0, count * DENSE, DENSE):
        copy(to_dense, at, gradient, at, DENSE)
        mask(to_dense, at, out, at, DENSE)
        add(to_bias_3, 0, to_dense, at, DENSE)
    multiply(to_weight_3, to_dense[:count].T, hidden_2, ROWS, 2, 0)
    to_hidden_2 = np.empty(hidden_2.shape, F32)
    multiply(to_hidden_2, to_dense[:count], weight_3, ROWS, 2, 0)

    plane, patches_1 = np.empty(height * width, F32), np.empty((hidden_1.shape[1], TAPS_1), F32)
    patches_2 = np.empty((padded(group * pixels_2, ROWS), TAPS_2), F32)
    to_patches, to_sums = np.empty(patches_2.shape, F32), np.zeros((len(patches_2), FILTERS_2), F32)
    to_hidden_1 = np.empty((pixels_1, FILTERS_1), F32)
    for first in range(0, count, group):
        images_here = min(group, count - first)
        at = 0
        for i in range(images_here):
            for f in range(FILTERS_2):
                total = ZERO
                for p in range(pixels_2):
                    place = f * pixels_2 + p
                    value = ZERO if hidden_2[first + i, place] <= ZERO else to_hidden_2[first + i, place]
                    to_sums[i * pixels_2 + p, f] = value
                    total += value
                to_bias_2[f] += total
            at = inner_patches(hidden_1[first + i], high, wide, patches_2, at, False)
        here = images_here * pixels_2
        multiply(to_taps_2, patches_2[:here].T, to_sums, ROWS_1, 2, 1)
        multiply(to_patches, to_sums[:here], taps_2, ROWS, 3, 0)
        at = 0
        for image in range(first, first + images_here):
            to_hidden_1[:] = ZERO
            at = inner_patches(to_hidden_1, high, wide, to_patches, at, True)
            for p in range(0, pixels_1 * FILTERS_1, FILTERS_1):
                mask(to_hidden_1, p, hidden_1[image], p, FILTERS_1)
                add(to_bias_1, 0, to_hidden_1, p, FILTERS_1)
            image_patches(images[image], plane, patches_1)
            multiply(to_taps_1, patches_1[:pixels_1].T, to_hidden_1, 16, 1, 1)
