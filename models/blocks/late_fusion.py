"""Fusion of decoded queries with label texts, after the decoders (RLIPv1, §3.2; MDETR's cross-encoder)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LateFusion(nn.Module):
    """Pre-norm transformer layers over the queries and the texts in one sequence, without positions.

    Args:
        dim: width of the model.
        heads: attention heads.
        feedforward: hidden width.
        dropout: after each part and on attention weights.
        count: number of layers; the output of each is normalised by one shared layer norm.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, heads, feedforward, dropout, batch_first=True, norm_first=True)
            for _ in range(count)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, queries: Tensor, texts: Tensor, text_padding: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Queries B x Q x dim and texts B x T x dim after every layer.

        Args:
            queries, texts: at the start.
            text_padding: B x T, True where a text must not be attended to.
        """
        count = queries.shape[1]
        state = torch.cat([queries, texts], 1)
        padding = None
        if text_padding is not None:
            padding = torch.cat([text_padding.new_zeros(queries.shape[:2]), text_padding], 1)
        fused = []
        for layer in self.layers:
            state = layer(state, src_key_padding_mask=padding)
            normalised = self.norm(state)
            fused.append((normalised[:, :count], normalised[:, count:]))
        return fused
