"""The Triton backward kernel; `triton_launch` calls it.

The value gradient is added with atomics into a float32 buffer: its last bits depend on the order of arrival.
"""

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
def backward_kernel(
    value,  # B x S x H x D
    levels,  # L x 3 int32: rows, columns, first pixel
    points,  # B x Q x H x L x P x 2
    weights,  # B x Q x H x L x P
    reference,  # B x Q x L x REFERENCE
    mask,  # B x S
    grad_output,  # B x Q x H x D
    grad_value,  # B x S x H x D float32, zeroed
    grad_points,  # as points, float32
    grad_weights,  # as weights, float32
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
    image = (batch * tokens * heads + head) * D
    masks = mask + batch * tokens
    upstream = tl.load(
        grad_output + line[:, None] * D + channel[None, :],
        mask=inside[:, None] & (channel[None, :] < D),
        other=0.0,
    ).to(tl.float32)
    peak = tl.zeros((QUERIES,), tl.float32)
    scale = tl.zeros((QUERIES,), tl.float32)
    if REFERENCE > 0:
        peak, scale = softmax_scale(weights, first, inside, L * P, POINTS_2)
    expected = tl.zeros((QUERIES,), tl.float32)  # sum of weight * grad_weight, for the softmax's backward
    for level in range(L):
        rows, columns, start = load_level(levels, level)
        for p in range(P):
            at = first + level * P + p
            attention = attention_weight(weights, at, inside, peak, scale, REFERENCE > 0)
            reference_at = (row * L + level) * REFERENCE
            near, column, pixel_row, x, y, scale_x, scale_y, undefined = locate(
                points, reference, at, reference_at, inside, rows, columns, REFERENCE, P
            )
            weight = tl.where(undefined, float("nan"), tl.where(near, attention, 0.0))
            along_x = tl.zeros((QUERIES,), tl.float32)
            along_y = tl.zeros((QUERIES,), tl.float32)
            grad_weight = tl.zeros((QUERIES,), tl.float32)
            for corner in tl.static_range(4):
                c = column + corner % 2
                r = pixel_row + corner // 2
                token = start + r * columns + c
                here = near & (c >= 0) & (c < columns) & (r >= 0) & (r < rows)
                here = drop_padded(masks, token, here, MASKED)
                part_x = x if corner % 2 else 1 - x
                part_y = y if corner // 2 else 1 - y
                offset = image + token[:, None].to(tl.int64) * (heads * D) + channel[None, :]
                used = here[:, None] & (channel[None, :] < D)
                sample = tl.load(value + offset, mask=used, other=0.0).to(tl.float32)
                dot = tl.sum(sample * upstream, axis=1)
                grad_weight += part_x * part_y * dot
                along_x += dot * (part_y if corner % 2 else -part_y)
                along_y += dot * (part_x if corner // 2 else -part_x)
                tl.atomic_add(
                    grad_value + offset,
                    (part_x * part_y * weight)[:, None] * upstream,
                    mask=used,
                    sem="relaxed",
                )
            tl.store(grad_points + 2 * at, weight * along_x * scale_x, mask=inside)
            tl.store(grad_points + 2 * at + 1, weight * along_y * scale_y, mask=inside)
            tl.store(grad_weights + at, grad_weight, mask=inside)
            expected += attention * grad_weight
    if REFERENCE > 0:
        tl.debug_barrier()  # other threads of this program wrote what is read back here
        for p in range(L * P):
            at = first + p
            attention = attention_weight(weights, at, inside, peak, scale, True)
            grad_weight = tl.load(grad_weights + at, mask=inside, other=0.0)
            tl.store(grad_weights + at, attention * (grad_weight - expected), mask=inside)
