"""The Triton forward kernel; `triton_launch` calls it."""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl

from relforge.kernels.triton_sample import attention_weight, pixel, softmax_scale, visible


@triton.jit
def forward_kernel(
    value,  # B x S x H x D
    levels,  # L x 3 int32: rows, columns, first pixel
    points,  # B x Q x H x L x P x 2
    weights,  # B x Q x H x L x P
    reference,  # B x Q x L x REFERENCE
    mask,  # B x S
    output,  # B x Q x H x D
    queries,
    tokens,
    heads,
    D: tl.constexpr,
    D_2: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    POINTS_2: tl.constexpr,
    REFERENCE: tl.constexpr,
    MASKED: tl.constexpr,
    QUERIES: tl.constexpr,
):
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = tl.program_id(1) % heads
    query = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    inside = query < queries
    row = batch * queries + query  # of all queries of all images
    line = row * heads + head
    first = line * (L * P)
    channel = tl.arange(0, D_2)
    base = value + (batch * tokens * heads + head) * D
    masks = mask + batch * tokens
    most = tl.zeros((QUERIES,), tl.float32)
    scale = tl.zeros((QUERIES,), tl.float32)
    if REFERENCE > 0:
        most, scale = softmax_scale(weights, first, inside, L * P, POINTS_2)
    total = tl.zeros((QUERIES, D_2), tl.float32)
    for level in range(L):
        rows = tl.load(levels + 3 * level)
        columns = tl.load(levels + 3 * level + 1)
        start = tl.load(levels + 3 * level + 2)
        height = rows.to(tl.float32)
        width = columns.to(tl.float32)
        for p in range(P):
            at = first + level * P + p
            weight = attention_weight(weights, at, inside, most, scale, REFERENCE > 0)
            reference_at = (row * L + level) * REFERENCE
            x, y, _, _ = pixel(points, reference, at, reference_at, inside, height, width, REFERENCE, P)
            near = inside & (x >= -1) & (x < width) & (y >= -1) & (y < height)
            weight = tl.where((x != x) | (y != y), float("nan"), tl.where(near, weight, 0.0))
            x = tl.where(near, x, 0.0)
            y = tl.where(near, y, 0.0)
            left = tl.floor(x)
            top = tl.floor(y)
            x -= left
            y -= top
            column = left.to(tl.int32)
            pixel_row = top.to(tl.int32)
            for corner in tl.static_range(4):
                c = column + corner % 2
                r = pixel_row + corner // 2
                token = start + r * columns + c
                here = near & (c >= 0) & (c < columns) & (r >= 0) & (r < rows)
                here = visible(masks, token, here, MASKED)
                part = (x if corner % 2 else 1 - x) * (y if corner // 2 else 1 - y) * weight
                address = base + token[:, None].to(tl.int64) * (heads * D) + channel[None, :]
                sample = tl.load(address, mask=here[:, None] & (channel[None, :] < D), other=0.0)
                total += part[:, None] * sample.to(tl.float32)
    address = output + line[:, None] * D + channel[None, :]
    tl.store(
        address,
        total.to(output.dtype.element_ty),
        mask=inside[:, None] & (channel[None, :] < D),
    )
