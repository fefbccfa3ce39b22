"""Compiled renderer: every image row is a few straight walks over the ground texture, or a look at the panorama.

Textures are sampled bilinearly in 16.16 fixed point. The four texels of a sample come with one load, which the compiler
turns into vector gathers for eight pixels at once (where the processor has them).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deepracer_sim.camera.plan import Plan
    from deepracer_sim.camera.texture import Texture

MAX_WIDTH = 4096
"""Widest image, px."""
MAX_DEPARTURE = 10.0
"""m; the view of a car that is farther outside the ground texture is that from here, so fixed point cannot overflow."""

I32 = np.int32
U32 = np.uint32
FloatArray = NDArray[np.float64]


@intrinsic
def stack_row(typingctx: Any) -> Any:
    """Reserve a row of `MAX_WIDTH` uint32 on the stack and return its address.

    Unlike numpy's memory, the compiler knows that nothing else points to it. Only so may it vectorise loops that read
    a texture at arbitrary places and write the row: measured four times faster.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, ir.IntType(32), size=ir.Constant(ir.IntType(64), MAX_WIDTH))

    return types.CPointer(types.uint32)(), codegen


@intrinsic
def four_texels(typingctx: Any, pairs: Any, index: Any) -> Any:
    """Read two neighbouring pairs of `Texture.pairs` as one uint32.

    Numba has no way to say this: a 32-bit load from a 16-bit array at any index.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        address = builder.gep(array.data, [args[1]])
        return builder.load(builder.bitcast(address, ir.IntType(32).as_pointer()), align=2)

    return types.uint32(pairs, types.int32), codegen


@njit(cache=True, nogil=True)
def bilinear(word: np.uint32, u: np.int32, v: np.int32) -> np.uint32:
    """Interpolate between the four texels of a word.

    Args:
        word: Texels (row, column) in its bytes, lowest first: (0, 0), (1, 0), (0, 1), (1, 1).
        u: Column as 16.16 fixed point; only the fraction counts, in steps of 1/256.
        v: Row, likewise.

    Returns:
        The value times 65536.
    """
    fu = U32(U32(U32(u) >> U32(8)) & U32(255))
    fv = U32(U32(U32(v) >> U32(8)) & U32(255))
    lower = U32(word & U32(0x00FF00FF))
    upper = U32(U32(word >> U32(8)) & U32(0x00FF00FF))
    # Both columns at once: each fits into its 16 bits, and borrows between them cancel out modulo 2^32.
    columns = U32(U32(lower << U32(8)) + U32(U32(upper - lower) * fv))
    left = U32(columns & U32(0xFFFF))
    right = U32(columns >> U32(16))
    return U32(U32(left << U32(8)) + U32(U32(right - left) * fu))


@njit(cache=True, nogil=True)
def texel_index(offset: np.int32, stride: np.int32, u: np.int32, v: np.int32) -> np.int32:
    """Return the index of the texel at column u and row v, 16.16 fixed point, of a level."""
    # All in 32 bits, so that eight indices fit into a vector.
    return I32(I32(offset + I32(I32(v >> 16) * stride)) + I32(u >> 16))


@njit(cache=True, nogil=True)
def color_word(rgb: NDArray[np.uint8], channel: int, index: np.int32, stride: np.int32) -> np.uint32:
    """Gather what `bilinear` expects from a channel of a colour texture (K, 3)."""
    return U32(
        U32(rgb[index, channel])
        | U32(U32(rgb[index + stride, channel]) << U32(8))
        | U32(U32(rgb[index + 1, channel]) << U32(16))
        | U32(U32(rgb[index + stride + 1, channel]) << U32(24))
    )


@njit(cache=True, nogil=True)
def ground_walks(
    ground: Texture, plan: Plan, pose: FloatArray, walks: NDArray[np.int32], sides: NDArray[np.int32]
) -> None:
    """Place all scan lines of one frame on the ground texture.

    Args:
        ground: The texture.
        plan: The camera's scan lines (K).
        pose: x, y, yaw of `base_link` (3,), m, m, rad.
        walks: Out (K, 4): column and row at the first pixel, and their steps to the next one, 16.16 fixed point.
        sides: Out (K, 4): offset of the level, distance between its rows, and the largest column and row, 16.16.
    """
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    width = ground.levels[0, 2] * ground.texel
    height = ground.levels[0, 1] * ground.texel
    x = pose[0] + cos * plan.mount_x - sin * plan.mount_y - ground.x_min
    y = pose[1] + sin * plan.mount_x + cos * plan.mount_y - ground.y_min
    x = min(max(x, -MAX_DEPARTURE), width + MAX_DEPARTURE)
    y = min(max(y, -MAX_DEPARTURE), height + MAX_DEPARTURE)
    finest = math.log2(ground.texel)
    last = ground.levels.shape[0] - 1
    for k in range(plan.forward.shape[0]):
        level = min(max(math.floor(plan.log2_texel[k] - finest), 0), last)
        scale = 65536.0 / (ground.texel * (1 << level))
        forward, step = plan.forward[k], plan.step[k]
        left = 0.5 * (plan.width - 1) * step
        walks[k, 0] = I32((x + cos * forward - sin * left) * scale - 32768.0)
        walks[k, 1] = I32((y + sin * forward + cos * left) * scale - 32768.0)
        walks[k, 2] = I32(sin * step * scale)
        walks[k, 3] = I32(-cos * step * scale)
        sides[k, 0] = I32(ground.levels[level, 0])
        sides[k, 1] = I32(ground.levels[level, 3])
        sides[k, 2] = I32((ground.levels[level, 2] - 1) * 65536 - 1)
        sides[k, 3] = I32((ground.levels[level, 1] - 1) * 65536 - 1)


@njit(cache=True, nogil=True)
def panorama_turn(yaw: float, columns: int) -> np.int32:
    """Return a heading as a column of a panorama level, 16.16 fixed point."""
    turns = yaw / (2.0 * math.pi)
    return I32((turns - math.floor(turns)) * columns * 65536.0 - 32768.0)


@njit(cache=True, nogil=True)
def render_gray(ground: Texture, sky: Texture, plan: Plan, poses: FloatArray, out: NDArray[np.uint8]) -> None:
    """Render frames; each depends on its own pose only.

    Args:
        ground: Texture of the ground.
        sky: Panorama of the surroundings.
        plan: What the camera's rows look at.
        poses: x, y, yaw of `base_link` (N, 3), m, m, rad.
        out: Grey images (N, H, W).
    """
    total = carray(stack_row(), (MAX_WIDTH,))
    above = carray(stack_row(), (MAX_WIDTH,))
    # Taken out of the tuples once: counting references in the loops would keep them from being vectorised.
    ground_pairs, sky_pairs = ground.pairs, sky.pairs
    width = plan.width
    count = plan.forward.shape[0]
    walks = np.empty((count, 4), np.int32)
    sides = np.empty((count, 4), np.int32)
    for n in range(poses.shape[0]):
        ground_walks(ground, plan, poses[n], walks, sides)
        for r in range(plan.ground_share.shape[0]):
            for c in range(width):
                total[c] = U32(0)
            for k in range(plan.ground_first[r], plan.ground_first[r + 1]):
                x, y, dx, dy = walks[k, 0], walks[k, 1], walks[k, 2], walks[k, 3]
                offset, stride, u_max, v_max = sides[k, 0], sides[k, 1], sides[k, 2], sides[k, 3]
                for c in range(width):
                    u = min(max(x, I32(0)), u_max)
                    v = min(max(y, I32(0)), v_max)
                    word = four_texels(ground_pairs, texel_index(offset, stride, u, v))
                    total[c] = U32(total[c] + bilinear(word, u, v))
                    x = I32(x + dx)
                    y = I32(y + dy)
            share = plan.ground_share[r]
            if plan.sky_first[r] == plan.sky_first[r + 1]:
                for c in range(width):
                    out[n, r, c] = np.uint8(np.float32(total[c]) * share + np.float32(0.5))
                continue
            for c in range(width):
                above[c] = U32(0)
            for k in range(plan.sky_first[r], plan.sky_first[r + 1]):
                level = plan.sky_level[k]
                offset, columns, stride = I32(sky.levels[level, 0]), sky.levels[level, 2], I32(sky.levels[level, 3])
                mask = I32(columns * 65536 - 1)
                turn = panorama_turn(poses[n, 2], columns)
                for c in range(width):
                    u = I32(I32(turn + plan.sky_column[k, c]) & mask)
                    v = plan.sky_row[k, c]
                    word = four_texels(sky_pairs, texel_index(offset, stride, u, v))
                    above[c] = U32(above[c] + bilinear(word, u, v))
            sky_share = plan.sky_share[r]
            for c in range(width):
                value = np.float32(total[c]) * share + np.float32(above[c]) * sky_share
                out[n, r, c] = np.uint8(value + np.float32(0.5))


@njit(cache=True, nogil=True)
def render_rgb(ground: Texture, sky: Texture, plan: Plan, pose: FloatArray, out: NDArray[np.uint8]) -> None:
    """Render one frame (H, W, 3) like `render_gray`, from the unpacked colour textures."""
    count = plan.forward.shape[0]
    walks = np.empty((count, 4), np.int32)
    sides = np.empty((count, 4), np.int32)
    ground_walks(ground, plan, pose, walks, sides)
    for r in range(plan.ground_share.shape[0]):
        for c in range(plan.width):
            for channel in range(3):
                total, above = U32(0), U32(0)
                for k in range(plan.ground_first[r], plan.ground_first[r + 1]):
                    u = min(max(I32(walks[k, 0] + c * walks[k, 2]), I32(0)), sides[k, 2])
                    v = min(max(I32(walks[k, 1] + c * walks[k, 3]), I32(0)), sides[k, 3])
                    index = texel_index(sides[k, 0], sides[k, 1], u, v)
                    word = color_word(ground.rgb, channel, index, sides[k, 1])
                    total = U32(total + bilinear(word, u, v))
                for k in range(plan.sky_first[r], plan.sky_first[r + 1]):
                    level = plan.sky_level[k]
                    offset, columns, stride = I32(sky.levels[level, 0]), sky.levels[level, 2], I32(sky.levels[level, 3])
                    mask = I32(columns * 65536 - 1)
                    u = I32(I32(panorama_turn(pose[2], columns) + plan.sky_column[k, c]) & mask)
                    v = plan.sky_row[k, c]
                    word = color_word(sky.rgb, channel, texel_index(offset, stride, u, v), stride)
                    above = U32(above + bilinear(word, u, v))
                value = np.float32(total) * plan.ground_share[r] + np.float32(above) * plan.sky_share[r]
                out[r, c, channel] = np.uint8(value + np.float32(0.5))
