"""The losses of models that search for pairs, as RLIP's repositories train them."""

from __future__ import annotations

from collections.abc import Mapping

from relforge.models.training.assign import Hungarian
from relforge.models.training.criterion import Criterion
from relforge.models.training.terms import BOX_TERMS, AllLabels, AllRelations, Term

SMOOTHING = 0.1


def search_losses(
    *,
    published: bool = False,
    relations: str = "quality",
    pseudo: bool | None = None,
    subject_class: bool = True,
    weights: Mapping[str, float] | None = None,
) -> Criterion:
    """Queries are assigned by cost; the rest are "no objects", in no relation. For models that read texts.

    Args:
        published: let the gradient of pseudo-label targets flow into the text encoder, as published.
        relations: a key of `RELATION_LOSSES`; `quality` is the published pre-training, `focal` the published
            V-COCO fine-tuning.
        pseudo: add Relation Pseudo-Labels; by default with `quality` only, as in pre-training.
        subject_class: train and match by the subjects' classes too; published without in the fine-tuning of
            RLIP-ParSeD, and of RLIPv2 with few images.
        weights: name of a term -> weight.
    """
    smooth = SMOOTHING if relations == "smooth" else 0.0
    soft = relations == "quality" if pseudo is None else pseudo
    terms: dict[str, Term] = {
        **BOX_TERMS,
        "labels": AllLabels(smooth),
        "relations": AllRelations(relations, pseudo=soft, published=published, smoothing=smooth),
    }
    return Criterion(Hungarian(), terms, weights or {}, subject_class)


def fine_tuning_losses(
    *, published: bool = False, relations: str = "quality", weights: Mapping[str, float] | None = None
) -> Criterion:
    """The same for closed labels, which have no pseudo-labels.

    Args:
        published: no difference here.
        relations: a key of `RELATION_LOSSES`; `quality` as published for HICO-DET, `focal` for V-COCO.
        weights: name of a term -> weight.
    """
    return search_losses(relations=relations, pseudo=False, weights=weights)


def hard_label_losses(
    *, published: bool = False, relations: str = "focal", weights: Mapping[str, float] | None = None
) -> Criterion:
    """The same with hard relation targets by default (QAHOI)."""
    return fine_tuning_losses(relations=relations, weights=weights)
