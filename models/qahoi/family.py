"""QAHOI in the zoo: `qahoi` as published, `qahoi_rlipv2` as RLIPv2's repository has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.text import TextEncoder
from relforge.models.detections import detections_of
from relforge.models.family import Family, Published
from relforge.models.qahoi.detections import best_classes
from relforge.models.qahoi.model import Qahoi
from relforge.models.qahoi.published import blueprint_of, rename, rename_refined
from relforge.models.qahoi.sizes import RefinedSizes, Sizes
from relforge.models.training.search_losses import hard_label_losses


def build(
    sizes: Sizes | RefinedSizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> Qahoi:
    """A model with random weights; the sizes say which of the two."""
    if backbone is None:
        raise ValueError("qahoi needs a backbone")
    refine = isinstance(sizes, RefinedSizes)
    if not refine:
        backbone.requires_grad_(True)  # published: all but the statistics of batch norms is trained
    return Qahoi(
        backbone,
        classes=len(classes),
        relations=len(relations),
        dim=sizes.dim,
        heads=sizes.heads,
        pairs=sizes.pairs,
        layers=(sizes.encoder_layers, sizes.decoder_layers),
        feedforward=sizes.feedforward,
        dropout=sizes.dropout,
        levels=sizes.levels,
        sigmoid_objects=isinstance(sizes, Sizes) and sizes.objects == "sigmoid",
        refine=refine,
    )


QAHOI = Family(
    name="qahoi",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=hard_label_losses,
    detections=best_classes,
    published=Published(blueprint_of, rename),
    all_used=True,
)
QAHOI_RLIPV2 = replace(
    QAHOI,
    name="qahoi_rlipv2",
    sizes=RefinedSizes,
    detections=detections_of,
    published=Published(blueprint_of, rename_refined),
)
