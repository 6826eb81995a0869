"""DEFR: a vision transformer and a classifier of the whole image."""

from __future__ import annotations

from torch import Tensor, nn

from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Labels
from relforge.models.defr.box_masks import class_bias
from relforge.models.defr.head import Classifier
from relforge.models.defr.sizes import Sizes
from relforge.models.defr.start import start_vit
from relforge.models.defr.vit import VisionTransformer

CLIP_STATISTICS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Defr(nn.Module):
    """Args:
    sizes: of the transformer and the classifier.
    classes: interactions, C.
    """

    def __init__(self, sizes: Sizes, classes: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.vit = VisionTransformer(sizes)
        self.head = Classifier(sizes, classes)

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel that images are normalised with."""
        own = "clip" if self.sizes.style == "clip" else "halves"
        return CLIP_STATISTICS if (self.sizes.normalisation or own) == "clip" else HALVES

    @property
    def image_size(self) -> int:
        """Side of the square that images are resized to, pixels; their aspect ratio is given up."""
        return self.sizes.image

    def start_from(self, backbone: str | None, rows: Tensor | None) -> None:
        """Take over pre-trained parts.

        Args:
            backbone: a vision transformer of timm or a CLIP, see `start.read_vit`; None: it stays random.
            rows: C x D rows of a language head; those of a CLIP's text tower are mapped back through the
                visual projection of `backbone`, which is removed: w = P t. None: they stay random.

        Raises:
            FileNotFoundError: there is no such backbone.
            ValueError: weights or rows do not fit.
        """
        projection = None if backbone is None else start_vit(self.vit, backbone)
        if rows is None:
            return
        narrow = rows.ndim == 2 and projection is not None and rows.shape[1] == len(projection)
        if narrow and self.vit.projection is None:
            rows = rows @ projection
        self.head.set_rows(rows)

    def forward(
        self,
        images: Tensor,
        labels: Labels | None = None,
        padding: Tensor | None = None,
        given: PairBatch | None = None,
    ) -> Tensor:
        """Logits B x C of normalised images B x 3 x S x S.

        Images fill the square, so there is no padding; labels are the model's own; no pairs are given.
        """
        logits: Tensor = self.head(self.vit(images))
        return logits

    def pair_logits(
        self, images: Tensor, boxes: Tensor, rows: Tensor, *, mask: str = "intended", layers: int = 1
    ) -> Tensor:
        """Logits P x C of box pairs.

        Args:
            images: B x 3 x S x S.
            boxes: P x 2 x 4 xyxy, pixels of the square.
            rows: P indices of the pairs' images.
            mask: `intended` or `released`, see `box_masks`.
            layers: how many of the last blocks are masked.
        """
        bias = class_bias(boxes, self.sizes.patch, self.sizes.grid, mask)
        logits: Tensor = self.head(self.vit.pair_features(images, bias, rows, layers))
        return logits
