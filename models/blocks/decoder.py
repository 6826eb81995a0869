"""Deformable decoder layers over queries, and the positions of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from relforge.kernels.msda.module import MSDeformAttn
from relforge.models.blocks.layers import MLP
from relforge.models.blocks.memory_saving import Dropout
from relforge.models.blocks.pair_pixels import Shown
from relforge.models.blocks.position import anchor_encoding
from relforge.models.blocks.pyramid import Tokens


@dataclass
class Memory:
    """What the encoder passes to the decoders.

    Args:
        values: B x S x dim pixels.
        shapes: (height, width) per level.
        padding: B x S, True where padded, or None.
        valid_ratios: B x L x 2.
        labels: label features B x T x dim for each decoder layer, in the order objects, relations; none in
            models without texts.
        shown: the images themselves, for what looks at pairs closely; None where nothing does.
    """

    values: Tensor
    shapes: list[tuple[int, int]]
    padding: Tensor | None
    valid_ratios: Tensor
    labels: list[Tensor] = field(default_factory=list)
    shown: Shown | None = None

    @classmethod
    def of(cls, tokens: Tokens, values: Tensor, labels: Sequence[Tensor] = ()) -> Memory:
        """Encoded tokens: `values` B x S x dim instead of the tokens' own."""
        return cls(values, tokens.shapes, tokens.padding, tokens.valid_ratios, list(labels))


class DecoderLayer(nn.Module):
    """Self-attention over queries, deformable attention to the image, feed-forward; post-norm.

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
        self.dropout = Dropout(dropout)

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        references: Tensor,
        memory: Memory,
        attention_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """One layer.

        An image may have several decoder batches: each is a row of N for the self-attention; for the
        cross-attention those of one image are adjacent, so that the image's values are projected once.

        Args:
            queries: N x Q x dim, N = B * decoder batches, those of an image next to each other.
            positions: as queries, or broadcasting to it.
            references: N x Q x L x 2 or 4, scaled by the valid ratios.
            memory: of B images.
            attention_mask: (N * heads) x Q x Q, True where a query must not attend to another.
            key_padding_mask: N x Q, True where a query holds no pair and must not be attended to.
        """
        key = queries + positions
        mixed, _ = self.self_attn(
            key, key, queries, attn_mask=attention_mask, key_padding_mask=key_padding_mask, need_weights=False
        )
        queries = self.norm2(queries + self.dropout(mixed))
        batch_size = memory.values.shape[0]
        side_by_side = (queries + positions).reshape(
            batch_size, -1, queries.shape[-1]
        )  # B x (N / B * Q) x dim
        attended = self.cross_attn(
            side_by_side,
            references.reshape(batch_size, -1, *references.shape[2:]),
            memory.values,
            memory.shapes,
            memory.padding,
        )
        queries = self.norm1(queries + self.dropout(attended.reshape(queries.shape)))
        hidden = self.linear2(self.dropout.after_relu(self.linear1(queries)))
        return self.norm3(queries + self.dropout(hidden))


def decoder_layers(
    count: int, dim: int, heads: int, feedforward: int, dropout: float, levels: int
) -> list[DecoderLayer]:
    """Layers of one decoder; the arguments are those of `DecoderLayer`."""
    return [DecoderLayer(dim, heads, feedforward, dropout, levels) for _ in range(count)]


class AnchorPosition(nn.Module):
    """DAB-DETR's query position: encoding of the current anchor, scaled by the query's content.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.query_scale = MLP(dim, dim, dim)
        self.ref_point_head = MLP(2 * dim, dim, dim)

    def forward(self, anchors: Tensor, queries: Tensor | None) -> Tensor:
        """Positions N x Q x dim of anchors N x Q x 4; `queries` is None before the first layer (scale 1)."""
        position = self.ref_point_head(anchor_encoding(anchors, self.dim))
        return position if queries is None else self.query_scale(queries) * position


class Decoder(nn.Module):
    """A stack of layers; its caller moves the references between them.

    Args:
        layers: the layers.
        anchor_position: makes query positions from anchors (ParSeDA) instead of a table.
    """

    def __init__(self, layers: list[DecoderLayer], anchor_position: AnchorPosition | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.anchor_position = anchor_position

    def step(
        self,
        index: int,
        queries: Tensor,
        positions: Tensor | None,
        references: Tensor,
        memory: Memory,
        attention_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Run layer `index` with normalised references N x Q x 2 or 4; else as `DecoderLayer.forward`."""
        repeats = queries.shape[0] // memory.values.shape[0]
        ratios = memory.valid_ratios.repeat_interleave(repeats, 0)
        if references.shape[-1] == 4:
            ratios = torch.cat([ratios, ratios], -1)
        scaled = references[:, :, None] * ratios[:, None]  # N x Q x L x 2 or 4
        if positions is None:
            assert self.anchor_position is not None
            positions = self.anchor_position(scaled[:, :, 0], queries if index else None)
        return self.layers[index](queries, positions, scaled, memory, attention_mask, key_padding_mask)
