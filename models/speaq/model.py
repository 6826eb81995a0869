"""The network of Iterative SGG (NeurIPS 2022), which SpeaQ (CVPR 2024) trains in another way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.detr_encoder import DetrEncoder
from relforge.models.blocks.layers import MLP
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.single_scale import SingleScale
from relforge.models.blocks.text import TextEncoder
from relforge.models.speaq.decoder import TripletDecoder, TripletStates
from relforge.models.speaq.sizes import Sizes


class IterativeSgg(nn.Module):
    """Last map -> tokens -> encoder -> three conditioned decoders -> linear classifiers and one box head.

    Args:
        sizes: widths and depths.
        backbone: images to maps; the last one is used.
        classes, relations: how many there are; "no objects" and "no relation" have logits of their own, the
            last ones.
    """

    def __init__(self, sizes: Sizes, backbone: Backbone, *, classes: int, relations: int) -> None:
        super().__init__()
        shape = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout
        self.backbone = backbone
        self.tokens = SingleScale(backbone.channels[-1], sizes.dim)
        self.encoder = DetrEncoder(sizes.encoder_layers, *shape)
        self.subject_queries = nn.Embedding(sizes.pairs, sizes.dim)
        self.object_queries = nn.Embedding(sizes.pairs, sizes.dim)
        self.predicate_queries = nn.Embedding(sizes.pairs * sizes.predicate_copies, sizes.dim)
        self.decoder = TripletDecoder(sizes.decoder_layers, *shape, sizes.predicate_copies)
        self.entity_classifier = nn.Linear(sizes.dim, classes + 1)
        self.relation_classifier = nn.Linear(sizes.dim, relations + 1)
        self.box = MLP(sizes.dim, sizes.dim, sizes.dim, 4)  # of subjects, objects and relations

    def forward(
        self, images: Tensor, labels: Labels, padding: Tensor | None = None, given: PairBatch | None = None
    ) -> Output:
        """Predictions of every decoder layer; relations have boxes, and "no relation" as last label.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: the model's own.
            padding: B x H x W, True where padded; None when nothing is.
            given: none, the model searches.
        """
        return Output(self.decode(self.backbone(images)[-1], padding))

    def decode(self, last: Tensor, padding: Tensor | None) -> list[Prediction]:
        """Predictions from the backbone's last map, B x C x h x w."""
        tokens = self.tokens(last, padding)
        memory = replace(tokens, values=self.encoder(tokens)[-1])
        tables = self.subject_queries, self.object_queries, self.predicate_queries
        queries = [table.weight.expand(len(last), -1, -1) for table in tables]
        return [self._predict(states) for states in self.decoder(*queries, memory)]

    def _predict(self, states: TripletStates) -> Prediction:
        return Prediction(
            subject_boxes=self.box(states.subjects).float().sigmoid(),
            object_boxes=self.box(states.objects).float().sigmoid(),
            subject_logits=self.entity_classifier(states.subjects),
            object_logits=self.entity_classifier(states.objects),
            relation_logits=self.relation_classifier(states.predicates),
            relation_boxes=self.box(states.predicates).float().sigmoid(),
        )


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> IterativeSgg:
    """A model with random weights (93.5 M parameters with VG150's labels on ResNet-101, two copies)."""
    if backbone is None:
        raise ValueError("speaq needs a backbone")
    return IterativeSgg(sizes, backbone, classes=len(classes), relations=len(relations))
