"""Iterative SGG in the zoo; a recipe's `assign` trains it as SpeaQ does."""

from __future__ import annotations

from relforge.models.blocks.prediction import Prediction, repeat_pairs
from relforge.models.detections import Detections, detections_from
from relforge.models.family import Family, Published
from relforge.models.speaq.losses import triplet_losses
from relforge.models.speaq.model import build
from relforge.models.speaq.published import blueprint_of, rename
from relforge.models.speaq.sizes import Sizes


def detections(prediction: Prediction) -> list[Detections]:
    """One entry for every predicate query, with the boxes and classes of its pair; predicates exclude each
    other, and "no relation" takes part in their softmax."""
    probability = prediction.relation_logits.float().softmax(-1)[..., :-1]
    return detections_from(repeat_pairs(prediction), probability)


FAMILY = Family(
    name="speaq",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=triplet_losses,
    detections=detections,
    published=Published(blueprint_of, rename),
)
