"""DETR's encoder: full self-attention over the tokens, post-norm."""

from __future__ import annotations

from torch import Tensor, nn

from relforge.models.blocks.memory_saving import Dropout
from relforge.models.blocks.single_scale import TokenSequence


class DetrEncoderLayer(nn.Module):
    """Self-attention with positions in queries and keys, and a feed-forward.

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
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, positions: Tensor, padding: Tensor | None = None) -> Tensor:
        """Values and positions B x S x dim, padding B x S -> B x S x dim."""
        key = values + positions
        mixed, _ = self.self_attn(key, key, values, key_padding_mask=padding, need_weights=False)
        values = self.norm1(values + self.dropout(mixed))
        hidden = self.linear2(self.dropout.after_relu(self.linear1(values)))
        return self.norm2(values + self.dropout(hidden))


class DetrEncoder(nn.Module):
    """A stack of layers without a norm at the end.

    Args:
        layers: how many.
        dim, heads, feedforward, dropout: see `DetrEncoderLayer`.
    """

    def __init__(self, layers: int, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DetrEncoderLayer(dim, heads, feedforward, dropout) for _ in range(layers))
        xavier(self)

    def forward(self, tokens: TokenSequence) -> list[Tensor]:
        """B x S x dim after every layer; the last one is the memory."""
        states = [tokens.values]
        for layer in self.layers:
            states.append(layer(states[-1], tokens.positions, tokens.padding))
        return states[1:]


def xavier(module: nn.Module) -> None:
    """DETR's start of a transformer, in place: every matrix is Xavier uniform."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
