"""Open Images' measures of relations: recall, and average precision of relations and of phrases.

As RLIPv2 has them: the best K pairs of an image, suppression of near repetitions, then matching of both boxes
(`RelD`) and of the box around both (`PhrD`, phrases suppressed again at an IoU of a half). Kinds are triplets
(subject, predicate, object); the other convention pools the triplets of a predicate (RelDN, BGNN, SGTR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relforge.evaluation.kind_matches import MIN_IOU, Coded, KindMatches, Rule
from relforge.evaluation.overlap import pixels_inside
from relforge.evaluation.pair_nms import PairNms, best_of_images, suppress, suppress_boxes
from relforge.evaluation.pairs import Kind
from relforge.evaluation.ranking import (
    average_precisions,
    best_gold,
    candidates,
    eleven_point,
    first_claims,
)

RULE = Rule(pixels_inside)
_PHRASE_IOU = 0.5


@dataclass(frozen=True)
class Ranked:
    """Detections and whether they are right.

    Args:
        kind, image: n codes.
        score: n.
        correct: n.
        positives: gold rows of every kind.
    """

    kind: np.ndarray
    image: np.ndarray
    score: np.ndarray
    correct: np.ndarray
    positives: np.ndarray

    def merged(self, group: np.ndarray) -> Ranked:
        """Kinds as groups: `group` gives the group of every kind."""
        positives = np.bincount(group, self.positives).astype(int)
        return replace(self, kind=group[self.kind], positives=positives)

    def average_precision(self) -> np.ndarray:
        """Eleven-point, of every kind."""
        order = np.lexsort((self.image, -self.score, self.kind))
        return average_precisions(self.kind[order], self.correct[order], self.positives, eleven_point)

    def mean(self, values: np.ndarray, weighted: bool) -> float:
        """Of values by kind, over the kinds that the gold has."""
        known = self.positives > 0
        return float(np.average(values[known], weights=self.positives[known] if weighted else None))

    def recall(self, weighted: bool, detected_only: bool = False) -> float:
        """Share of the gold that is found: pooled where `weighted`, else the mean over kinds.

        Args:
            detected_only: leave out kinds without a detection, as published phrase recalls do.
        """
        found = np.bincount(self.kind[self.correct], minlength=len(self.positives))
        known = self.positives > 0
        if detected_only:
            known &= np.bincount(self.kind, minlength=len(self.positives)) > 0
        if not known.any():
            return 0.0
        if weighted:
            return float(found[known].sum() / self.positives[known].sum())
        return float(np.mean(found[known] / self.positives[known]))


def rank(
    found: Coded, gold: Coded, boxed: np.ndarray, kinds: int, top: int, nms: PairNms | None, published: bool
) -> tuple[Ranked, Ranked]:
    """Relations and phrases.

    Args:
        found: detections of every kind, listed in the gold or not.
        boxed: whether each image has annotated boxes.
        kinds: how many there are.
        top: pairs of an image that count.
        published: as RLIPv2: relations on images without boxes are left out, and after suppression the
            overlap of a phrase is read from the list before it was sorted.
    """
    found = found.take(best_of_images(found.image, found.score, top))
    if nms is not None:
        group = found.image * kinds + found.kind
        found = found.take(suppress(group, found.subject_box, found.object_box, found.score, nms))
    counted = found.take(boxed[found.image]) if published else found
    matches = KindMatches(counted, gold, kinds, RULE)
    rows, correct = matches.ranked(counted.score)
    positives = matches.positives
    relations = Ranked(counted.kind[rows], counted.image[rows], counted.score[rows], correct, positives)
    return relations, _phrases(found, gold, kinds, nms is not None, published, positives)


def _phrases(
    found: Coded, gold: Coded, kinds: int, suppressed: bool, published: bool, positives: np.ndarray
) -> Ranked:
    box, gold_box = (_around(pairs) for pairs in (found, gold))
    if suppressed:
        kept = suppress_boxes(found.image * kinds + found.kind, box, found.score, _PHRASE_IOU)
        found, box = found.take(kept), box[kept]
    order = np.lexsort((-found.score, found.image))
    # where the overlap of each sorted phrase is read
    read = np.argsort(found.image, kind="stable") if published else order
    image = found.image[order]
    row, place = candidates(image * kinds + found.kind[read], gold.image * kinds + gold.kind)
    overlap = pixels_inside(box[read][row], gold_box[place])
    fits = overlap >= MIN_IOU
    best, claimed, _ = best_gold(row[fits], place[fits], overlap[fits])
    claim = np.full(len(order), -1)
    claim[best] = claimed
    correct = first_claims(claim)
    kind = found.kind[order]
    counts = positives[kind] > 0
    return Ranked(kind[counts], image[counts], found.score[order][counts], correct[counts], positives)


def _around(pairs: Coded) -> np.ndarray:
    """n x 4, the box around subject and object."""
    low = np.minimum(pairs.subject_box[:, :2], pairs.object_box[:, :2])
    return np.concatenate([low, np.maximum(pairs.subject_box[:, 2:], pairs.object_box[:, 2:])], 1)


def measures_of(
    at_50: tuple[Ranked, Ranked], at_100: tuple[Ranked, Ranked], kinds: Sequence[Kind], published: bool
) -> dict[str, float]:
    """Every number, by name; `by predicate` in the second convention."""
    names = list(dict.fromkeys(kind[1] for kind in kinds))
    group = np.array([names.index(kind[1]) for kind in kinds], int)
    pooled_50, pooled_100 = ((parts[0].merged(group), parts[1].merged(group)) for parts in (at_50, at_100))
    found: dict[str, float] = {}
    for suffix, parts_50, parts_100 in (("", at_50, at_100), (" by predicate", pooled_50, pooled_100)):
        recall = parts_50[0].recall(True)
        if not suffix:
            found["recall@50"] = recall
            found["recall@100"] = parts_100[0].recall(True)
            found["phrase recall@50"] = parts_50[1].recall(True, published)
            found["phrase recall@100"] = parts_100[1].recall(True, published)
        found[f"mean_recall@50{suffix}"] = parts_50[0].recall(False)
        found[f"mean_recall@100{suffix}"] = parts_100[0].recall(False)
        found[f"phrase mean_recall@50{suffix}"] = parts_50[1].recall(False, published)
        found[f"phrase mean_recall@100{suffix}"] = parts_100[1].recall(False, published)
        for cut, parts in ((50, parts_50), (100, parts_100)):
            for name, part in zip(("rel", "phr"), parts, strict=True):
                values = part.average_precision()
                found[f"mAP_{name}@{cut}{suffix}"] = part.mean(values, False)
                found[f"wmAP_{name}@{cut}{suffix}"] = part.mean(values, True)
        for name, kind in (("score_wtd", "wmAP"), ("score", "mAP")):
            precision = found[f"{kind}_rel@100{suffix}"] + found[f"{kind}_phr@100{suffix}"]
            found[f"{name}{suffix}"] = 0.2 * recall + 0.4 * precision
    return found
