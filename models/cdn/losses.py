"""The losses of CDN in both stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.models.cdn.reweighting import (
    LabelQueue,
    RareLabels,
    count_objects,
    count_relations,
    weights_of,
    with_background,
)
from relforge.models.training.assign import Hungarian
from relforge.models.training.criterion import Criterion
from relforge.models.training.label_counts import LabelCounts
from relforge.models.training.terms import BOX_TERMS, AllLabels, AllRelations, Assigned, Term

PARTS = ("objects", "relations")


def losses(
    *,
    published: bool = False,
    relations: str = "focal",
    reweight: Sequence[str] = (),
    static: bool = False,
    queue: int = 4704,
    counts: LabelCounts | None = None,
    weights: Mapping[str, float] | None = None,
) -> Criterion:
    """Stage one by default; with `reweight` the decoupled stage two, which starts from a finished stage one.

    Args:
        published: no difference here.
        relations: a key of `RELATION_LOSSES`.
        reweight: `objects` and `relations` (published for HICO-DET), or `relations` alone (V-COCO): rare
            labels weigh more.
        static: by the training set alone, not by the last batches too (`--use_static_weights`).
        queue: how many calls (decoder layers of a step) count as the last batches.
        counts: of the training set.
        weights: name of a term -> weight.

    Raises:
        ValueError: `reweight` names something else, or has no counts.
    """
    if isinstance(reweight, str) or any(part not in PARTS for part in reweight):
        raise ValueError(f"losses.reweight is {reweight!r}; give a list of {' and '.join(PARTS)}")
    objects = verbs = None
    if reweight:
        if counts is None:
            raise ValueError("losses.reweight needs the label counts of the training data")
        rows = counts.objects.sum(1)
        if "objects" in reweight:
            objects = _rare(rows, count_objects(len(rows)), static, queue)
        if "relations" in reweight:
            verbs = _rare(counts.relations, count_relations, static, queue)
    terms: dict[str, Term] = {
        **BOX_TERMS,
        "labels": AllLabels(weigh=objects),
        "relations": AllRelations(relations, weigh=verbs),
        "matching": matching,
    }
    return Criterion(Hungarian(), terms, weights or {})


def matching(layer: Assigned) -> Tensor | None:
    """Cross-entropy of whether a query holds a pair, over all queries; None in a model that does not say."""
    logits = layer.prediction.pair_logits
    if logits is None:
        return None
    holds = torch.zeros(logits.shape[:2], dtype=torch.long, device=logits.device)
    holds[layer.index] = 1
    return F.cross_entropy(logits.flatten(0, 1).float(), holds.flatten())


def _rare(counts: Tensor, count: Callable[[Tensor], Tensor], static: bool, queue: int) -> RareLabels:
    fixed = weights_of(with_background(counts))
    return RareLabels(fixed, count, None if static else LabelQueue(queue))
