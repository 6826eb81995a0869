"""The network of Deformable DETR, with and without iterative box refinement (Zhu et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.box_prediction import BoxOutput, BoxPrediction
from relforge.models.blocks.decoder import Decoder, Memory, decoder_layers
from relforge.models.blocks.encoder import Encoder, encoder_layers
from relforge.models.blocks.heads import PRIOR_LOGIT, BoxHeads
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.pyramid import Pyramid
from relforge.models.blocks.text import TextEncoder
from relforge.models.deformable_detr.sizes import Sizes


class DeformableDetr(nn.Module):
    """A learned table holds position and content of every query; a reference point is read off its position.

    Args:
        sizes: widths and depths.
        backbone: images to maps.
        classes: how many there are; each has a sigmoid.
    """

    def __init__(self, sizes: Sizes, backbone: Backbone, *, classes: int) -> None:
        super().__init__()
        widths = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout, sizes.levels
        count = sizes.decoder_layers if sizes.refine else 1  # of heads
        self.backbone = backbone
        self.pyramid = Pyramid(backbone.channels, sizes.dim, sizes.levels, centred=sizes.centred)
        self.encoder = Encoder(encoder_layers(sizes.encoder_layers, *widths))
        self.queries = nn.Embedding(sizes.queries, 2 * sizes.dim)
        self.points = nn.Linear(sizes.dim, 2)
        self.decoder = Decoder(decoder_layers(sizes.decoder_layers, *widths))
        self.boxes = BoxHeads(sizes.dim, count)
        self.class_heads = nn.ModuleList(nn.Linear(sizes.dim, classes) for _ in range(count))
        self.refine = sizes.refine
        nn.init.xavier_uniform_(self.points.weight)
        nn.init.zeros_(self.points.bias)
        for head in self.class_heads:
            nn.init.constant_(head.bias, PRIOR_LOGIT)

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
        tokens = self.pyramid(self.backbone(images), padding)
        memory = Memory.of(tokens, self.encoder(tokens))
        positions, state = self.queries.weight.expand(len(images), -1, -1).chunk(2, -1)
        references = self.points(positions).sigmoid()
        layers = []
        for k in range(len(self.decoder.layers)):
            head = k if self.refine else 0
            state = self.decoder.step(k, state, positions, references, memory)
            boxes = self.boxes(head, state, references)
            layers.append(BoxPrediction(boxes, self.class_heads[head](state), sigmoid=True))
            if self.refine:
                references = boxes.detach()
        return BoxOutput(layers)


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> DeformableDetr:
    """A model with random weights (40 M parameters on ResNet-50 with the labels of COCO)."""
    if backbone is None:
        raise ValueError("deformable_detr needs a backbone")
    return DeformableDetr(sizes, backbone, classes=len(classes))
