"""The network: words to vectors, vectors in context, decisions about words and pairs of words."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAGS = ("O", "B-ENT", "I-ENT", "B-ATT", "I-ATT")
REACH = 8
"""Distances between two words beyond this many words are distinguished by sign only."""


class WordEncoder(nn.Module):
    """A vector per distinct word, from its own row, its shape and its letter n-grams.

    It takes one word at a time, so at inference its output is kept per word.
    """

    def __init__(self, known: int, buckets: int, shapes: int, width: int, inner: int = 96) -> None:
        super().__init__()
        self.own = nn.Embedding(known + 1, inner)
        self.shape = nn.Embedding(shapes, inner)
        self.grams = nn.EmbeddingBag(buckets, inner, mode="mean")
        self.mix = nn.Linear(2 * inner, width)
        self.norm = nn.LayerNorm(width)
        for table in (self.own, self.shape, self.grams):
            nn.init.normal_(table.weight, std=0.3)

    def forward(
        self, rows: Tensor, shapes: Tensor, grams: Tensor, offsets: Tensor, place: Tensor | None = None
    ) -> Tensor:
        """Vectors of V words.

        Args:
            rows, shapes: (V,) rows of the word and shape tables.
            grams, offsets: flat n-gram rows and where each word's begin.
            place: (V,) which word of `offsets` each word is, where several share one; None: one each.
        """
        spelt = self.grams(grams, offsets) * 2.0
        spelling = (spelt if place is None else spelt[place]) + self.shape(shapes)
        return self.norm(self.mix(torch.cat([self.own(rows), spelling], dim=-1)))  # V x width


class GraphTagger(nn.Module):
    """Words in context and the scores read from them.

    Args:
        width: channels of a word vector.
        hidden: LSTM channels per direction.
        layers: bidirectional LSTM layers.
        frames: number of predicate frames, `no relation` (index 0) included.
        implied: number of attributes that a caption may imply without a word of their own.
        pair: channels of a pair vector.
        filler: channels of the attention from a pair to the word that fills its frame.
    """

    def __init__(
        self,
        *,
        width: int,
        hidden: int,
        layers: int,
        pair: int,
        frames: int,
        implied: int,
        filler: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        context = 2 * hidden
        self.dropout = dropout
        self.lstm = nn.LSTM(width, hidden, layers, batch_first=True, bidirectional=True, dropout=dropout)
        self.tag = nn.Linear(context, len(TAGS))
        self.implied = nn.Linear(context, implied)
        self.subject = nn.Linear(context, 2 * pair)
        self.object = nn.Linear(context, 2 * pair)
        self.distance = nn.Embedding(2 * REACH + 1, pair)
        self.frame_hidden = nn.Linear(2 * pair, pair)
        self.frame = nn.Linear(pair, frames)
        self.query = nn.Linear(2 * pair, filler)
        self.key = nn.Linear(context, filler)
        self.attribute = nn.Linear(context, 2 * pair // 2)
        self.owner = nn.Linear(context, 2 * pair // 2)
        self.arc_distance = nn.Embedding(2 * REACH + 1, pair // 2)
        self.arc = nn.Linear(pair, 1)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def context(self, vectors: Tensor) -> Tensor:
        """B x L x width -> B x L x 2 hidden. Every sentence of the batch has exactly L words."""
        return self.drop(self.lstm(self.drop(vectors))[0])

    def pairs(self, s: Tensor, o: Tensor, gap: Tensor) -> Tensor:
        """Pair vectors P x 2 pair.

        Args:
            s, o: P x 2 pair, projections (`subject`, `object`) of the two words.
            gap: (P,) the object word's index less the subject word's.
        """
        half = s.shape[-1] // 2
        near = self.distance(gap.clamp(-REACH, REACH) + REACH)
        return self.drop(
            torch.cat([F.gelu(s[:, :half] + o[:, :half] + near), s[:, half:] * o[:, half:]], dim=-1)
        )

    def frames(self, pairs: Tensor) -> Tensor:
        """P x frames logits."""
        return self.frame(self.drop(F.gelu(self.frame_hidden(pairs))))

    def arcs(self, a: Tensor, e: Tensor, gap: Tensor) -> Tensor:
        """Logits (A,) that the attribute ending at one word belongs to the entity ending at another.

        Args:
            a, e: A x pair, projections (`attribute`, `owner`) of the two words.
            gap: (A,) the entity word's index less the attribute word's.
        """
        half = a.shape[-1] // 2
        near = self.arc_distance(gap.clamp(-REACH, REACH) + REACH)
        return self.arc(
            self.drop(
                torch.cat([F.gelu(a[:, :half] + e[:, :half] + near), a[:, half:] * e[:, half:]], dim=-1)
            )
        ).squeeze(-1)
