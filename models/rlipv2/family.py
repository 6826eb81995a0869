"""The three members in the zoo: RLIPv2-ParSeD and -ParSeDA, which search for pairs, and the R-Tagger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relforge.models.family import Family, Published
from relforge.models.rlipv2.builders import build_parsed, build_parseda, build_rtagger
from relforge.models.rlipv2.denoising import Noise
from relforge.models.rlipv2.published import blueprint_of, rename
from relforge.models.rlipv2.sizes import Sizes
from relforge.models.training.assign import IndexAligned
from relforge.models.training.criterion import Criterion
from relforge.models.training.search_losses import search_losses
from relforge.models.training.terms import BOX_TERMS, assigned_labels, assigned_relations


def tagger_losses(*, published: bool = False, weights: Mapping[str, float] | None = None) -> Criterion:
    """The R-Tagger's losses: query j is trained for pair j; padding counts nowhere.

    Args:
        published: no difference here.
        weights: name of a term -> weight.
    """
    terms = {**BOX_TERMS, "labels": assigned_labels, "relations": assigned_relations}
    return Criterion(IndexAligned(), terms, weights or {})


def without_ordered_pairs(sizes: Sizes) -> Sizes:
    """Sizes for a model that searches: ordered pairs, their geometry and their pixels are for given ones."""
    return replace(sizes, ordered_pairs=False, pair_geometry=False, pair_pixels=0)


PARSED = Family(
    name="parsed",
    sizes=Sizes,
    build=build_parsed,
    labels="open",
    losses=search_losses,
    published=Published(blueprint_of, rename),
    adapt_sizes=without_ordered_pairs,
)
PARSEDA = replace(PARSED, name="parseda", build=build_parseda)
RTAGGER = replace(
    PARSED,
    name="rtagger",
    build=build_rtagger,
    losses=tagger_losses,
    detections=None,
    noise=Noise,
    adapt_sizes=None,
)
