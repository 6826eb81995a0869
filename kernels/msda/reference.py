"""The reference: multi-scale deformable attention in plain PyTorch, the oracle of every kernel here.

Definition (Deformable DETR, equation 3), for query q and head h, with pixel centres at (i + 0.5) / size and
zeros outside the image:

    out[q, h] = sum over l, p of  weight[q, h, l, p] * bilinear(value[h] of level l, location[q, h, l, p])

A NaN coordinate makes the output of its (query, head) NaN; an infinite one is outside and adds nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relforge.kernels.msda.shapes import Shapes, as_levels


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums: float32 for half-precision storage, else the storage dtype."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def ms_deform_attn_reference(
    value: Tensor, spatial_shapes: Shapes, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """Differentiable in all three floating inputs, in float64 too.

    Args:
        value: (B, S, H, D), S = sum of rows * columns over the levels, row-major, levels in order.
        spatial_shapes: (L, 2) integers (rows, columns).
        sampling_locations: (B, Q, H, L, P, 2) as (x, y), normalised to [0, 1] over each level.
        attention_weights: (B, Q, H, L, P).

    Returns:
        (B, Q, H * D) in the dtype of `value`.
    """
    levels = as_levels(spatial_shapes)
    batch, _, heads, channels = value.shape
    _, queries, _, _, points, _ = sampling_locations.shape
    dtype = accumulation_dtype(value.dtype)
    undefined = sampling_locations.isnan().flatten(3).any(-1)  # B x Q x H
    # Nothing is sampled farther than one image away; the clamp keeps grid_sample's index arithmetic in range.
    grids = 2 * sampling_locations.to(dtype).nan_to_num(-1.0).clamp(-2, 3) - 1
    weights = attention_weights.to(dtype)
    if queries == 0:  # grid_sample refuses empty grids
        empty = grids.sum((2, 3, 4, 5)) * weights.sum((2, 3, 4)) * value.sum()  # B x 0
        return empty[..., None].expand(-1, -1, heads * channels).to(value.dtype)
    output = value.new_zeros((batch * heads, channels, queries), dtype=dtype)
    start = 0
    for level, (height, width) in enumerate(levels):
        image = value[:, start : start + height * width].to(dtype)  # B x HW x H x D
        image = image.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).reshape(batch * heads, queries, points, 2)
        sampled = nn.functional.grid_sample(
            image, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )  # BH x D x Q x P
        weight = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        output = output + (sampled * weight).sum(-1)
        start += height * width
    output = output.view(batch, heads, channels, queries).permute(0, 3, 1, 2)  # B x Q x H x D
    output = output.masked_fill(undefined[..., None], float("nan"))
    return output.reshape(batch, queries, heads * channels).to(value.dtype)


def sampling_locations_of(reference_points: Tensor, offsets: Tensor, spatial_shapes: Shapes) -> Tensor:
    """Normalised sampling locations from reference points and raw offsets (Deformable DETR, appendix A.3).

    Args:
        reference_points: (B, Q, L, 2), then offsets are in pixels of each level; or (B, Q, L, 4) boxes
            (centre x, centre y, width, height), then offsets are in units of half a box side / P.
        offsets: (B, Q, H, L, P, 2).
        spatial_shapes: (L, 2) integers (rows, columns).

    Returns:
        (B, Q, H, L, P, 2), at least float32: half precision would move points by a tenth of a pixel.
    """
    dtype = accumulation_dtype(torch.promote_types(reference_points.dtype, offsets.dtype))
    reference, offsets = reference_points.to(dtype), offsets.to(dtype)
    centre = reference[:, :, None, :, None, :2]  # B x Q x 1 x L x 1 x 2
    if reference.shape[-1] == 4:
        return centre + offsets / offsets.shape[4] * reference[:, :, None, :, None, 2:] * 0.5
    sizes = torch.tensor([[width, height] for height, width in as_levels(spatial_shapes)])
    return centre + offsets / sizes.to(offsets)[None, None, None, :, None, :]


def ms_deform_attn_fused_reference(
    value: Tensor,
    spatial_shapes: Shapes,
    reference_points: Tensor,
    sampling_offsets: Tensor,
    attention_logits: Tensor,
    padding_mask: Tensor | None = None,
) -> Tensor:
    """The operator with its preparation: locations, softmax over levels x points, and the padding mask.

    Args:
        value, spatial_shapes: as in `ms_deform_attn_reference`.
        reference_points: (B, Q, L, 2 or 4), see `sampling_locations_of`.
        sampling_offsets: (B, Q, H, L, P, 2) raw.
        attention_logits: (B, Q, H, L, P) raw.
        padding_mask: (B, S) bool, True = padded: those rows of `value` count as zero.
    """
    if padding_mask is not None:
        value = value.masked_fill(padding_mask[..., None, None], 0.0)
    locations = sampling_locations_of(reference_points, sampling_offsets, spatial_shapes)
    logits = attention_logits.to(accumulation_dtype(attention_logits.dtype))
    weights = logits.flatten(-2).softmax(-1).view_as(logits)
    return ms_deform_attn_reference(value, spatial_shapes, locations, weights)
