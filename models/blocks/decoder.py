"""Deformable decoder layers over pair slots, and the position of a slot (reference §2.6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relforge.kernels.msda.module import MSDeformAttn
from relforge.models.blocks.layers import MLP
from relforge.models.blocks.position import anchor_encoding


@dataclass
class Memory:
    """What the encoder leaves for the decoders.

    Args:
        values: B x S x dim pixels.
        shapes: (height, width) per level.
        padding: B x S, True where padded, or None.
        valid_ratios: B x L x 2.
        labels: label features B x T x dim for each decoder layer, in the order objects, relations.
    """

    values: Tensor
    shapes: list[tuple[int, int]]
    padding: Tensor | None
    valid_ratios: Tensor
    labels: list[Tensor]


class DecoderLayer(nn.Module):
    """Self-attention over slots, deformable attention to the picture, feed-forward; post-norm.

    Args:
        dim: width of the model.
        heads: attention heads.
        feedforward: hidden width.
        dropout: after each part.
        levels: feature levels.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float, levels: int) -> None:
        super().__init__()
        self.cross_attn = MSDeformAttn(dim, levels, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        slots: Tensor,
        positions: Tensor,
        references: Tensor,
        memory: Memory,
        blocked: Tensor | None = None,
        empty: Tensor | None = None,
    ) -> Tensor:
        """One layer.

        A picture may be asked in several passes: slots of all passes are rows of the batch for the
        self-attention and lie side by side for the cross-attention, so its values are projected once.

        Args:
            slots: (B * passes) x Q x dim.
            positions: as slots, or broadcasting to it.
            references: (B * passes) x Q x L x 2 or 4, scaled by the valid ratios.
            memory: of B pictures.
            blocked: (B * passes * heads) x Q x Q, True where a slot must not read another.
            empty: (B * passes) x Q, True where a slot holds no pair and must not be read.
        """
        key = slots + positions
        mixed, _ = self.self_attn(
            key, key, slots, attn_mask=blocked, key_padding_mask=empty, need_weights=False
        )
        slots = self.norm2(slots + self.dropout(mixed))
        pictures = memory.values.shape[0]
        side_by_side = (slots + positions).reshape(pictures, -1, slots.shape[-1])  # B x (passes * Q) x dim
        seen = self.cross_attn(
            side_by_side,
            references.reshape(pictures, -1, *references.shape[2:]),
            memory.values,
            memory.shapes,
            memory.padding,
        )
        slots = self.norm1(slots + self.dropout(seen.reshape(slots.shape)))
        hidden = self.linear2(self.dropout(self.linear1(slots).relu()))
        return self.norm3(slots + self.dropout(hidden))  # type: ignore[no-any-return]


class AnchorPosition(nn.Module):
    """DAB-DETR's slot position: encoding of the current anchor, scaled by the slot's content.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.query_scale = MLP(dim, dim, dim)
        self.ref_point_head = MLP(2 * dim, dim, dim)

    def forward(self, anchors: Tensor, slots: Tensor | None) -> Tensor:
        """Positions B x Q x dim of anchors B x Q x 4; `slots` is None before the first layer (scale 1)."""
        position = self.ref_point_head(anchor_encoding(anchors, self.dim))
        return position if slots is None else self.query_scale(slots) * position  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """A stack of layers; who calls it moves the references between them.

    Args:
        layers: the layers.
        anchor_position: where slot positions come from anchors (ParSeDA) instead of a table.
    """

    def __init__(self, layers: list[DecoderLayer], anchor_position: AnchorPosition | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.anchor_position = anchor_position

    def step(
        self,
        index: int,
        slots: Tensor,
        positions: Tensor | None,
        references: Tensor,
        memory: Memory,
        blocked: Tensor | None = None,
        empty: Tensor | None = None,
    ) -> Tensor:
        """Run layer `index` with normalised references (B * passes) x Q x 2 or 4."""
        passes = slots.shape[0] // memory.values.shape[0]
        ratios = memory.valid_ratios.repeat_interleave(passes, 0)
        if references.shape[-1] == 4:
            ratios = torch.cat([ratios, ratios], -1)
        scaled = references[:, :, None] * ratios[:, None]  # (B * passes) x Q x L x 2 or 4
        if positions is None:
            assert self.anchor_position is not None
            positions = self.anchor_position(scaled[:, :, 0], slots if index else None)
        return self.layers[index](slots, positions, scaled, memory, blocked, empty)  # type: ignore[no-any-return]
