"""DETR's decoder: queries that attend to each other and to the whole memory, post-norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relforge.models.blocks.detr_encoder import xavier
from relforge.models.blocks.memory_saving import Dropout
from relforge.models.blocks.single_scale import TokenSequence


class DetrDecoderLayer(nn.Module):
    """Self-attention over queries, cross-attention to the memory, feed-forward.

    Args:
        dim: width of the model.
        heads: attention heads.
        feedforward: hidden width.
        dropout: after each part, and on attention weights.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, state: Tensor, positions: Tensor, memory: TokenSequence) -> Tensor:
        """State and positions of the queries B x Q x dim -> B x Q x dim."""
        key = state + positions
        mixed, _ = self.self_attn(key, key, state, need_weights=False)
        state = self.norm1(state + self.dropout(mixed))
        attended, _ = self.cross_attn(
            state + positions,
            memory.keys,
            memory.values,
            key_padding_mask=memory.padding,
            need_weights=False,
        )
        state = self.norm2(state + self.dropout(attended))
        hidden = self.linear2(self.dropout.after_relu(self.linear1(state)))
        return self.norm3(state + self.dropout(hidden))


class DetrDecoder(nn.Module):
    """A stack of layers and one norm, which every layer's output goes through on its way out.

    Args:
        layers: how many.
        dim, heads, feedforward, dropout: see `DetrDecoderLayer`.
    """

    def __init__(self, layers: int, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DetrDecoderLayer(dim, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        xavier(self)

    def forward(self, positions: Tensor, memory: TokenSequence) -> list[Tensor]:
        """Normed states B x Q x dim of every layer. Queries are their positions alone: their content starts
        at zero, so that the first self-attention has only its biases to work with."""
        state, states = torch.zeros_like(positions), []
        for layer in self.layers:
            state = layer(state, positions, memory)
            states.append(self.norm(state))
        return states
