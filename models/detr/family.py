"""DETR in the zoo."""

from __future__ import annotations

from collections.abc import Mapping

from relforge.models.detr.model import build
from relforge.models.detr.published import blueprint_of, published_names, rename
from relforge.models.detr.sizes import Sizes
from relforge.models.family import Family, Published
from relforge.models.training.box_criterion import BoxCriterion


def losses(*, published: bool = False, weights: Mapping[str, float] | None = None) -> BoxCriterion:
    """Cross-entropy with a tenth of the weight on "no objects", L1 and generalised IoU (1, 5, 2).

    Args:
        published: no difference here.
        weights: `labels`, `boxes`, `giou` -> weight.
    """
    return BoxCriterion(weights or {})


FAMILY = Family(
    name="detr",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=losses,
    targets="boxes",
    detections=None,
    published=Published(blueprint_of, rename, published_names),
)
