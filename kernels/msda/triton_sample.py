"""What the Triton kernels share: where a block of queries samples, and how its softmax is normalised.

One program handles QUERIES queries of one (batch, head), all channels. A point's coordinates, corner weights
and indices are computed once per query, not once per channel; `value` stays in its storage dtype in memory
and every sum is float32.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def query_block(queries, heads, QUERIES: tl.constexpr):
    """(batch, head, row of each query among those of all images, whether it exists) of this program."""
    batch = (tl.program_id(1) // heads).to(tl.int64)
    query = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    return batch, tl.program_id(1) % heads, batch * queries + query, query < queries


@triton.jit
def load_level(levels, level):
    """(rows, columns, first pixel) of a level."""
    at = levels + 3 * level
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def softmax_scale(logits, rows, inside, POINTS: tl.constexpr, POINTS_2: tl.constexpr):
    """(largest logit, 1 / sum of exponentials) of each query; `rows` are the offsets of its first logit."""
    index = tl.arange(0, POINTS_2)
    used = inside[:, None] & (index[None, :] < POINTS)
    x = tl.load(logits + rows[:, None] + index[None, :], mask=used, other=-float("inf")).to(tl.float32)
    peak = tl.max(x, axis=1)
    peak = tl.where(inside, peak, 0.0)
    return peak, 1.0 / tl.sum(tl.exp(x - peak[:, None]), axis=1)


@triton.jit
def attention_weight(weights, at, inside, peak, scale, FUSED: tl.constexpr):
    """The attention weight of one point of each query: read, or the softmax of the logit that is read."""
    weight = tl.load(weights + at, mask=inside, other=0.0).to(tl.float32)
    if FUSED:
        weight = tl.exp(weight - peak) * scale
    return weight


@triton.jit
def pixel_coordinates(
    points, reference, at, reference_at, inside, height, width, REFERENCE: tl.constexpr, P: tl.constexpr
):
    """Pixel coordinates x, y of one point of each query, and d(pixel) / d(given number) along x and y."""
    x = tl.load(points + 2 * at, mask=inside, other=0.0).to(tl.float32)
    y = tl.load(points + 2 * at + 1, mask=inside, other=0.0).to(tl.float32)
    scale_x = width + tl.zeros_like(x)
    scale_y = height + tl.zeros_like(y)
    shift_x = tl.zeros_like(x) - 0.5
    shift_y = tl.zeros_like(y) - 0.5
    if REFERENCE > 0:
        shift_x += width * tl.load(reference + reference_at, mask=inside, other=0.0).to(tl.float32)
        shift_y += height * tl.load(reference + reference_at + 1, mask=inside, other=0.0).to(tl.float32)
    if REFERENCE == 2:
        scale_x = tl.full(x.shape, 1.0, tl.float32)
        scale_y = tl.full(y.shape, 1.0, tl.float32)
    if REFERENCE == 4:
        side_x = tl.load(reference + reference_at + 2, mask=inside, other=0.0).to(tl.float32)
        side_y = tl.load(reference + reference_at + 3, mask=inside, other=0.0).to(tl.float32)
        scale_x = side_x * width * (0.5 / P)
        scale_y = side_y * height * (0.5 / P)
    return x * scale_x + shift_x, y * scale_y + shift_y, scale_x, scale_y


@triton.jit
def locate(
    points, reference, at, reference_at, inside, rows, columns, REFERENCE: tl.constexpr, P: tl.constexpr
):
    """Where one point of each query falls on its level.

    Returns:
        Whether any corner is inside; column and row of the top left corner; the fraction of a pixel to the
        right of and below it; d(pixel) / d(given number) along x and y; whether the location is NaN.
    """
    height = rows.to(tl.float32)
    width = columns.to(tl.float32)
    x, y, scale_x, scale_y = pixel_coordinates(
        points, reference, at, reference_at, inside, height, width, REFERENCE, P
    )
    near = inside & (x >= -1) & (x < width) & (y >= -1) & (y < height)
    undefined = (x != x) | (y != y)
    x = tl.where(near, x, 0.0)
    y = tl.where(near, y, 0.0)
    left = tl.floor(x)
    top = tl.floor(y)
    return near, left.to(tl.int32), top.to(tl.int32), x - left, y - top, scale_x, scale_y, undefined


@triton.jit
def drop_padded(mask, token, inside, MASKED: tl.constexpr):
    """`inside`, less the padded pixels."""
    if MASKED:
        inside = inside & (tl.load(mask + token, mask=inside, other=1) == 0)
    return inside
