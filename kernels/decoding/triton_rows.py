"""Triton kernels of one program per row: embedding and layer norms."""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def normalise(x, column, inside, weight, bias, eps, WIDTH: tl.constexpr):
    """Layer norm of one row in float32."""
    mean = tl.sum(x, 0) / WIDTH
    centred = tl.where(inside, x - mean, 0.0)
    variance = tl.sum(centred * centred, 0) / WIDTH
    scale = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)
    return centred / tl.sqrt(variance + eps) * scale + shift


@triton.jit
def embed_kernel(
    state,
    words,
    positions,
    weight,
    bias,
    out,
    eps,
    COLUMNS: tl.constexpr,
    LENGTH: tl.constexpr,
    HISTORY: tl.constexpr,
    WIDTH: tl.constexpr,
    WIDTH_2: tl.constexpr,
):
    """Layer norm of the newest token's embedding and its position's."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH_2)
    inside = column < WIDTH
    position = tl.load(state + row * COLUMNS + LENGTH) - 1
    token = tl.load(state + row * COLUMNS + HISTORY + position)
    x = tl.load(words + token * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(positions + position * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    x = x.to(out.dtype.element_ty).to(tl.float32)  # as a sum of its own would be stored
    x = normalise(x, column, inside, weight, bias, eps, WIDTH)
    tl.store(out + row * WIDTH + column, x.to(out.dtype.element_ty), mask=inside)


@triton.jit
def add_norm_kernel(
    x,
    residual,
    weight,
    bias,
    out,
    eps,
    ADD: tl.constexpr,
    GELU: tl.constexpr,
    WIDTH: tl.constexpr,
    WIDTH_2: tl.constexpr,
):
    """Layer norm of x + residual, or of GELU(x)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH_2)
    inside = column < WIDTH
    wide = tl.load(x + row * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        wide += tl.load(residual + row * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    if GELU:
        wide = 0.5 * wide * (1.0 + tl.erf(wide * 0.7071067811865476))
    wide = wide.to(out.dtype.element_ty).to(tl.float32)  # as a sum or GELU of its own would be stored
    wide = normalise(wide, column, inside, weight, bias, eps, WIDTH)
    tl.store(out + row * WIDTH + column, wide.to(out.dtype.element_ty), mask=inside)
