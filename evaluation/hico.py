"""Found pairs against annotated ones: the HICO-DET measure, for people or for any subject.

A found pair is right when an annotated pair of its kind has both boxes at an IoU of at least a half. Per
kind the found pairs of all pictures are ranked by score; the average precision is interpolated at eleven
recalls, and the mean runs over the kinds that the annotation has (reference §4.1, "Default" setting: every
picture takes part in every kind).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relforge.evaluation.pairs import Kind, Pairs, iou

PERSON = "person"
_HALF = 0.5
_RECALLS = np.arange(11) / 10


@dataclass(frozen=True)
class DetectionQuality:
    """Results.

    Args:
        average_precision: of every kind that the annotation has.
        gold: annotated pairs of every kind.
        found: found pairs of those kinds.
    """

    average_precision: dict[Kind, float]
    gold: dict[Kind, int]
    found: int

    def mean(self, among: Callable[[Kind], bool] = lambda kind: True) -> float:
        """Mean average precision over the kinds `among` chooses; 0 where there are none."""
        values = [value for kind, value in self.average_precision.items() if among(kind)]
        return float(np.mean(values)) if values else 0.0


def evaluate(found: Pairs, gold: Pairs, subject: str | None = PERSON) -> DetectionQuality:
    """Compare.

    Args:
        found: scored pairs; those of a kind the annotation does not have count nowhere, as in HICO-DET.
        gold: annotated pairs.
        subject: only pairs with that subject class (human-object interactions); None: all pairs.
    """
    if subject is not None:
        found, gold = (pairs.take(pairs.subject == subject) for pairs in (found, gold))
    wanted, said = _by_kind(gold), _by_kind(found)
    precision, counts, used = {}, {}, 0
    for kind, rows in wanted.items():
        own = found.take(said.get(kind, np.zeros(0, int)))
        held = gold.take(rows)
        precision[kind] = _average_precision(_right(own, held), len(held))
        counts[kind] = len(held)
        used += len(own)
    return DetectionQuality(precision, counts, used)


def _by_kind(pairs: Pairs) -> dict[Kind, np.ndarray]:
    rows: dict[Kind, list[int]] = defaultdict(list)
    for row, kind in enumerate(pairs.kinds()):
        rows[kind].append(row)
    return {kind: np.array(rows[kind]) for kind in sorted(rows)}


def _right(found: Pairs, gold: Pairs) -> np.ndarray:
    """Of one kind: whether each found pair, best score first, is right.

    A found pair answers for the annotated pair that it fits best; where a better scored one has taken that
    pair it is wrong, even if another one would fit (reference §4.1, step 3).
    """
    places: dict[object, list[int]] = defaultdict(list)
    for row, image in enumerate(gold.image.tolist()):
        places[image].append(row)
    taken = np.zeros(len(gold), bool)
    right = np.zeros(len(found), bool)
    for rank, row in enumerate(np.argsort(-found.score, kind="stable")):
        here = places.get(found.image[row])
        if not here:
            continue
        fit = np.minimum(
            iou(found.subject_box[row], gold.subject_box[here]),
            iou(found.object_box[row], gold.object_box[here]),
        )
        best = here[int(np.argmax(fit))]
        if fit.max() >= _HALF and not taken[best]:
            taken[best] = right[rank] = True
    return right


def _average_precision(right: np.ndarray, positives: int) -> float:
    """Mean of the best precision at recalls 0, 0.1, ..., 1."""
    if not len(right):
        return 0.0
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(right) + 1), hits / positives
    best = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(recall, _RECALLS - 1e-9)
    return float(np.where(first < len(best), best[np.minimum(first, len(best) - 1)], 0.0).mean())
