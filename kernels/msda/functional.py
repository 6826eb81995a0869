"""Multi-scale deformable attention: the functions to call.

from relforge.kernels.msda.functional import ms_deform_attn, ms_deform_attn_fused
"""

from __future__ import annotations

import torch
from torch import Tensor

from relforge.kernels.msda import operators  # noqa: F401  (defines torch.ops.relforge)
from relforge.kernels.msda.dispatch import choose
from relforge.kernels.msda.reference import (
    ms_deform_attn_fused_reference,
    ms_deform_attn_reference,
    sampling_locations_of,
)
from relforge.kernels.msda.shapes import Shapes, as_levels, check, check_extras, flatten


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Shapes,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    kernel: str = "auto",
) -> Tensor:
    """Multi-scale deformable attention (Deformable DETR, equation 3).

    Args:
        value: (B, S, H, D) float16, bfloat16, float32 (sums are kept in float32) or float64.
        spatial_shapes: a sequence of L pairs (rows, columns), or (L, 2) integers. Keep a tensor on the CPU.
        sampling_locations: (B, Q, H, L, P, 2) as (x, y), normalised to [0, 1]; zeros are sampled outside.
            Keep them in float32: float16 steps by 0.07 pixels on a level 134 wide, bfloat16 by half a pixel.
        attention_weights: (B, Q, H, L, P).
        kernel: `auto`, `reference`, `cpu` or `triton`; see `relforge.kernels.msda.dispatch`.

    Returns:
        (B, Q, H * D) in the dtype of `value`. A NaN location makes its query and head NaN.

    Raises:
        ValueError: shapes, dtypes or devices that do not fit, or an unknown kernel.
        KernelUnavailable: the requested kernel cannot run here.
    """
    levels = as_levels(spatial_shapes)
    chosen = choose(value.device.type, value.dtype, kernel)
    if chosen == "reference":
        check(value, levels, sampling_locations, attention_weights)
        return ms_deform_attn_reference(value, levels, sampling_locations, attention_weights)
    shapes = flatten(levels)
    return torch.ops.relforge.msda_forward(value, shapes, sampling_locations, attention_weights, chosen)


def ms_deform_attn_fused(
    value: Tensor,
    spatial_shapes: Shapes,
    reference_points: Tensor,
    sampling_offsets: Tensor,
    attention_logits: Tensor,
    padding_mask: Tensor | None = None,
    kernel: str = "auto",
) -> Tensor:
    """`ms_deform_attn` with the location arithmetic, the softmax and the padding mask done inside.

    Args:
        value, spatial_shapes, kernel: as in `ms_deform_attn`.
        reference_points: (B, Q, L, 2) normalised points (offsets are then in pixels of each level), or
            (B, Q, L, 4) normalised boxes as centre x, centre y, width, height (offsets then in units of half
            a side / P).
        sampling_offsets: (B, Q, H, L, P, 2) raw; half precision is safe here, unlike for locations.
        attention_logits: (B, Q, H, L, P) raw; the softmax runs over L x P.
        padding_mask: (B, S) bool, True = padded, or None.

    Returns:
        (B, Q, H * D) in the dtype of `value`.
    """
    levels = as_levels(spatial_shapes)
    chosen = choose(value.device.type, value.dtype, kernel)
    inputs = (reference_points, sampling_offsets, attention_logits, padding_mask)
    if chosen == "reference":
        check_extras(check(value, levels, sampling_offsets, attention_logits), reference_points, padding_mask)
        return ms_deform_attn_fused_reference(value, levels, *inputs)
    if torch.is_grad_enabled() and reference_points.requires_grad:
        # Rare (a decoder's first layer learns its points), so autograd does the location arithmetic.
        locations = sampling_locations_of(reference_points, sampling_offsets, levels)
        weights = attention_logits.flatten(-2).softmax(-1).view_as(attention_logits)
        if padding_mask is not None:
            value = value.masked_fill(padding_mask[..., None, None], 0.0)
        return torch.ops.relforge.msda_forward(value, flatten(levels), locations, weights, chosen)
    return torch.ops.relforge.msda_fused_forward(value, flatten(levels), *inputs, chosen)
