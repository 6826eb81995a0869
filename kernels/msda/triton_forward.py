"""The Triton forward kernel; `triton_launch` calls it."""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl

from relforge.kernels.msda.triton_sample import (
    attention_weight,
    drop_padded,
    load_level,
    locate,
    query_block,
    softmax_scale,
)


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
    batch, head, row, inside = query_block(queries, heads, QUERIES)
    line = row * heads + head
    first = line * (L * P)
    channel = tl.arange(0, D_2)
    base = value + (batch * tokens * heads + head) * D
    masks = mask + batch * tokens
    peak = tl.zeros((QUERIES,), tl.float32)
    scale = tl.zeros((QUERIES,), tl.float32)
    if REFERENCE > 0:
        peak, scale = softmax_scale(weights, first, inside, L * P, POINTS_2)
    total = tl.zeros((QUERIES, D_2), tl.float32)
    for level in range(L):
        rows, columns, start = load_level(levels, level)
        for p in range(P):
            at = first + level * P + p
            weight = attention_weight(weights, at, inside, peak, scale, REFERENCE > 0)
            reference_at = (row * L + level) * REFERENCE
            near, column, pixel_row, x, y, _, _, undefined = locate(
                points, reference, at, reference_at, inside, rows, columns, REFERENCE, P
            )
            weight = tl.where(undefined, float("nan"), tl.where(near, weight, 0.0))
            for corner in tl.static_range(4):
                c = column + corner % 2
                r = pixel_row + corner // 2
                token = start + r * columns + c
                here = near & (c >= 0) & (c < columns) & (r >= 0) & (r < rows)
                here = drop_padded(masks, token, here, MASKED)
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
