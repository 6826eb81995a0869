"""The network of DETR (Carion et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.box_prediction import BoxOutput, BoxPrediction
from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.detr_encoder import DetrEncoder
from relforge.models.blocks.layers import MLP
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.single_scale import SingleScale
from relforge.models.blocks.text import TextEncoder
from relforge.models.detr.sizes import Sizes


class Detr(nn.Module):
    """A learned table holds the position of every query; all decoder layers share their heads.

    Args:
        sizes: widths and depths.
        backbone: images to maps; the last one is used.
        classes: how many there are; "no objects" has a logit of its own.
    """

    def __init__(self, sizes: Sizes, backbone: Backbone, *, classes: int) -> None:
        super().__init__()
        shape = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout
        self.backbone = backbone
        self.tokens = SingleScale(backbone.channels[-1], sizes.dim)
        self.encoder = DetrEncoder(sizes.encoder_layers, *shape)
        self.queries = nn.Embedding(sizes.queries, sizes.dim)
        self.decoder = DetrDecoder(sizes.decoder_layers, *shape)
        self.box = MLP(sizes.dim, sizes.dim, sizes.dim, 4)
        self.class_head = nn.Linear(sizes.dim, classes + 1)

    def forward(
        self, images: Tensor, labels: Labels, padding: Tensor | None = None, given: PairBatch | None = None
    ) -> BoxOutput:
        """Predictions of every decoder layer.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: the model's own.
            padding: B x H x W, True where padded; None when nothing is.
            given: none.
        """
        tokens = self.tokens(self.backbone(images)[-1], padding)
        memory = replace(tokens, values=self.encoder(tokens)[-1])
        states = self.decoder(self.queries.weight.expand(len(images), -1, -1), memory)
        return BoxOutput(
            [BoxPrediction(self.box(state).sigmoid(), self.class_head(state)) for state in states]
        )


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> Detr:
    """A model with random weights (41.5 M parameters on ResNet-50 with the labels of COCO)."""
    if backbone is None:
        raise ValueError("detr needs a backbone")
    return Detr(sizes, backbone, classes=len(classes))
