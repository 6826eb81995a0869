"""The shapes and dtypes of one call of multi-scale deformable attention, checked once for every kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
Shapes: TypeAlias = Tensor | Sequence[Sequence[int]]


class Problem(NamedTuple):
    """Sizes of one call; letters as in the docstrings of this package."""

    batch: int  # B
    tokens: int  # S, the pixels of all levels
    heads: int  # H
    channels: int  # D, per head
    queries: int  # Q
    points: int  # P, per level
    levels: tuple[tuple[int, int], ...]  # L pairs (rows, columns)


def as_levels(spatial_shapes: Shapes) -> tuple[tuple[int, int], ...]:
    """(rows, columns) of every level as Python integers.

    A tensor on a GPU is copied to the host, which waits for the GPU: keep `spatial_shapes` on the CPU.
    """
    rows = spatial_shapes.tolist() if isinstance(spatial_shapes, Tensor) else spatial_shapes
    levels = tuple((int(height), int(width)) for height, width in rows)
    if not levels or any(height < 1 or width < 1 for height, width in levels):
        raise ValueError(f"spatial_shapes must be one or more (rows, columns) pairs, each >= 1; got {levels}")
    return levels


def as_tensor(spatial_shapes: Shapes) -> Tensor:
    """`spatial_shapes` as an int64 tensor (L, 2), as the operator takes it."""
    if isinstance(spatial_shapes, Tensor):
        if spatial_shapes.dim() != 2 or spatial_shapes.shape[1] != 2 or spatial_shapes.is_floating_point():
            raise ValueError(
                "spatial_shapes must be integers (L, 2), a row (rows, columns) per level; "
                f"got {tuple(spatial_shapes.shape)} {spatial_shapes.dtype}"
            )
        return spatial_shapes
    return torch.tensor([[int(height), int(width)] for height, width in spatial_shapes], dtype=torch.int64)


def check(value: Tensor, spatial_shapes: Tensor, points: Tensor, weights: Tensor) -> Problem:
    """Check the tensors of a call against each other.

    Args:
        value: (B, S, H, D) floating.
        spatial_shapes: (L, 2) integer.
        points: (B, Q, H, L, P, 2): sampling locations, or raw offsets.
        weights: (B, Q, H, L, P): attention weights, or logits.

    Raises:
        ValueError: a shape, dtype or device that does not fit, naming the tensor and what was expected.
    """
    if value.dim() != 4:
        raise ValueError(f"value must be (B, S, H, D); got {tuple(value.shape)}")
    if points.dim() != 6 or points.shape[-1] != 2:
        raise ValueError(f"sampling points must be (B, Q, H, L, P, 2); got {tuple(points.shape)}")
    batch, tokens, heads, channels = value.shape
    queries, n_levels, n_points = points.shape[1], points.shape[3], points.shape[4]
    expected = (batch, queries, heads, n_levels, n_points, 2)
    if tuple(points.shape) != expected:
        raise ValueError(
            f"sampling points {tuple(points.shape)} do not fit value {tuple(value.shape)}: "
            f"expected {expected}"
        )
    if tuple(weights.shape) != expected[:-1]:
        raise ValueError(f"attention weights must be {expected[:-1]}; got {tuple(weights.shape)}")
    if channels < 1 or n_points < 1 or heads < 1:
        raise ValueError(
            f"heads, channels and points must be >= 1; got H={heads}, D={channels}, P={n_points}"
        )
    levels = as_levels(spatial_shapes)
    if len(levels) != n_levels:
        raise ValueError(f"spatial_shapes has {len(levels)} levels, the sampling points have {n_levels}")
    total = sum(height * width for height, width in levels)
    if total != tokens:
        raise ValueError(f"spatial_shapes {levels} add up to {total} pixels, but value has {tokens}")
    for name, tensor in (("value", value), ("sampling points", points), ("attention weights", weights)):
        if tensor.dtype not in FLOATING:
            raise ValueError(f"{name} must be float16, bfloat16, float32 or float64; got {tensor.dtype}")
        if tensor.device != value.device:
            raise ValueError(f"{name} is on {tensor.device}, value on {value.device}: move them together")
    return Problem(batch, tokens, heads, channels, queries, n_points, levels)


def check_extras(problem: Problem, reference_points: Tensor, padding_mask: Tensor | None) -> None:
    """Check the additional inputs of the fused operator.

    Args:
        problem: the sizes from `check`.
        reference_points: (B, Q, L, 2) points or (B, Q, L, 4) boxes (centre x, centre y, width, height).
        padding_mask: (B, S) bool, True = padded, or None.
    """
    expected = (problem.batch, problem.queries, len(problem.levels))
    shape = tuple(reference_points.shape)
    if shape[:-1] != expected or shape[-1] not in (2, 4):
        raise ValueError(f"reference_points must be {expected} x 2 (points) or x 4 (boxes); got {shape}")
    if padding_mask is None:
        return
    if padding_mask.dtype != torch.bool or tuple(padding_mask.shape) != (problem.batch, problem.tokens):
        raise ValueError(
            f"padding_mask must be bool {(problem.batch, problem.tokens)}, True = padded; "
            f"got {padding_mask.dtype} {tuple(padding_mask.shape)}"
        )
