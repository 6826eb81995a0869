"""The losses of detectors with closed labels, as RLIP's repositories train them on HICO-DET and V-COCO."""

from __future__ import annotations

from collections.abc import Mapping

from relforge.models.training.assign import Hungarian
from relforge.models.training.criterion import Criterion
from relforge.models.training.terms import BOX_TERMS, AllLabels, AllRelations, Term


def fine_tuning_losses(
    *, published: bool = False, relations: str = "quality", weights: Mapping[str, float] | None = None
) -> Criterion:
    """Queries are assigned by cost; the rest are "no objects", in no relation.

    Args:
        published: no difference here.
        relations: a key of `RELATION_LOSSES`; `quality` as published for HICO-DET, `focal` for V-COCO.
        weights: name of a term -> weight.
    """
    terms: dict[str, Term] = {**BOX_TERMS, "labels": AllLabels(), "relations": AllRelations(relations)}
    return Criterion(Hungarian(), terms, weights or {})


def hard_label_losses(
    *, published: bool = False, relations: str = "focal", weights: Mapping[str, float] | None = None
) -> Criterion:
    """The same with hard relation targets by default (QAHOI)."""
    return fine_tuning_losses(published=published, relations=relations, weights=weights)
