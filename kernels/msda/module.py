"""The multi-scale deformable attention module of Deformable DETR, with its published parameter names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from relforge.kernels.msda.functional import ms_deform_attn_fused
from relforge.kernels.msda.shapes import Shapes


class MSDeformAttn(nn.Module):
    """Multi-scale deformable attention with its four projections.

    State-dict keys: `sampling_offsets`, `attention_weights`, `value_proj`, `output_proj`, each with `.weight`
    and `.bias`.

    Args:
        d_model: width of queries and inputs.
        n_levels: feature levels L.
        n_heads: heads H; must divide `d_model`.
        n_points: sampling points P per head and level.
        kernel: see `relforge.kernels.msda.dispatch`.
    """

    def __init__(
        self, d_model: int = 256, n_levels: int = 4, n_heads: int = 8, n_points: int = 4, kernel: str = "auto"
    ) -> None:
        super().__init__()
        if d_model % n_heads:
            raise ValueError(f"d_model must be a multiple of n_heads; got {d_model} and {n_heads}")
        self.d_model, self.n_levels, self.n_heads, self.n_points = d_model, n_levels, n_heads, n_points
        self.kernel = kernel
        self.sampling_offsets = nn.Linear(d_model, n_heads * n_levels * n_points * 2)
        self.attention_weights = nn.Linear(d_model, n_heads * n_levels * n_points)
        self.value_proj = nn.Linear(d_model, d_model)
        self.output_proj = nn.Linear(d_model, d_model)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets of head h in direction h of `n_heads` on the square ring, point i at distance i + 1; equal
        attention weights."""
        nn.init.zeros_(self.sampling_offsets.weight)
        angles = torch.arange(self.n_heads, dtype=torch.float32) * (2.0 * math.pi / self.n_heads)
        directions = torch.stack([angles.cos(), angles.sin()], -1)
        directions = directions / directions.abs().amax(-1, keepdim=True)  # H x 2, on the square ring
        steps = torch.arange(1, self.n_points + 1, dtype=torch.float32)
        grid = directions[:, None, None, :] * steps[None, None, :, None]  # H x 1 x P x 2
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(grid.expand(-1, self.n_levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Tensor,
        reference_points: Tensor,
        input_flatten: Tensor,
        spatial_shapes: Shapes,
        padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Attend from `query` to `input_flatten`.

        Args:
            query: (B, Q, d_model).
            reference_points: (B, Q, L, 2) normalised points, or (B, Q, L, 4) normalised boxes
                (centre x, centre y, width, height).
            input_flatten: (B, S, d_model), the levels' pixels row-major, level after level.
            spatial_shapes: L pairs (rows, columns); keep a tensor on the CPU.
            padding_mask: (B, S) bool, True = padded; those pixels count as zero.

        Returns:
            (B, Q, d_model).
        """
        batch, queries, _ = query.shape
        per_head = (batch, queries, self.n_heads, self.n_levels, self.n_points)
        value = self.value_proj(input_flatten).view(batch, -1, self.n_heads, self.d_model // self.n_heads)
        offsets = self.sampling_offsets(query).view(*per_head, 2)
        logits = self.attention_weights(query).view(per_head)
        output = ms_deform_attn_fused(
            value, spatial_shapes, reference_points, offsets, logits, padding_mask, kernel=self.kernel
        )
        return self.output_proj(output)
