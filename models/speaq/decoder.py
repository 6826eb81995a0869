"""Decoders of subjects, objects and predicates side by side, which look at each other in every layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relforge.models.blocks.detr_decoder import DetrDecoderLayer
from relforge.models.blocks.detr_encoder import xavier
from relforge.models.blocks.single_scale import TokenSequence
from relforge.models.speaq.conditioning import ConditionedPosition, TripletContext


@dataclass
class TripletStates:
    """Normed states of one layer: subjects and objects B x P x dim, predicates B x (P * copies) x dim."""

    subjects: Tensor
    objects: Tensor
    predicates: Tensor


class TripletDecoder(nn.Module):
    """In every layer subjects come first, objects at positions that depend on them, predicates at positions
    that depend on both; then all three attend to the triplets.

    Args:
        layers: of each decoder.
        dim, heads, feedforward, dropout: see `DetrDecoderLayer`.
        copies: predicate queries of a pair.
    """

    def __init__(
        self, layers: int, dim: int, heads: int, feedforward: int, dropout: float, copies: int
    ) -> None:
        super().__init__()
        shape = dim, heads, feedforward, dropout

        def stack() -> nn.ModuleList:
            return nn.ModuleList(DetrDecoderLayer(*shape) for _ in range(layers))

        def contexts() -> nn.ModuleList:
            return nn.ModuleList(TripletContext(dim, heads, dropout) for _ in range(layers - 1))

        def positions(width: int) -> nn.ModuleList:
            return nn.ModuleList(ConditionedPosition(dim, heads, dropout, width) for _ in range(layers))

        self.copies = copies
        self.subject_layers, self.object_layers, self.predicate_layers = stack(), stack(), stack()
        for layer in (*self.subject_layers, *self.object_layers, *self.predicate_layers):
            xavier(layer)
        self.object_positions, self.predicate_positions = positions(dim), positions(2 * dim)
        self.subject_contexts, self.object_contexts, self.predicate_contexts = (
            contexts(),
            contexts(),
            contexts(),
        )
        self.entity_norm = nn.LayerNorm(dim)  # of subjects and of objects
        self.predicate_norm = nn.LayerNorm(dim)

    def forward(
        self, subjects: Tensor, objects: Tensor, predicates: Tensor, memory: TokenSequence
    ) -> list[TripletStates]:
        """States of every layer from learned positions; the content of all queries starts at zero.

        Args:
            subjects, objects: B x P x dim.
            predicates: B x (P * copies) x dim; those of a pair next to each other.
            memory: of the images.
        """
        subject, object_, predicate = (torch.zeros_like(start) for start in (subjects, objects, predicates))
        states = []
        for k, subject_layer in enumerate(self.subject_layers):
            subject = subject_layer(subject, subjects, memory)
            object_place = self.object_positions[k](objects, subjects, subject)
            object_ = self.object_layers[k](object_, object_place, memory)
            places, ends = torch.cat([subjects, object_place], -1), torch.cat([subject, object_], -1)
            predicate_place = self.predicate_positions[k](predicates, places, ends)
            predicate = self.predicate_layers[k](predicate, predicate_place, memory)
            states.append(
                TripletStates(
                    self.entity_norm(subject), self.entity_norm(object_), self.predicate_norm(predicate)
                )
            )
            if k == len(self.subject_contexts):
                break
            triplets = torch.cat([self._repeat(ends), predicate], -1)  # B x (P * copies) x 3 dim
            keys = triplets + torch.cat([self._repeat(places), predicate_place], -1)
            subject = self.subject_contexts[k](subject, subjects, keys, triplets)
            object_ = self.object_contexts[k](object_, object_place, keys, triplets)
            predicate = self.predicate_contexts[k](predicate, predicate_place, keys, triplets)
        return states

    def _repeat(self, pairs: Tensor) -> Tensor:
        return pairs.repeat_interleave(self.copies, 1)
