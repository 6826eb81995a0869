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
    corner_offset,
    drop_padded,
    level_geometry,
    load_level,
    locate,
    query_block,
    softmax_statistics,
)


@triton.jit
def load_corner(value, offset, here):
    """The channels of a corner of each query as float32, zeros outside."""
    return tl.load(value + offset, mask=here, other=0.0).to(tl.float32)


@triton.jit
def add_corner(grad_value, offset, here, weight, upstream):
    """Add a corner's share of the upstream gradient."""
    tl.atomic_add(grad_value + offset, weight[:, None] * upstream, mask=here, sem="relaxed")


@triton.jit
def softmax_backward(logits, grads, first, inside, POINTS: tl.constexpr, POINTS_2: tl.constexpr):
    """Replace the gradients of the attention weights in memory by those of their logits."""
    point = tl.arange(0, POINTS_2)[None, :]
    at = first[:, None] + point
    present = inside[:, None] & (point < POINTS)
    logit = tl.load(logits + at, mask=present, other=-float("inf")).to(tl.float32)
    peak = tl.where(inside, tl.max(logit, axis=1), 0.0)
    exponential = tl.exp(logit - peak[:, None])
    weight = exponential / tl.where(inside, tl.sum(exponential, axis=1), 1.0)[:, None]
    grad = tl.load(grads + at, mask=present, other=0.0)
    expected = tl.sum(weight * grad, axis=1)
    tl.store(grads + at, weight * (grad - expected[:, None]), mask=present)


@triton.jit(do_not_specialize=["queries", "tokens", "heads"])
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
    SLOTS: tl.constexpr,
    REFERENCE: tl.constexpr,
    MASKED: tl.constexpr,
    WIDE: tl.constexpr,
    QUERIES: tl.constexpr,
):
    batch, head, row, query, inside = query_block(queries, heads, QUERIES)
    line = row * heads + head
    # Four numbers a thread whatever the dtype of `value`, as the atomics of the float32 gradient take them:
    # in another layout every corner would go through shared memory.
    channel = tl.max_contiguous(tl.arange(0, D_2), 4)[None, :]
    used = channel < D
    stride = heads * D
    value += (batch * tokens * heads + head) * D
    grad_value += (batch * tokens * heads + head) * D
    mask += batch * tokens
    points += line * (L * P * 2)
    weights += line * (L * P)
    grad_points += line * (L * P * 2)
    grad_weights += line * (L * P)
    reference += row * (L * REFERENCE)
    first = query * (heads * L * P)
    upstream = tl.load(
        grad_output + line * D + (query[:, None] * stride + channel), mask=inside[:, None] & used, other=0.0
    ).to(tl.float32)
    peak = tl.zeros((QUERIES,), tl.float32)
    scale = tl.zeros((QUERIES,), tl.float32)
    if REFERENCE > 0:
        peak, scale = softmax_statistics(weights, first, inside, L * P)
    # The gradients of a level's points, in the layout of the channels: stored once per level.
    slot = tl.max_contiguous(tl.arange(0, SLOTS), 4)[None, :]
    for level in range(L):
        rows, columns, start = load_level(levels, level)
        scale_x, scale_y, shift_x, shift_y = level_geometry(
            reference, (query * L + level) * REFERENCE, inside, rows, columns, REFERENCE, P
        )
        grad_point = tl.zeros((QUERIES, SLOTS), tl.float32)
        grad_weight = tl.zeros((QUERIES, SLOTS), tl.float32)
        for p in tl.static_range(P):
            at = first + level * P + p
            attention = attention_weight(weights, at, inside, peak, scale, REFERENCE > 0)
            near, left, top, x, y, undefined = locate(
                points, at, inside, rows, columns, scale_x, scale_y, shift_x, shift_y
            )
            weight = tl.where(undefined, float("nan"), tl.where(near, attention, 0.0))
            token = start + top * columns + left
            left_inside = near & (left >= 0)
            right_inside = near & (left < columns - 1)
            top_inside = top >= 0
            bottom_inside = top < rows - 1
            here_00 = drop_padded(mask, token, left_inside & top_inside, MASKED)[:, None] & used
            here_01 = drop_padded(mask, token + 1, right_inside & top_inside, MASKED)[:, None] & used
            here_10 = drop_padded(mask, token + columns, left_inside & bottom_inside, MASKED)[:, None] & used
            here_11 = (
                drop_padded(mask, token + columns + 1, right_inside & bottom_inside, MASKED)[:, None] & used
            )
            offset = corner_offset(token, stride, WIDE)[:, None] + channel
            below = offset + corner_offset(columns, stride, WIDE)
            # Interpolated along x on both rows, then along y: three sums over channels instead of four.
            left_value = load_corner(value, offset, here_00)
            along_top = load_corner(value, offset + stride, here_01) - left_value
            top_value = left_value + along_top * x[:, None]
            left_value = load_corner(value, below, here_10)
            along_bottom = load_corner(value, below + stride, here_11) - left_value
            down = left_value + along_bottom * x[:, None] - top_value
            along_weight = tl.sum((top_value + down * y[:, None]) * upstream, axis=1)
            along_x = tl.sum((along_top + (along_bottom - along_top) * y[:, None]) * upstream, axis=1)
            along_y = tl.sum(down * upstream, axis=1)
            bottom_weight = weight * y
            top_weight = weight - bottom_weight
            add_corner(grad_value, offset, here_00, top_weight * (1 - x), upstream)
            add_corner(grad_value, offset + stride, here_01, top_weight * x, upstream)
            add_corner(grad_value, below, here_10, bottom_weight * (1 - x), upstream)
            add_corner(grad_value, below + stride, here_11, bottom_weight * x, upstream)
            grad_x = (weight * along_x * scale_x)[:, None]
            grad_y = (weight * along_y * scale_y)[:, None]
            grad_point = tl.where(slot == 2 * p, grad_x, tl.where(slot == 2 * p + 1, grad_y, grad_point))
            grad_weight = tl.where(slot == p, along_weight[:, None], grad_weight)
        at_level = (first + level * P)[:, None]
        present = inside[:, None] & (slot < 2 * P)
        tl.store(grad_points + (2 * at_level + slot), grad_point, mask=present)
        tl.store(grad_weights + (at_level + slot), grad_weight, mask=present & (slot < P))
    if REFERENCE > 0:
        tl.debug_barrier()  # other threads of this program wrote what is read back here
        softmax_backward(weights, grad_weights, first, inside, L * P, POINTS_2)
