"""What the Triton kernels share: where a block of queries samples, and how its softmax is normalised.

One program handles QUERIES queries of one (batch, head), all channels. A point's coordinates, corner weights
and indices are computed once per query, not once per channel; `value` stays in its storage dtype in memory
and every sum is float32.

Everything per query is one-dimensional, loaded and computed point by point: a two-dimensional tile of logits
would have another layout than the sampling, and Triton would move what comes of it through shared memory,
with barriers, in every point. Addresses are a 64-bit base per program and 32-bit offsets within it.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def query_block(queries, heads, QUERIES: tl.constexpr):
    """(batch, head, row of the first query among those of all images, place of each query in the block,
    whether it exists) of this program."""
    batch = (tl.program_id(1) // heads).to(tl.int64)
    begin = tl.program_id(0) * QUERIES
    query = tl.arange(0, QUERIES)
    return batch, tl.program_id(1) % heads, batch * queries + begin, query, begin + query < queries


@triton.jit
def load_level(levels, level):
    """(rows, columns, first pixel) of a level."""
    at = levels + 3 * level
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def softmax_statistics(logits, at, inside, POINTS: tl.constexpr):
    """(largest logit, 1 / sum of exponentials) of each query; `at` are the offsets of its first logit."""
    peak = tl.load(logits + at, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros_like(peak)
    if POINTS <= 32:
        for p in tl.static_range(1, POINTS):
            peak = tl.maximum(peak, tl.load(logits + at + p, mask=inside, other=0.0).to(tl.float32))
        for p in tl.static_range(POINTS):
            total += tl.exp(tl.load(logits + at + p, mask=inside, other=0.0).to(tl.float32) - peak)
    else:
        for p in range(1, POINTS):
            peak = tl.maximum(peak, tl.load(logits + at + p, mask=inside, other=0.0).to(tl.float32))
        for p in range(POINTS):
            total += tl.exp(tl.load(logits + at + p, mask=inside, other=0.0).to(tl.float32) - peak)
    return peak, 1.0 / total


@triton.jit
def attention_weight(weights, at, inside, peak, scale, FUSED: tl.constexpr):
    """The attention weight of one point of each query: read, or the softmax of the logit that is read."""
    weight = tl.load(weights + at, mask=inside, other=0.0).to(tl.float32)
    if FUSED:
        weight = tl.exp(weight - peak) * scale
    return weight


@triton.jit
def level_geometry(reference, at, inside, rows, columns, REFERENCE: tl.constexpr, P: tl.constexpr):
    """Per query (scale_x, scale_y, shift_x, shift_y): pixel = given number * scale + shift on this level.

    `scale` is d(pixel) / d(given number). `at` are the offsets of the queries' reference on this level.
    """
    height = rows.to(tl.float32)
    width = columns.to(tl.float32)
    zero = tl.zeros_like(at).to(tl.float32)
    scale_x = zero + width
    scale_y = zero + height
    shift_x = zero - 0.5
    shift_y = zero - 0.5
    if REFERENCE > 0:
        shift_x += width * tl.load(reference + at, mask=inside, other=0.0).to(tl.float32)
        shift_y += height * tl.load(reference + at + 1, mask=inside, other=0.0).to(tl.float32)
    if REFERENCE == 2:
        scale_x = zero + 1.0
        scale_y = zero + 1.0
    if REFERENCE == 4:
        scale_x *= tl.load(reference + at + 2, mask=inside, other=0.0).to(tl.float32) * (0.5 / P)
        scale_y *= tl.load(reference + at + 3, mask=inside, other=0.0).to(tl.float32) * (0.5 / P)
    return scale_x, scale_y, shift_x, shift_y


@triton.jit
def locate(points, at, inside, rows, columns, scale_x, scale_y, shift_x, shift_y):
    """Where one point of each query falls on its level.

    Returns:
        Whether any corner is inside; column and row of the top left corner; the fraction of a pixel to the
        right of and below it; whether the location is NaN.
    """
    x = tl.load(points + 2 * at, mask=inside, other=0.0).to(tl.float32) * scale_x + shift_x
    y = tl.load(points + 2 * at + 1, mask=inside, other=0.0).to(tl.float32) * scale_y + shift_y
    near = inside & (x >= -1) & (x < columns.to(tl.float32)) & (y >= -1) & (y < rows.to(tl.float32))
    undefined = (x != x) | (y != y)
    x = tl.where(near, x, 0.0)
    y = tl.where(near, y, 0.0)
    left = tl.floor(x)
    top = tl.floor(y)
    return near, left.to(tl.int32), top.to(tl.int32), x - left, y - top, undefined


@triton.jit
def drop_padded(mask, token, inside, MASKED: tl.constexpr):
    """`inside`, less the padded pixels."""
    if MASKED:
        inside = inside & (tl.load(mask + token, mask=inside, other=1) == 0)
    return inside


@triton.jit
def corner_offset(token, stride, WIDE: tl.constexpr):
    """Offset of a pixel's channels from the image's; 64-bit where the image holds 2^31 numbers or more."""
    if WIDE:
        token = token.to(tl.int64)
    return token * stride
