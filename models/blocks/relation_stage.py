"""How relations are read from decoded pairs in the DETR line: the protocol, and its two plain forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.predicate_copies import PredicateCopies
from relforge.models.blocks.single_scale import TokenSequence


@dataclass
class RelationStates:
    """What relations are classified from.

    Args:
        layers: B x P x dim, or several queries of each pair next to each other; one per supervised layer, the
            last one last.
        terms: losses that depend on the model alone, by name; see `Output.terms`.
    """

    layers: list[Tensor]
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class RelationStage(Protocol):
    """Decoded pairs to relation states."""

    def __call__(
        self, pairs: list[Tensor], object_logits: list[Tensor], memory: TokenSequence
    ) -> RelationStates:
        """
        Args:
            pairs: B x P x dim of every layer of the pair decoder.
            object_logits: B x P x O of the same layers.
            memory: of the images.
        """


class SamePairs(nn.Module):
    """Relations are read from the pairs as they are (QPIC)."""

    def forward(
        self, pairs: list[Tensor], object_logits: list[Tensor], memory: TokenSequence
    ) -> RelationStates:
        return RelationStates(pairs)


class RelationDecoder(nn.Module):
    """A second decoder, whose query positions are the last pair states (CDN, ParSe). The gradient of the
    relations flows into the pairs.

    Args:
        decoder: of the relations.
        copies: makes several relation queries of each pair; None: one.
    """

    def __init__(self, decoder: DetrDecoder, copies: PredicateCopies | None = None) -> None:
        super().__init__()
        self.decoder = decoder
        self.predicate_copies = copies

    def forward(
        self, pairs: list[Tensor], object_logits: list[Tensor], memory: TokenSequence
    ) -> RelationStates:
        positions = pairs[-1] if self.predicate_copies is None else self.predicate_copies(pairs[-1])
        return RelationStates(self.decoder(positions, memory))
