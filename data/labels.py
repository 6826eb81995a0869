"""The label list of a batch: names of its own, and negatives (Label Sequence Extension, RLIPv1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from relforge.models.blocks.text import NO_OBJECTS


@dataclass(frozen=True)
class LabelList:
    """Labels that one forward pass is asked about.

    Args:
        objects: object names; `NO_OBJECTS` is the last.
        relations: relation names.
        object_index, relation_index: data set code -> index here, -1 where the name is not asked.
    """

    objects: list[str]
    relations: list[str]
    object_index: np.ndarray
    relation_index: np.ndarray

    @property
    def texts(self) -> list[str]:
        """What the text encoder reads: objects first."""
        return [*self.objects, *self.relations]


def extended(own: Iterable[int], counts: np.ndarray, quota: int, rng: np.random.Generator) -> list[int]:
    """Codes of the batch in first-seen order, then negatives drawn by frequency up to the quota.

    Drawn without replacement by Gumbel keys, so it neither scans nor loops, and a vocabulary smaller than
    the quota is simply taken whole. A batch that has more names than the quota keeps them all.
    """
    chosen = list(dict.fromkeys(int(code) for code in own))
    rest = np.setdiff1d(np.flatnonzero(counts > 0), chosen)
    missing = min(quota - len(chosen), len(rest))
    if missing > 0:
        keys = np.log(counts[rest]) + rng.gumbel(size=len(rest))
        chosen += rest[np.argsort(-keys, kind="stable")[:missing]].tolist()
    return chosen


def label_list(
    objects: Sequence[int], relations: Sequence[int], categories: list[str], predicates: list[str]
) -> LabelList:
    """Names and indices of the chosen codes."""
    object_index = np.full(len(categories), -1, np.int64)
    relation_index = np.full(len(predicates), -1, np.int64)
    object_index[list(objects)] = np.arange(len(objects))
    relation_index[list(relations)] = np.arange(len(relations))
    return LabelList(
        [*(categories[c] for c in objects), NO_OBJECTS],
        [predicates[c] for c in relations],
        object_index,
        relation_index,
    )
