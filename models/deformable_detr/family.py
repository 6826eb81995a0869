"""Deformable DETR in the zoo."""

from __future__ import annotations

from collections.abc import Mapping

from relforge.models.deformable_detr.model import build
from relforge.models.deformable_detr.published import blueprint_of, published_names, rename
from relforge.models.deformable_detr.sizes import Sizes
from relforge.models.family import Family, Published
from relforge.models.training.box_criterion import BoxCriterion


def losses(*, published: bool = False, weights: Mapping[str, float] | None = None) -> BoxCriterion:
    """Focal loss of sigmoids, L1 and generalised IoU, in assignment and training (2, 5, 2).

    Args:
        published: no difference here.
        weights: `labels`, `boxes`, `giou` -> weight.
    """
    return BoxCriterion({"labels": 2.0, **(weights or {})})


FAMILY = Family(
    name="deformable_detr",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=losses,
    targets="boxes",
    detections=None,
    published=Published(blueprint_of, rename, published_names),
)
