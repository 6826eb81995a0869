"""The network of RLIPv2-ParSeD, RLIPv2-ParSeDA and the R-Tagger.

Parallel entity detection (subjects and objects as queries of one decoder), then sequential relation inference
(one query per pair), every layer supervised (RLIPv2, §4.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.branch_fusion import MultiBranchFusion
from relforge.models.blocks.decoder import Decoder, Memory
from relforge.models.blocks.decoding import decode_entities, decode_pairs, detach
from relforge.models.blocks.encoder import FusionEncoder
from relforge.models.blocks.heads import BoxHeads, LabelClassifier
from relforge.models.blocks.language import Resizer
from relforge.models.blocks.ordered_pair import OrderedPair
from relforge.models.blocks.pair_pixels import PairPixels, Shown
from relforge.models.blocks.pair_queries import PairBatch, PairQueries
from relforge.models.blocks.predicate_copies import PredicateCopies
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.pyramid import Pyramid, valid_ratio
from relforge.models.blocks.queries import AnchorQueries, LearnedQueries, Queries
from relforge.models.blocks.text import TextEncoder


class RelationModel(nn.Module):
    """Composed by the builders in `builders.py`; its parts are the constructor's arguments.

    Args:
        backbone: images to maps.
        pyramid: maps to tokens.
        text_encoder: labels to vectors.
        encoder: tokens and labels, fused.
        resizer: label states to the model's width.
        queries: makes the start of the decoders.
        entity_decoder: over 2P queries.
        relation_decoder: over P queries.
        subject_boxes, object_boxes: heads for the layers of both decoders, entity decoder first.
        classifier: label similarities.
        pair_fusion: mixes subject and object state into a relation query; None sums them into its position.
        ordered_pair: starts the relation queries of given pairs from subject and object side by side.
        predicate_copies: makes several relation queries of each pair; None: one.
        pair_pixels: adds what the crop of a given pair shows; None: nothing does, as published.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        pyramid: Pyramid,
        text_encoder: TextEncoder,
        encoder: FusionEncoder,
        resizer: Resizer,
        queries: LearnedQueries | AnchorQueries | PairQueries,
        entity_decoder: Decoder,
        relation_decoder: Decoder,
        subject_boxes: BoxHeads,
        object_boxes: BoxHeads,
        classifier: LabelClassifier,
        pair_fusion: MultiBranchFusion | None = None,
        ordered_pair: OrderedPair | None = None,
        predicate_copies: PredicateCopies | None = None,
        pair_pixels: PairPixels | None = None,
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
        self.predicate_copies = predicate_copies
        self.pair_pixels = pair_pixels

    @property
    def max_pairs(self) -> int:
        """Pair queries of one decoder batch."""
        return self.queries.pairs

    @property
    def masks_padding(self) -> bool:
        """Whether padded labels change nothing."""
        return self.encoder.mask_fusion

    @property
    def heads(self) -> int:
        """Attention heads of the entity decoder."""
        return int(self.entity_decoder.layers[0].self_attn.num_heads)

    def forward(
        self,
        images: Tensor,
        labels: Labels,
        padding: Tensor | None = None,
        given: PairBatch | None = None,
    ) -> Output:
        """Encode the texts and the images, make queries, decode.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: shared by all images.
            padding: B x H x W, True where padded; None when nothing is.
            given: pairs of the R-Tagger; None for the members that search.
        """
        features = self.encode_labels(labels).features
        assert features is not None
        objects = len(labels.objects)
        memory = self.encode(images, features, padding)
        return Output(self.decode(memory, objects, given), features[objects:])

    def encode_labels(self, labels: Labels) -> Labels:
        """The labels with their text features."""
        return self.text_encoder.encode_labels(labels)

    def encode(
        self,
        images: Tensor,
        features: Tensor,
        padding: Tensor | None = None,
        label_padding: Tensor | None = None,
    ) -> Memory:
        """Everything that depends on images and labels but not on pairs.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            features: pooled label features, T x text_dim (shared) or B x T x text_dim.
            padding: B x H x W, True where padded; None when nothing is.
            label_padding: B x T, True where a label is only padding.
        """
        tokens = self.pyramid(self.backbone(images), padding)
        if features.dim() == 2:
            features = features.expand(len(images), -1, -1)
        values, states = self.encoder(tokens, features, label_padding)
        resized = [self.resizer(state) for state in states]
        # text layer k supplies the classifier of decoder layer k; with more fusions they are thinned out
        step = max(1, len(resized) // len(self.entity_decoder.layers))
        memory = Memory.of(tokens, values, resized[::step])
        if self.pair_pixels is not None:
            none = images.new_zeros(images[:, 0].shape, dtype=torch.bool)
            memory.shown = Shown(images, valid_ratio(none if padding is None else padding))
        return memory

    def decode(
        self, memory: Memory, objects: int, given: PairBatch | None = None, *, last_only: bool = False
    ) -> list[Prediction]:
        """Predictions of every decoder layer, the last one last.

        Args:
            memory: of B images.
            objects: how many of the labels are object labels; they come first.
            given: pairs of the R-Tagger, N = B * decoder batches rows, those of an image next to each other.
            last_only: predict from the last layer only.
        """
        queries = self._make_queries(memory, given)
        entities = decode_entities(
            self.entity_decoder, self.subject_boxes, self.object_boxes, queries, memory
        )
        states, boxes = entities.states, entities.boxes
        relations = self._decode_relations(memory, queries, states[-1], boxes[-1])
        if queries.evidence is not None:
            relations = [state + queries.evidence for state in relations]
        layers = range(len(states) - 1 if last_only else 0, len(states))
        return [self._classify(memory, k, states[k], *boxes[k], relations[k], objects) for k in layers]

    def _make_queries(self, memory: Memory, given: PairBatch | None) -> Queries:
        batch_size = len(memory.values)
        if not isinstance(self.queries, PairQueries):
            if given is not None:
                raise ValueError("this model searches for pairs: it cannot be given any")
            return self.queries(batch_size)
        if given is None:
            raise ValueError("this model scores pairs: it must be given some")
        features = memory.labels[-1].repeat_interleave(len(given.boxes) // batch_size, 0)
        queries = self.queries(given, features)
        if self.pair_pixels is not None:
            assert memory.shown is not None
            filled = ~given.key_padding_mask.chunk(2, 1)[0]
            content, queries.evidence = self.pair_pixels(given.boxes, queries.content, filled, memory.shown)
            queries.relation_content = queries.relation_content + content
        return queries

    def _decode_relations(
        self, memory: Memory, queries: Queries, entities: Tensor, boxes: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        """States N x P x dim of every layer of the relation decoder, which starts from the decoded pairs."""
        subjects, objects = entities.chunk(2, 1)
        state, positions = queries.relation_content, queries.relation_positions
        if self.pair_fusion is not None:
            state = state + self.pair_fusion(subjects, objects)
        else:
            positions = subjects + objects
        if self.ordered_pair is not None:
            assert queries.positions is not None
            subject_positions, object_positions = queries.positions.chunk(2, 1)
            state = state + self.ordered_pair(subjects + subject_positions, objects + object_positions)
        references, copies = detach(boxes), self.predicate_copies
        if copies is not None:
            state, positions = copies(state), None if positions is None else copies.repeat(positions)
            references = copies.repeat(references[0]), copies.repeat(references[1])
        mask = queries.key_padding_mask
        return decode_pairs(
            self.relation_decoder,
            self.subject_boxes,
            self.object_boxes,
            state,
            positions,
            references,
            memory,
            first_head=len(self.entity_decoder.layers),
            key_padding_mask=None if mask is None else mask[:, : queries.pairs],
        ).states

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
        repeats = len(entities) // len(memory.values)
        labels = self.classifier.project(memory.labels[layer]).repeat_interleave(repeats, 0)
        subject_states, object_states = entities.chunk(2, 1)
        return Prediction(
            subject_boxes=subject_boxes,
            object_boxes=object_boxes,
            subject_logits=self.classifier.entities(subject_states, labels[:, :objects]),
            object_logits=self.classifier.entities(object_states, labels[:, :objects]),
            relation_logits=self.classifier.relations(relations, labels[:, objects:]),
        )
