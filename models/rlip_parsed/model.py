"""The network of RLIP-ParSeD: entities, relations, then the fusion of both with the label texts (RLIPv1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.decoder import Decoder, Memory, decoder_layers
from relforge.models.blocks.decoding import Boxes, decode_entities_then_pairs
from relforge.models.blocks.encoder import Encoder, encoder_layers
from relforge.models.blocks.heads import BoxHeads, LabelClassifier
from relforge.models.blocks.language import Resizer
from relforge.models.blocks.late_fusion import LateFusion
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.predicate_copies import predicate_copies
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.pyramid import Pyramid
from relforge.models.blocks.queries import LearnedQueries
from relforge.models.blocks.text import TextEncoder
from relforge.models.rlip_parsed.sizes import Sizes


class RLIPParSeD(nn.Module):
    """Predictions are those of the fusion's layers: only the decoders' last states enter it.

    Args:
        sizes: widths and depths.
        backbone: images to maps.
        text_encoder: labels to vectors.
    """

    def __init__(self, sizes: Sizes, backbone: Backbone, text_encoder: TextEncoder) -> None:
        super().__init__()
        dense = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout
        widths = *dense, sizes.levels
        count = sizes.decoder_layers
        self.backbone = backbone
        self.pyramid = Pyramid(backbone.channels, sizes.dim, sizes.levels)
        self.text_encoder = text_encoder
        self.resizer = Resizer(text_encoder.width, sizes.dim, sizes.dropout)
        self.encoder = Encoder(encoder_layers(sizes.encoder_layers, *widths))
        self.queries = LearnedQueries(sizes.dim, sizes.pairs)
        self.predicate_copies = predicate_copies(sizes.dim, sizes.predicate_copies)
        self.entity_decoder = Decoder(decoder_layers(count, *widths))
        self.relation_decoder = Decoder(decoder_layers(count, *widths))
        self.subject_boxes = BoxHeads(sizes.dim, 2 * count)
        self.object_boxes = BoxHeads(sizes.dim, 2 * count)
        self.entity_fusion = LateFusion(*dense, count)
        self.relation_fusion = LateFusion(*dense, count)
        self.classifier = LabelClassifier(sizes.dim)

    def forward(
        self,
        images: Tensor,
        labels: Labels,
        padding: Tensor | None = None,
        given: PairBatch | None = None,
        *,
        label_padding: Tensor | None = None,
    ) -> Output:
        """Predictions of every layer of the fusion. The relation features, which pseudo-labels compare, are
        of the model's width, as in the authors' repository (RLIPv2's compares those of the text encoder).

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: shared by all images.
            padding: B x H x W, True where padded; None when nothing is.
            given: none, the model searches.
            label_padding: B x T, True where a label is only padding.
        """
        features = self.encode_labels(labels).features
        assert features is not None
        resized = self.resizer(features)  # T x dim
        tokens = self.pyramid(self.backbone(images), padding)
        memory = Memory.of(tokens, self.encoder(tokens))
        entities, relations = decode_entities_then_pairs(
            self.entity_decoder,
            self.relation_decoder,
            self.subject_boxes,
            self.object_boxes,
            self.queries(len(images)),
            memory,
            self.predicate_copies,
        )
        objects = len(labels.objects)
        texts = resized.expand(len(images), -1, -1)
        masks = (
            (None, None)
            if label_padding is None
            else label_padding.split_with_sizes([objects, texts.shape[1] - objects], 1)
        )
        fused_entities = self.entity_fusion(entities.states[-1], texts[:, :objects], masks[0])
        fused_relations = self.relation_fusion(relations.states[-1], texts[:, objects:], masks[1])
        layers = zip(entities.references, fused_entities, fused_relations, strict=True)
        return Output([self._predict(k, *layer) for k, layer in enumerate(layers)], resized[objects:])

    def encode_labels(self, labels: Labels) -> Labels:
        """The labels with their text features."""
        return self.text_encoder.encode_labels(labels)

    def _predict(
        self, layer: int, references: Boxes, entities: tuple[Tensor, Tensor], relations: tuple[Tensor, Tensor]
    ) -> Prediction:
        """Boxes from the fused states too, by the heads that moved the references by the unfused ones; the
        references are those that entered the decoder's layer of the same number."""
        subjects, objects = entities[0].chunk(2, 1)
        object_labels = self.classifier.project(entities[1])
        return Prediction(
            subject_boxes=self.subject_boxes(layer, subjects, references[0]),
            object_boxes=self.object_boxes(layer, objects, references[1]),
            subject_logits=self.classifier.entities(subjects, object_labels),
            object_logits=self.classifier.entities(objects, object_labels),
            relation_logits=self.classifier.relations(relations[0], self.classifier.project(relations[1])),
        )


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str] = (),
    relations: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
) -> RLIPParSeD:
    """A model with random weights (171.2 M parameters on ResNet-50)."""
    if backbone is None or text_encoder is None:
        raise ValueError("rlip_parsed needs a backbone and a text encoder")
    return RLIPParSeD(sizes, backbone, text_encoder)
