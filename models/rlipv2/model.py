"""The forward pass shared by RLIPv2-ParSeD, RLIPv2-ParSeDA and the R-Tagger.

Parallel entity detection (subjects and objects as slots of one decoder), then sequential relation
inference (one slot per pair), every layer supervised (paper §4.2, reference §2.6).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.branch_fusion import MultiBranchFusion
from relforge.models.blocks.decoder import Decoder, Memory
from relforge.models.blocks.encoder import FusionEncoder
from relforge.models.blocks.heads import BoxHeads, LabelClassifier
from relforge.models.blocks.language import Resizer
from relforge.models.blocks.ordered_pair import OrderedPair
from relforge.models.blocks.pyramid import Pyramid
from relforge.models.blocks.queries import Queries
from relforge.models.blocks.text import TextEncoder


@dataclass
class Prediction:
    """What one decoder layer says; N rows (pictures or passes), P pair slots.

    Args:
        subject_boxes, object_boxes: N x P x 4 cxcywh in [0, 1].
        subject_logits, object_logits: N x P x (object labels).
        relation_logits: N x P x (relation labels).
    """

    subject_boxes: Tensor
    object_boxes: Tensor
    subject_logits: Tensor
    object_logits: Tensor
    relation_logits: Tensor


class RelationModel(nn.Module):
    """Composed by the builders in `builders.py`; its parts are the constructor's arguments.

    Args:
        backbone: pictures to maps.
        pyramid: maps to tokens.
        text_encoder: labels to vectors.
        encoder: tokens and labels, fused.
        resizer: label states to the model's width.
        queries: makes `Queries`; called by the owner, see `forward` of each family member.
        entity_decoder: over 2P slots.
        relation_decoder: over P slots.
        subject_boxes, object_boxes: heads for the layers of both decoders, entity decoder first.
        classifier: label similarities.
        pair_fusion: mixes subject and object state into a relation slot; None sums them into its position.
        ordered_pair: starts the relation slots of given pairs from subject and object side by side.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        pyramid: Pyramid,
        text_encoder: TextEncoder,
        encoder: FusionEncoder,
        resizer: Resizer,
        queries: nn.Module,
        entity_decoder: Decoder,
        relation_decoder: Decoder,
        subject_boxes: BoxHeads,
        object_boxes: BoxHeads,
        classifier: LabelClassifier,
        pair_fusion: MultiBranchFusion | None = None,
        ordered_pair: OrderedPair | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid
        self.text_encoder = text_encoder
        self.encoder = encoder
        self.resizer = resizer
        self.queries = queries
        self.entity_decoder = entity_decoder
        self.relation_decoder = relation_decoder
        self.subject_boxes = subject_boxes
        self.object_boxes = object_boxes
        self.classifier = classifier
        self.pair_fusion = pair_fusion
        self.ordered_pair = ordered_pair

    def encode(
        self,
        images: Tensor,
        labels: Tensor,
        padding: Tensor | None = None,
        label_padding: Tensor | None = None,
    ) -> Memory:
        """Everything that depends on pictures and labels but not on pairs.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: pooled label features, T x text_dim (shared) or B x T x text_dim.
            padding: B x H x W, True where padded; None when nothing is.
            label_padding: B x T, True where a label is only padding.
        """
        tokens = self.pyramid(self.backbone(images), padding)
        if labels.dim() == 2:
            labels = labels.expand(len(images), -1, -1)
        values, states = self.encoder(tokens, labels, label_padding)
        features = [self.resizer(state) for state in states]
        # text layer k supplies the classifier of decoder layer k; with more fusions they are thinned out
        step = max(1, len(features) // len(self.entity_decoder.layers))
        return Memory(
            values=values,
            shapes=tokens.shapes,
            padding=tokens.padding,
            valid_ratios=tokens.valid_ratios,
            labels=features[::step],
        )

    def decode(
        self, memory: Memory, queries: Queries, objects: int, *, last_only: bool = False
    ) -> list[Prediction]:
        """Predictions of every decoder layer, the last one last.

        Args:
            memory: of B pictures.
            queries: N = B * passes rows, the passes of a picture next to each other.
            objects: how many of the labels are object labels; they come first.
            last_only: classify the last layer only.
        """
        states, boxes = self._entities(memory, queries)
        relations = self._relations(memory, queries, states[-1], boxes[-1])
        layers = range(len(states) - 1 if last_only else 0, len(states))
        return [self._classify(memory, k, states[k], *boxes[k], relations[k], objects) for k in layers]

    def _entities(self, memory: Memory, queries: Queries) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """States N x 2P x dim and (subject, object) boxes of every layer of the entity decoder."""
        slots, references = queries.content, queries.references
        states, boxes = [], []
        for k in range(len(self.entity_decoder.layers)):
            slots = self.entity_decoder.step(
                k,
                slots,
                queries.positions,
                references,
                memory,
                queries.attention_mask,
                queries.key_padding_mask,
            )
            subject_slots, object_slots = slots.chunk(2, 1)
            subject_refs, object_refs = references.chunk(2, 1)
            pair = (
                self.subject_boxes(k, subject_slots, subject_refs),
                self.object_boxes(k, object_slots, object_refs),
            )
            references = torch.cat(pair, 1).detach()
            states.append(slots)
            boxes.append(pair)
        return states, boxes

    def _relations(
        self, memory: Memory, queries: Queries, entities: Tensor, boxes: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        """States N x P x dim of every layer of the relation decoder, which starts from the decoded pairs."""
        subjects, objects = entities.chunk(2, 1)
        slots, positions = queries.relation_content, queries.relation_positions
        if self.pair_fusion is not None:
            slots = slots + self.pair_fusion(subjects, objects)
        else:
            positions = subjects + objects
        if self.ordered_pair is not None:
            assert queries.positions is not None
            subject_at, object_at = queries.positions.chunk(2, 1)
            slots = slots + self.ordered_pair(subjects + subject_at, objects + object_at)
        subject_refs, object_refs = boxes[0].detach(), boxes[1].detach()
        key_padding_mask = (
            None if queries.key_padding_mask is None else queries.key_padding_mask[:, : queries.pairs]
        )
        first_head = len(self.entity_decoder.layers)
        states = []
        for k in range(len(self.relation_decoder.layers)):
            middle = (subject_refs + object_refs) / 2
            slots = self.relation_decoder.step(k, slots, positions, middle, memory, None, key_padding_mask)
            states.append(slots)
            # these heads only move references, so they never learn (reference §7, Q21)
            with torch.no_grad():
                subject_refs = self.subject_boxes(first_head + k, slots, subject_refs)
                object_refs = self.object_boxes(first_head + k, slots, object_refs)
        return states

    def _classify(
        self,
        memory: Memory,
        layer: int,
        entities: Tensor,
        subject_boxes: Tensor,
        object_boxes: Tensor,
        relations: Tensor,
        objects: int,
    ) -> Prediction:
        passes = len(entities) // len(memory.values)
        labels = self.classifier.project(memory.labels[layer]).repeat_interleave(passes, 0)
        subject_slots, object_slots = entities.chunk(2, 1)
        return Prediction(
            subject_boxes=subject_boxes,
            object_boxes=object_boxes,
            subject_logits=self.classifier.entities(subject_slots, labels[:, :objects]),
            object_logits=self.classifier.entities(object_slots, labels[:, :objects]),
            relation_logits=self.classifier.relations(relations, labels[:, objects:]),
        )
