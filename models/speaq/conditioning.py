"""How the three decoders of Iterative SGG know of each other (NeurIPS 2022, §3.2)."""

from __future__ import annotations

from torch import Tensor, nn


class ConditionedPosition(nn.Module):
    """Query positions that depend on what other decoders have found: attention, added to a learned position.

    Args:
        dim: width of the model.
        heads: attention heads.
        dropout: on attention weights and on what is added.
        width: of what is attended to.
    """

    def __init__(self, dim: int, heads: int, dropout: float, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, dropout, kdim=width, vdim=width, batch_first=True)
        self.residual = residual(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, learned: Tensor, positions: Tensor, found: Tensor) -> Tensor:
        """Learned positions B x Q x dim; what was found, and its positions, B x S x width -> B x Q x dim."""
        mixed, _ = self.attention(learned, found + positions, found, need_weights=False)
        return learned + self.dropout(self.residual(mixed))


class TripletContext(nn.Module):
    """States that attend to all triplets of the layer before the next layer reads them.

    Args:
        dim: width of the model; a triplet has three times that.
        heads: attention heads.
        dropout: on attention weights and on what is added.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            dim, heads, dropout, kdim=3 * dim, vdim=3 * dim, batch_first=True
        )
        self.residual = residual(dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, positions: Tensor, keys: Tensor, triplets: Tensor) -> Tensor:
        """States and positions B x Q x dim, keys and triplets B x T x 3 dim -> states B x Q x dim."""
        mixed, _ = self.attention(state + positions, keys, triplets, need_weights=False)
        return state + self.norm(self.dropout(self.residual(mixed)))


def residual(dim: int) -> nn.Linear:
    """A linear layer that starts at zero: at first the decoders are three DETRs of their own."""
    layer = nn.Linear(dim, dim)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
