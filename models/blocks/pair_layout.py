"""Pair queries of the DETR line: one query for both ends of a pair (QPIC), or one for each (ParSe)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.single_scale import TokenSequence

LAYOUTS = ("shared", "split")


@dataclass
class PairStates:
    """What the pair decoder made of the queries, each a list with one B x P x dim tensor per layer.

    Args:
        subjects, objects: what the ends' boxes and classes are read from.
        pairs: what relations are read or decoded from.
    """

    subjects: list[Tensor]
    objects: list[Tensor]
    pairs: list[Tensor]


class PairQueryDecoder(nn.Module):
    """A table of query positions and the decoder that they go through.

    Args:
        layout: `shared`: a pair is one query, and both ends and the pair have its state. `split`: the table
            has P subjects, then P objects, decoded together, and a pair is the sum of its ends.
        pairs: P.
        dim: width of the model.
        decoder: of the queries.
    """

    def __init__(self, layout: str, pairs: int, dim: int, decoder: DetrDecoder) -> None:
        super().__init__()
        if layout not in LAYOUTS:
            raise ValueError(f"unknown pair layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
        self.layout = layout
        self.queries = nn.Embedding(pairs if layout == "shared" else 2 * pairs, dim)
        self.decoder = decoder

    def forward(self, memory: TokenSequence) -> PairStates:
        """States of every decoder layer, normed."""
        positions = self.queries.weight.expand(len(memory.values), -1, -1)
        states = self.decoder(positions, memory)
        if self.layout == "shared":
            return PairStates(states, states, states)
        halves = [state.chunk(2, 1) for state in states]
        return PairStates([s for s, _ in halves], [o for _, o in halves], [s + o for s, o in halves])
