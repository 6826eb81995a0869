"""Text side of the encoder: a post-norm transformer layer over labels, and the resizer after it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.memory_saving import Dropout, dot_product_attention, recompute


class LanguageLayer(nn.Module):
    """One RoBERTa layer over the sequence of labels: post-norm, GELU.

    Args:
        dim: width of label vectors.
        heads: attention heads.
        feedforward: width of the hidden layer.
        dropout: after attention and feed-forward, and on attention weights.
        eps: of both layer norms.
    """

    def __init__(
        self, dim: int, heads: int, feedforward: int, dropout: float = 0.1, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.attention_output = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim, eps=eps)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(self, labels: Tensor, attend: Tensor | None = None) -> Tensor:
        """Label states B x T x dim; `attend` B x T is True where a label may be attended to (None: all)."""
        query, key, value = (
            part(labels).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B x heads x T x dim / heads
            for part in (self.query, self.key, self.value)
        )
        mask = None if attend is None else attend[:, None, None]
        mixed = dot_product_attention(query, key, value, mask, self.dropout.p if self.training else 0.0)
        mixed = self.attention_output(mixed.transpose(1, 2).flatten(2))
        labels = self.attention_norm(labels + self.dropout(mixed))
        hidden = recompute(lambda x: self.linear2(F.gelu(x)), self.linear1(labels))
        return self.norm(labels + self.dropout(hidden))


class Resizer(nn.Module):
    """Label states to the model's width: Linear, LayerNorm (eps 1e-12), dropout."""

    def __init__(self, text_dim: int, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.fc = nn.Linear(text_dim, dim)
        self.layer_norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = Dropout(dropout)

    def forward(self, labels: Tensor) -> Tensor:
        return self.dropout(self.layer_norm(self.fc(labels)))
