"""The Triton forward kernel; `triton_launch` calls it."""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl

from relforge.kernels.msda.triton_sample import (
    attention_weight,
    corner_offset,
    drop_padded,
    level_geometry,
    load_level,
    locate,
    query_block,
    softmax_statistics,
)


@triton.jit(do_not_specialize=["queries", "tokens", "heads"])
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
    REFERENCE: tl.constexpr,
    MASKED: tl.constexpr,
    WIDE: tl.constexpr,
    CLAMPED: tl.constexpr,
    QUERIES: tl.constexpr,
):
    batch, head, row, query, inside = query_block(queries, heads, QUERIES)
    line = row * heads + head
    channel = tl.arange(0, D_2)
    used = channel[None, :] < D
    stride = heads * D
    value += (batch * tokens * heads + head) * D
    mask += batch * tokens
    points += line * (L * P * 2)
    weights += line * (L * P)
    reference += row * (L * REFERENCE)
    first = query * (heads * L * P)
    peak = tl.zeros((QUERIES,), tl.float32)
    scale = tl.zeros((QUERIES,), tl.float32)
    if REFERENCE > 0:
        peak, scale = softmax_statistics(weights, first, inside, L * P)
    total = tl.zeros((QUERIES, D_2), tl.float32)
    for level in range(L):
        rows, columns, start = load_level(levels, level)
        scale_x, scale_y, shift_x, shift_y = level_geometry(
            reference, (query * L + level) * REFERENCE, inside, rows, columns, REFERENCE, P
        )
        for p in tl.static_range(P):
            at = first + level * P + p
            attention = attention_weight(weights, at, inside, peak, scale, REFERENCE > 0)
            near, left, top, x, y, undefined = locate(
                points, at, inside, rows, columns, scale_x, scale_y, shift_x, shift_y
            )
            attention = tl.where(undefined, float("nan"), tl.where(near, attention, 0.0))
            token = start + top * columns + left
            left_inside = near & (left >= 0)
            right_inside = near & (left < columns - 1)
            for below in tl.static_range(2):
                row_inside = top < rows - 1 if below else top >= 0
                part = attention * (y if below else 1 - y)
                for beside in tl.static_range(2):
                    corner = token + below * columns + beside
                    here = row_inside & (right_inside if beside else left_inside)
                    weight = part * (x if beside else 1 - x)
                    if CLAMPED:
                        inner_row = tl.minimum(tl.maximum(top + below, 0), rows - 1)
                        inner_column = tl.minimum(tl.maximum(left + beside, 0), columns - 1)
                        corner = start + inner_row * columns + inner_column
                        weight = tl.where(here, weight, 0.0)
                        here = inside
                    here = drop_padded(mask, corner, here, MASKED)
                    offset = corner_offset(corner, stride, WIDE)
                    sample = tl.load(
                        value + (offset[:, None] + channel[None, :]), mask=here[:, None] & used, other=0.0
                    )
                    total += weight[:, None] * sample.to(tl.float32)
    tl.store(
        output + line * D + (query[:, None] * stride + channel[None, :]),
        total.to(output.dtype.element_ty),
        mask=inside[:, None] & used,
    )
