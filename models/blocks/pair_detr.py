"""The network of the DETR line with closed labels: five stages, of which a method chooses two."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.detr_encoder import DetrEncoder
from relforge.models.blocks.heads import LinearClassifier
from relforge.models.blocks.layers import MLP
from relforge.models.blocks.pair_layout import PairQueryDecoder
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.relation_stage import RelationStage
from relforge.models.blocks.single_scale import SingleScale


class PairDetr(nn.Module):
    """Last map -> tokens -> encoder -> pair queries -> relation stage -> linear classifiers.

    All layers share their heads. Where pair decoder and relation stage differ in depth, the last layers of
    both are supervised together.

    Args:
        backbone: images to maps; the last one is used.
        tokens: that map to tokens.
        encoder: of the tokens.
        pairs: pair queries and their decoder.
        relations: pair states to relation states.
        classifier: with one head for all layers.
        dim: width of the model.
        subject_class: classify subjects too, by the objects' head.
        pair_head: B x P x dim to two logits, whether a query holds a pair; None: no such head (CDN).
    """

    def __init__(
        self,
        backbone: Backbone,
        tokens: SingleScale,
        encoder: DetrEncoder,
        pairs: PairQueryDecoder,
        relations: nn.Module,
        classifier: LinearClassifier,
        *,
        dim: int,
        subject_class: bool = False,
        pair_head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokens = tokens
        self.encoder = encoder
        self.pairs = pairs
        self.relations: RelationStage = relations
        self.subject_box = MLP(dim, dim, dim, 4)
        self.object_box = MLP(dim, dim, dim, 4)
        self.classifier = classifier
        self.subject_class = subject_class
        self.pair_head = pair_head

    def forward(
        self, images: Tensor, labels: Labels, padding: Tensor | None = None, given: PairBatch | None = None
    ) -> Output:
        """Predictions of every supervised layer.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: the model's own.
            padding: B x H x W, True where padded; None when nothing is.
            given: none, the model searches.
        """
        tokens = self.tokens(self.backbone(images)[-1], padding)
        memory = replace(tokens, values=self.encoder(tokens)[-1])
        pairs = self.pairs(memory)
        object_logits = [self.classifier.entities(0, state) for state in pairs.objects]
        relations = self.relations(pairs.pairs, object_logits, memory)
        depth = min(len(pairs.pairs), len(relations.layers))
        layers = zip(
            pairs.subjects[-depth:],
            pairs.objects[-depth:],
            object_logits[-depth:],
            relations.layers[-depth:],
            strict=True,
        )
        return Output([self._predict(*layer) for layer in layers], terms=relations.terms)

    def _predict(
        self, subjects: Tensor, objects: Tensor, object_logits: Tensor, relations: Tensor
    ) -> Prediction:
        return Prediction(
            subject_boxes=self.subject_box(subjects).float().sigmoid(),
            object_boxes=self.object_box(objects).float().sigmoid(),
            subject_logits=self.classifier.entities(0, subjects) if self.subject_class else None,
            object_logits=object_logits,
            relation_logits=self.classifier.relations(0, relations),
            pair_logits=None if self.pair_head is None else self.pair_head(objects),
        )


class Widths(Protocol):
    """The sizes that every method of the line has."""

    @property
    def dim(self) -> int:
        """Width of the model."""

    @property
    def heads(self) -> int:
        """Attention heads."""

    @property
    def pairs(self) -> int:
        """Pair queries N_Q."""

    @property
    def encoder_layers(self) -> int:
        """Of the encoder."""

    @property
    def decoder_layers(self) -> int:
        """Of the pair decoder."""

    @property
    def feedforward(self) -> int:
        """Hidden width."""

    @property
    def dropout(self) -> float:
        """After each part."""

    @property
    def subject_class(self) -> bool:
        """Classify subjects too."""


def build_pair_detr(
    sizes: Widths,
    backbone: Backbone,
    classifier: LinearClassifier,
    *,
    layout: str,
    relations: nn.Module,
    pair_head: nn.Module | None = None,
) -> PairDetr:
    """A model with random weights.

    Args:
        sizes: widths and depths.
        backbone: images to maps.
        classifier: with one head for all layers; "no objects" has a logit of its own.
        layout: see `PairQueryDecoder`.
        relations, pair_head: see `PairDetr`.
    """
    shape = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout
    return PairDetr(
        backbone,
        SingleScale(backbone.channels[-1], sizes.dim),
        DetrEncoder(sizes.encoder_layers, *shape),
        PairQueryDecoder(layout, sizes.pairs, sizes.dim, DetrDecoder(sizes.decoder_layers, *shape)),
        relations,
        classifier,
        dim=sizes.dim,
        subject_class=sizes.subject_class,
        pair_head=pair_head,
    )
