"""ParSe in the zoo."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.detr_decoder import DetrDecoder
from relforge.models.blocks.heads import LinearClassifier
from relforge.models.blocks.pair_detr import PairDetr, build_pair_detr
from relforge.models.blocks.predicate_copies import predicate_copies
from relforge.models.blocks.relation_stage import RelationDecoder
from relforge.models.blocks.text import TextEncoder
from relforge.models.family import Family, Published
from relforge.models.parse.published import blueprint_of, rename
from relforge.models.parse.sizes import Sizes
from relforge.models.training.search_losses import fine_tuning_losses


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
        raise ValueError("parse needs a backbone")
    shape = sizes.dim, sizes.heads, sizes.feedforward, sizes.dropout
    return build_pair_detr(
        sizes,
        backbone,
        LinearClassifier(sizes.dim, len(classes) + 1, len(relations), 1, rare=False),
        layout="split",
        relations=RelationDecoder(
            DetrDecoder(sizes.decoder_layers, *shape), predicate_copies(sizes.dim, sizes.predicate_copies)
        ),
    )


FAMILY = Family(
    name="parse",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=fine_tuning_losses,
    published=Published(blueprint_of, rename),
    all_used=True,
)
