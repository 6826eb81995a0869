"""The network of RLIP-ParSe: pixels and label texts are encoded as one sequence (RLIPv1, §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.detr_encoder import DetrEncoder
from relforge.models.blocks.heads import LabelClassifier
from relforge.models.blocks.language import Resizer
from relforge.models.blocks.layers import MLP
from relforge.models.blocks.pair_layout import PairQueryDecoder
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.predicate_copies import predicate_copies
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.relation_stage import RelationDecoder
from relforge.models.blocks.single_scale import SingleScale, TokenSequence
from relforge.models.blocks.text import TextEncoder
from relforge.models.rlip_parse.sizes import Sizes


class RLIPParSe(nn.Module):
    """The decoders attend to the texts as to the pixels; decoder layer i of D is classified by the texts of
    encoder layer L - D + i.

    Args:
        sizes: widths and depths.
        backbone: images to maps; the last one is used.
        text_encoder: labels to vectors.
    """

    def __init__(self, sizes: Sizes, backbone: Backbone, text_encoder: TextEncoder) -> None:
        super().__init__()
        dim, count = sizes.dim, sizes.decoder_layers
        shape = dim, sizes.heads, sizes.feedforward, sizes.dropout
        self.compared = sizes.compared
        self.backbone = backbone
        self.tokens = SingleScale(backbone.channels[-1], dim)
        self.text_encoder = text_encoder
        self.resizer = Resizer(text_encoder.width, dim, sizes.dropout)
        self.encoder = DetrEncoder(sizes.encoder_layers, *shape)
        self.pairs = PairQueryDecoder("split", sizes.pairs, dim, DetrDecoder(count, *shape))
        copies = predicate_copies(dim, sizes.predicate_copies)
        self.relations = RelationDecoder(DetrDecoder(count, *shape), copies)
        self.subject_box = MLP(dim, dim, dim, 4)
        self.object_box = MLP(dim, dim, dim, 4)
        self.classifier = LabelClassifier(dim)

    def forward(
        self,
        images: Tensor,
        labels: Labels,
        padding: Tensor | None = None,
        given: PairBatch | None = None,
        *,
        label_padding: Tensor | None = None,
    ) -> Output:
        """Predictions of every decoder layer.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: shared by all images.
            padding: B x H x W, True where padded; None when nothing is.
            given: none, the model searches.
            label_padding: B x T, True where a label must not be attended to.
        """
        features = self.encode_labels(labels).features
        assert features is not None
        resized = self.resizer(features)  # T x dim
        pixels = self.tokens(self.backbone(images)[-1], padding)
        tokens = append_texts(pixels, resized.expand(len(images), -1, -1), label_padding)
        encoded = self.encoder(tokens)
        memory = replace(tokens, values=encoded[-1])
        pairs = self.pairs(memory)
        relations = self.relations(pairs.pairs, [], memory).layers
        objects, count = len(labels.objects), len(resized)
        texts = [state[:, -count:] for state in encoded[-len(relations) :]]
        layers = zip(pairs.subjects, pairs.objects, relations, texts, strict=True)
        compared = resized if self.compared == "resized" else features
        return Output([self._predict(objects, *layer) for layer in layers], compared[objects:])

    def encode_labels(self, labels: Labels) -> Labels:
        """The labels with their text features."""
        return self.text_encoder.encode_labels(labels)

    def _predict(
        self, count: int, subjects: Tensor, objects: Tensor, relations: Tensor, texts: Tensor
    ) -> Prediction:
        """Of one layer, from states B x N x dim and texts B x T x dim, the first `count` of objects."""
        projected = self.classifier.project(texts)
        return Prediction(
            subject_boxes=self.subject_box(subjects).float().sigmoid(),
            object_boxes=self.object_box(objects).float().sigmoid(),
            subject_logits=self.classifier.entities(subjects, projected[:, :count]),
            object_logits=self.classifier.entities(objects, projected[:, :count]),
            relation_logits=self.classifier.relations(relations, projected[:, count:]),
        )


def append_texts(pixels: TokenSequence, texts: Tensor, text_padding: Tensor | None) -> TokenSequence:
    """Texts B x T x dim after the pixels, without positions; `text_padding` B x T is True where a text must
    not be attended to."""
    padding = None
    if pixels.padding is not None or text_padding is not None:
        parts = [
            values.new_zeros(values.shape[:2], dtype=torch.bool) if mask is None else mask
            for values, mask in ((pixels.values, pixels.padding), (texts, text_padding))
        ]
        padding = torch.cat(parts, 1)
    return TokenSequence(
        values=torch.cat([pixels.values, texts], 1),
        positions=torch.cat([pixels.positions, torch.zeros_like(texts)], 1),
        padding=padding,
    )


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str] = (),
    relations: Sequence[str] = (),
    interactions: Sequence[tuple[str, str]] = (),
) -> RLIPParSe:
    """A model with random weights (166.6 M parameters on ResNet-50 with roberta-base)."""
    if backbone is None or text_encoder is None:
        raise ValueError("rlip_parse needs a backbone and a text encoder")
    return RLIPParSe(sizes, backbone, text_encoder)
