"""QPIC in the zoo."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.heads import LinearClassifier
from relforge.models.blocks.pair_detr import PairDetr, build_pair_detr
from relforge.models.blocks.relation_stage import SamePairs
from relforge.models.blocks.text import TextEncoder
from relforge.models.family import Family, Published
from relforge.models.qpic.published import blueprint_of, rename
from relforge.models.qpic.sizes import Sizes
from relforge.models.training.search_losses import hard_label_losses


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> PairDetr:
    """A model with random weights (41.7 M parameters on ResNet-50 with the labels of HICO-DET)."""
    if backbone is None:
        raise ValueError("qpic needs a backbone")
    classifier = LinearClassifier(sizes.dim, len(classes) + 1, len(relations), 1, rare=False)
    return build_pair_detr(sizes, backbone, classifier, layout="shared", relations=SamePairs())


FAMILY = Family(
    name="qpic",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=hard_label_losses,
    published=Published(blueprint_of, rename),
    all_used=True,
)
