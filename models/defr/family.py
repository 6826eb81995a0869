"""DEFR in the zoo."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.text import TextEncoder
from relforge.models.defr.model import Defr
from relforge.models.defr.published import blueprint_of, rename
from relforge.models.defr.sizes import Sizes
from relforge.models.family import Family, Published
from relforge.models.training.image_losses import interaction_losses


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> Defr:
    """A model with random weights; it has no other backbone than its own transformer.

    Raises:
        ValueError: no interactions to tell apart.
    """
    if not interactions:
        raise ValueError("defr needs interactions, the (verb, object) classes that images are labelled with")
    return Defr(sizes, len(interactions))


FAMILY = Family(
    name="defr",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=interaction_losses,
    targets="images",
    detections=None,
    published=Published(blueprint_of, rename),
    backbone_prefixes=("vit.",),  # published: the same rate as the rows'; the shipped recipes say so
)
