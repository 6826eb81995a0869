"""Where pair queries come from: learned tables (ParSeD), anchors (ParSeDA) or given pairs (R-Tagger)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Queries:
    """Start of a decoder call: subjects first, then as many objects; query j and query P + j are a pair.

    Args:
        content: N x 2P x dim.
        positions: N x 2P x dim, or None where positions come from the anchors.
        references: N x 2P x 2 (centres) or 4 (boxes), in [0, 1].
        relation_content: N x P x dim, learned part of the relation queries.
        relation_positions: N x P x dim, or None where they are made from the decoded pair.
        attention_mask: (N * heads) x 2P x 2P of training, True = must not attend.
        key_padding_mask: N x 2P, True where the query holds no pair.
        evidence: N x P x dim, added to relation states where they are classified; or None.
    """

    content: Tensor
    positions: Tensor | None
    references: Tensor
    relation_content: Tensor
    relation_positions: Tensor | None = None
    attention_mask: Tensor | None = None
    key_padding_mask: Tensor | None = None
    evidence: Tensor | None = None

    @property
    def pairs(self) -> int:
        """Pair queries P."""
        return self.content.shape[1] // 2


class PointReferences(nn.Module):
    """Start centres of subjects and objects, two linear maps of the query position."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.subject = nn.Linear(dim, 2)
        self.object = nn.Linear(dim, 2)
        for layer in (self.subject, self.object):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, positions: Tensor) -> Tensor:
        """Centres N x 2P x 2 of positions N x 2P x dim."""
        subjects, objects = positions.chunk(2, 1)
        return torch.cat([self.subject(subjects), self.object(objects)], 1).sigmoid()


class LearnedQueries(nn.Module):
    """ParSeD: one table holds position, content and relation content of every query.

    Args:
        dim: width of the model.
        pairs: pair queries (N_Q; 100 published).
        relation_position: learn positions of relation queries too (the `vanilla_MBF` variant).
    """

    def __init__(self, dim: int, pairs: int, *, relation_position: bool = False) -> None:
        super().__init__()
        self.pairs = pairs
        self.table = nn.Embedding(2 * pairs, 3 * dim)
        self.points = PointReferences(dim)
        self.relation_position = nn.Embedding(pairs, dim) if relation_position else None

    def forward(self, batch_size: int) -> Queries:
        positions, content, relation = self.table.weight.expand(batch_size, -1, -1).chunk(3, -1)
        first, second = relation.chunk(2, 1)
        learned = self.relation_position
        return Queries(
            content=content,
            positions=positions,
            references=self.points(positions),
            relation_content=first + second,
            relation_positions=None if learned is None else learned.weight.expand(batch_size, -1, -1),
        )


class AnchorQueries(nn.Module):
    """ParSeDA: content tables and one learned anchor box per query (DAB-DETR).

    Args:
        dim: width of the model.
        pairs: pair queries.
    """

    def __init__(self, dim: int, pairs: int) -> None:
        super().__init__()
        self.pairs = pairs
        self.content = nn.Embedding(2 * pairs, dim)
        self.relation_content = nn.Embedding(2 * pairs, dim)
        self.anchors = nn.Embedding(2 * pairs, 4)

    def forward(self, batch_size: int) -> Queries:
        first, second = self.relation_content.weight.expand(batch_size, -1, -1).chunk(2, 1)
        return Queries(
            content=self.content.weight.expand(batch_size, -1, -1),
            positions=None,
            references=self.anchors.weight.sigmoid().expand(batch_size, -1, -1),
            relation_content=first + second,
        )
