"""The two decoding loops of pair detectors: entities, then pairs (RLIPv1, §3.1; RLIPv2, §4.2).

Boxes are refined from layer to layer, and no gradient flows through the references (Deformable DETR).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.decoder import Decoder, Memory
from relforge.models.blocks.heads import BoxHeads, predict_boxes
from relforge.models.blocks.predicate_copies import PredicateCopies
from relforge.models.blocks.queries import Queries

Boxes = tuple[Tensor, Tensor]
"""Of subjects and of objects, each N x P x 4 cxcywh in [0, 1]; references may be N x P x 2 (centres)."""


@dataclass
class Decoded:
    """What one decoder computed, layer by layer.

    Args:
        states: N x Q x dim of every layer.
        references: that entered every layer.
        boxes: of every layer.
    """

    states: list[Tensor]
    references: list[Boxes]
    boxes: list[Boxes]


def detach(boxes: Boxes) -> Boxes:
    """The same without gradient."""
    return boxes[0].detach(), boxes[1].detach()


def decode_entities(
    decoder: Decoder, subject_boxes: BoxHeads, object_boxes: BoxHeads, queries: Queries, memory: Memory
) -> Decoded:
    """Subjects and objects as 2P queries of one decoder, each with the box heads of its role."""
    decoded = Decoded([], [], [])
    state, references = queries.content, queries.references
    for k in range(len(decoder.layers)):
        state = decoder.step(
            k,
            state,
            queries.positions,
            references,
            memory,
            queries.attention_mask,
            queries.key_padding_mask,
        )
        subjects, objects = state.chunk(2, 1)
        first, second = references.chunk(2, 1)
        boxes = predict_boxes(subject_boxes, object_boxes, k, (subjects, objects), (first, second))
        references = torch.cat(boxes, 1).detach()
        decoded.states.append(state)
        decoded.references.append((first, second))
        decoded.boxes.append(boxes)
    return decoded


def decode_pairs(
    decoder: Decoder,
    subject_boxes: BoxHeads,
    object_boxes: BoxHeads,
    state: Tensor,
    positions: Tensor | None,
    references: Boxes,
    memory: Memory,
    *,
    first_head: int = 0,
    key_padding_mask: Tensor | None = None,
    supervised: bool = False,
) -> Decoded:
    """Pairs as P queries, each at the mean of its subject's and its object's reference.

    Args:
        state, positions: N x P x dim at the start.
        references: at the start; the gradient of layer 0 flows into them unless they are detached.
        memory: of the images.
        first_head: index of the box heads of layer 0.
        key_padding_mask: N x P, True where a query holds no pair.
        supervised: the boxes are predictions. Otherwise they only move the references, and their heads are
            never trained, as published.
    """
    decoded = Decoded([], [], [])
    for k in range(len(decoder.layers)):
        decoded.references.append(references)
        middle = (references[0] + references[1]) / 2
        state = decoder.step(k, state, positions, middle, memory, None, key_padding_mask)
        with torch.set_grad_enabled(supervised and torch.is_grad_enabled()):
            boxes = predict_boxes(subject_boxes, object_boxes, first_head + k, (state, state), references)
        references = detach(boxes)
        decoded.states.append(state)
        decoded.boxes.append(boxes)
    return decoded


def decode_entities_then_pairs(
    entity_decoder: Decoder,
    relation_decoder: Decoder,
    subject_boxes: BoxHeads,
    object_boxes: BoxHeads,
    queries: Queries,
    memory: Memory,
    copies: PredicateCopies | None = None,
) -> tuple[Decoded, Decoded]:
    """Entities, then one relation query per pair, or several: at the mean of its ends' boxes, with the sum of
    their states as position (RLIPv1's ParSeD)."""
    entities = decode_entities(entity_decoder, subject_boxes, object_boxes, queries, memory)
    subjects, objects = entities.states[-1].chunk(2, 1)
    content, positions, references = queries.relation_content, subjects + objects, detach(entities.boxes[-1])
    if copies is not None:
        content, positions = copies(content), copies.repeat(positions)
        references = copies.repeat(references[0]), copies.repeat(references[1])
    relations = decode_pairs(
        relation_decoder,
        subject_boxes,
        object_boxes,
        content,
        positions,
        references,
        memory,
        first_head=len(entity_decoder.layers),
    )
    return entities, relations
