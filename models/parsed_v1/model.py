"""The network of ParSeD: parallel entity detection, then sequential relation inference (RLIPv1, §3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.decoder import Decoder, Memory, decoder_layers
from relforge.models.blocks.decoding import decode_entities_then_pairs
from relforge.models.blocks.encoder import Encoder, encoder_layers
from relforge.models.blocks.heads import BoxHeads, LinearClassifier
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.predicate_copies import predicate_copies
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.pyramid import Pyramid
from relforge.models.blocks.queries import LearnedQueries
from relforge.models.blocks.text import TextEncoder
from relforge.models.parsed_v1.sizes import Sizes


class ParSeD(nn.Module):
    """Subjects and objects are queries of one decoder; a pair's relation query starts at its decoded ends.

    Args:
        sizes: widths and depths.
        backbone: images to maps.
        classes, relations: how many there are; "no objects" has a logit of its own.
    """

    def __init__(self, sizes: Sizes, backbone: Backbone, *, classes: int, relations: int) -> None:
        super().__init__()
        widths = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout, sizes.levels
        self.backbone = backbone
        self.pyramid = Pyramid(backbone.channels, sizes.dim, sizes.levels)
        self.encoder = Encoder(encoder_layers(sizes.encoder_layers, *widths))
        self.queries = LearnedQueries(sizes.dim, sizes.pairs)
        self.predicate_copies = predicate_copies(sizes.dim, sizes.predicate_copies)
        self.entity_decoder = Decoder(decoder_layers(sizes.decoder_layers, *widths))
        self.relation_decoder = Decoder(decoder_layers(sizes.decoder_layers, *widths))
        self.subject_boxes = BoxHeads(sizes.dim, 2 * sizes.decoder_layers)
        self.object_boxes = BoxHeads(sizes.dim, 2 * sizes.decoder_layers)
        self.classifier = LinearClassifier(sizes.dim, classes + 1, relations, sizes.decoder_layers)
        self.subject_class = sizes.subject_class

    def forward(
        self, images: Tensor, labels: Labels, padding: Tensor | None = None, given: PairBatch | None = None
    ) -> Output:
        """Predictions of every decoder layer.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: the model's own.
            padding: B x H x W, True where padded; None when nothing is.
            given: none, the model searches.
        """
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
        return Output(
            [
                self._predict(k, entities.states[k], entities.boxes[k], state)
                for k, state in enumerate(relations.states)
            ]
        )

    def _predict(
        self, layer: int, entities: Tensor, boxes: tuple[Tensor, Tensor], relations: Tensor
    ) -> Prediction:
        subjects, objects = entities.chunk(2, 1)
        return Prediction(
            subject_boxes=boxes[0],
            object_boxes=boxes[1],
            subject_logits=self.classifier.entities(layer, subjects) if self.subject_class else None,
            object_logits=self.classifier.entities(layer, objects),
            relation_logits=self.classifier.relations(layer, relations),
        )


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> ParSeD:
    """A model with random weights (41.7 M parameters on ResNet-50 with the labels of HICO-DET)."""
    if backbone is None:
        raise ValueError("parsed_v1 needs a backbone")
    return ParSeD(sizes, backbone, classes=len(classes), relations=len(relations))
