"""Asymmetric language-image fusion: gated attention in both directions (RLIPv2, §4.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.gating import GATES


class BiAttention(nn.Module):
    """One score table between pixels and labels, used along both axes (GLIP).

    Args:
        vision_dim: width of pixel tokens.
        text_dim: width of label states.
        embed_dim: common width of queries, keys and values.
        heads: attention heads.
        dropout: on both attention tables.
    """

    def __init__(
        self, vision_dim: int, text_dim: int, embed_dim: int, heads: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.v_proj = nn.Linear(vision_dim, embed_dim)
        self.l_proj = nn.Linear(text_dim, embed_dim)
        self.values_v_proj = nn.Linear(vision_dim, embed_dim)
        self.values_l_proj = nn.Linear(text_dim, embed_dim)
        self.out_v_proj = nn.Linear(embed_dim, vision_dim)
        self.out_l_proj = nn.Linear(embed_dim, text_dim)
        for layer in self.children():
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        vision: Tensor,
        labels: Tensor,
        positions: Tensor,
        pixel_padding: Tensor | None = None,
        label_padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What labels add to pixels and pixels to labels.

        Args:
            vision: B x N x vision_dim.
            labels: B x T x text_dim.
            positions: B x N x vision_dim, added to the pixel queries only, not to their values.
            pixel_padding: B x N, True where pixels must not be attended to.
            label_padding: B x T, True where labels must not be attended to.

        Returns:
            (B x N x vision_dim, B x T x text_dim).
        """
        query, value_v = self._split(self.v_proj(vision + positions)), self._split(self.values_v_proj(vision))
        key, value_l = self._split(self.l_proj(labels)), self._split(self.values_l_proj(labels))
        p = self.dropout if self.training else 0.0
        to_vision = F.scaled_dot_product_attention(
            query, key, value_l, attn_mask=_attend_mask(label_padding), dropout_p=p
        )
        to_labels = F.scaled_dot_product_attention(
            key, query, value_v, attn_mask=_attend_mask(pixel_padding), dropout_p=p
        )
        return (
            self.out_v_proj(to_vision.transpose(1, 2).flatten(2)),
            self.out_l_proj(to_labels.transpose(1, 2).flatten(2)),
        )

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B x heads x N x embed / heads


def _attend_mask(padding: Tensor | None) -> Tensor | None:
    return None if padding is None else ~padding[:, None, None]


class Fusion(nn.Module):
    """Layer norm, attention both ways, gate, residual.

    The residual starts from the normalised features, not the raw ones: a property of the published code
    that its weights depend on (docs/method.md, "Language fusion").

    Args:
        vision_dim: width of pixel tokens.
        text_dim: width of label states.
        embed_dim: common attention width (2048 in the published models).
        heads: attention heads.
        dropout: on attention tables.
        gate: a key of `GATES`.
    """

    def __init__(
        self,
        *,
        vision_dim: int,
        text_dim: int,
        embed_dim: int = 2048,
        heads: int = 8,
        dropout: float = 0.1,
        gate: str = "vector",
    ) -> None:
        super().__init__()
        if gate not in GATES:
            raise ValueError(f"unknown gate {gate!r}; choose one of {', '.join(GATES)}")
        self.norm_v = nn.LayerNorm(vision_dim)
        self.norm_l = nn.LayerNorm(text_dim)
        self.attention = BiAttention(vision_dim, text_dim, embed_dim, heads, dropout)
        self.gate_v = GATES[gate](vision_dim)
        self.gate_l = GATES[gate](text_dim)

    def forward(
        self,
        vision: Tensor,
        labels: Tensor,
        positions: Tensor,
        pixel_padding: Tensor | None = None,
        label_padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fused (pixels B x N x vision_dim, labels B x T x text_dim); arguments as `BiAttention`."""
        vision, labels = self.norm_v(vision), self.norm_l(labels)
        to_vision, to_labels = self.attention(vision, labels, positions, pixel_padding, label_padding)
        return vision + self.gate_v(to_vision), labels + self.gate_l(to_labels)
