"""The shapes and dtypes of one call of multi-scale deformable attention, checked once for every kernel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
Shapes: TypeAlias = Tensor | Sequence[Sequence[int]]
Levels: TypeAlias = tuple[tuple[int, int], ...]
"""L pairs (rows, columns)."""


class Problem(NamedTuple):
    """Sizes of one call; letters as in the docstrings of this package."""

    batch: int  # B
    tokens: int  # S, the pixels of all levels
    heads: int  # H
    channels: int  # D, per head
    queries: int  # Q
    points: int  # P, per level
    levels: Levels


def as_levels(spatial_shapes: Shapes) -> Levels:
    """(rows, columns) of every level as Python integers.

    A tensor on a GPU is copied to the host, which waits for the GPU: keep `spatial_shapes` on the CPU, or
    give pairs, which `torch.compile` also takes without a graph break.
    """
    if isinstance(spatial_shapes, Tensor):
        if spatial_shapes.dim() != 2 or spatial_shapes.shape[1] != 2 or spatial_shapes.is_floating_point():
            raise ValueError(
                "spatial_shapes must be integers (L, 2), a row (rows, columns) per level; "
                f"got {tuple(spatial_shapes.shape)} {spatial_shapes.dtype}"
            )
        spatial_shapes = spatial_shapes.tolist()
    levels = tuple((int(height), int(width)) for height, width in spatial_shapes)
    if not levels or any(height < 1 or width < 1 for height, width in levels):
        raise ValueError(f"spatial_shapes must be one or more (rows, columns) pairs, each >= 1; got {levels}")
    return levels


def flatten(levels: Levels) -> list[int]:
    """Rows, columns, rows, columns ...: how the operators take the levels."""
    return [side for level in levels for side in level]


def unflatten(sides: Sequence[int]) -> Levels:
    """The levels of `flatten`."""
    return tuple(zip(sides[::2], sides[1::2], strict=True))


def check(value: Tensor, spatial_shapes: Shapes, points: Tensor, weights: Tensor) -> Problem:
    """Check the tensors of a call against each other; a call like an earlier one is only looked up.

    Args:
        value: (B, S, H, D) floating.
        spatial_shapes: (L, 2) integers.
        points: (B, Q, H, L, P, 2): sampling locations, or raw offsets.
        weights: (B, Q, H, L, P): attention weights, or logits.

    Raises:
        ValueError: a shape, dtype or device that does not fit, naming the tensor and what was expected.
    """
    return check_sizes(
        as_levels(spatial_shapes),
        (value.shape, points.shape, weights.shape),
        (value.dtype, points.dtype, weights.dtype),
        (value.device, points.device, weights.device),
    )


@functools.lru_cache(maxsize=4096)
def check_sizes(
    levels: Levels,
    shapes: tuple[torch.Size, torch.Size, torch.Size],
    dtypes: tuple[torch.dtype, ...],
    devices: tuple[torch.device, ...],
) -> Problem:
    """As `check`, of what describes value, points and weights."""
    value, points, weights = (tuple(shape) for shape in shapes)
    if len(value) != 4:
        raise ValueError(f"value must be (B, S, H, D); got {value}")
    if len(points) != 6 or points[-1] != 2:
        raise ValueError(f"sampling points must be (B, Q, H, L, P, 2); got {points}")
    batch, tokens, heads, channels = value
    queries, n_levels, n_points = points[1], points[3], points[4]
    expected = (batch, queries, heads, n_levels, n_points, 2)
    if points != expected:
        raise ValueError(f"sampling points {points} do not fit value {value}: expected {expected}")
    if weights != expected[:-1]:
        raise ValueError(f"attention weights must be {expected[:-1]}; got {weights}")
    if channels < 1 or n_points < 1 or heads < 1:
        raise ValueError(
            f"heads, channels and points must be >= 1; got H={heads}, D={channels}, P={n_points}"
        )
    if len(levels) != n_levels:
        raise ValueError(f"spatial_shapes has {len(levels)} levels, the sampling points have {n_levels}")
    total = sum(height * width for height, width in levels)
    if total != tokens:
        raise ValueError(f"spatial_shapes {levels} add up to {total} pixels, but value has {tokens}")
    names = ("value", "sampling points", "attention weights")
    for name, dtype, device in zip(names, dtypes, devices, strict=True):
        if dtype not in FLOATING:
            raise ValueError(f"{name} must be float16, bfloat16, float32 or float64; got {dtype}")
        if device != devices[0]:
            raise ValueError(f"{name} is on {device}, value on {devices[0]}: move them together")
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
