"""Why detections are wrong: the subject's box, the object's box, the relation, or something else.

Of each kind as many detections are looked at as it has annotated pairs, the best by score: all of them would
be right if the model were. Every one gets exactly one verdict, the first that holds of `VERDICTS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relforge.evaluation.hico_quality import Chosen
from relforge.evaluation.kind_matches import MIN_IOU, KindMatches, Rule
from relforge.evaluation.pairs import Kind

VERDICTS = {
    "right": "fits an annotated pair of its kind",
    "repeated": "fits one that a better detection took",
    "relation": "both boxes and classes fit a pair with another relation",
    "subject box": "the object fits a pair of the kind, the subject does not",
    "object box": "the subject fits a pair of the kind, the object does not",
    "both boxes": "the image has a pair of the kind, and neither box fits",
    "class": "both boxes fit a pair with other classes",
    "no such pair": "nothing of the above",
}
"""Verdict -> what it says of a detection."""


@dataclass(frozen=True)
class DetectionErrors:
    """Verdicts.

    Args:
        kinds: every kind.
        kind: code of each detection that was looked at.
        verdict: its verdict, a place in `VERDICTS`.
        missed: annotated pairs that no right detection of these took, per kind.
    """

    kinds: Sequence[Kind]
    kind: np.ndarray
    verdict: np.ndarray
    missed: np.ndarray

    def counts(self) -> dict[str, int]:
        """Verdict -> detections."""
        found = np.bincount(self.verdict, minlength=len(VERDICTS))
        return dict(zip(VERDICTS, found.tolist(), strict=True))

    def by_predicate(self) -> dict[str, dict[str, int]]:
        """Predicate -> verdict -> detections; the predicates with most detections first."""
        names = np.array([kind[1] for kind in self.kinds], object)[self.kind]
        order = [name for name, _ in Counter(names.tolist()).most_common()]
        return {
            name: dict(
                zip(
                    VERDICTS,
                    np.bincount(self.verdict[names == name], minlength=len(VERDICTS)).tolist(),
                    strict=True,
                )
            )
            for name in order
        }


def split_errors(chosen: Chosen, rule: Rule) -> DetectionErrors:
    """The verdict of the best detections of every kind.

    Args:
        chosen: detections and gold as a protocol measures them.
        rule: when a detection fits.
    """
    found, gold, kinds = chosen.found, chosen.gold, chosen.kinds
    matches = KindMatches(found, gold, len(kinds), rule)
    rows, correct = matches.ranked(found.score)
    kind = found.kind[rows]
    first = np.searchsorted(kind, np.arange(len(kinds)))
    best = np.arange(len(rows)) - first[kind] < matches.positives[kind]
    rows, correct, kind = rows[best], correct[best], kind[best]
    names = np.array([list(map(str, one)) for one in kinds], object).reshape(-1, 3)
    order = np.argsort(gold.image, kind="stable")
    starts = np.searchsorted(gold.image[order], np.arange(len(chosen.images) + 1))
    verdicts = list(VERDICTS)
    verdict = np.zeros(len(rows), int)
    for place, (row, right) in enumerate(zip(rows.tolist(), correct.tolist(), strict=True)):
        if right:
            continue
        image = found.image[row]
        near = order[starts[image] : starts[image + 1]]
        fits = [
            _fits(rule, box[row], of_gold[near])
            for box, of_gold in (
                (found.subject_box, gold.subject_box),
                (found.object_box, gold.object_box),
            )
        ]
        own, theirs = names[found.kind[row]], names[gold.kind[near]]
        verdict[place] = verdicts.index(_verdict(own, theirs, *fits))
    taken = np.bincount(kind[correct], minlength=len(kinds))
    return DetectionErrors(kinds, kind, verdict, matches.positives - taken)


def _fits(rule: Rule, box: np.ndarray, others: np.ndarray) -> np.ndarray:
    overlap = rule.overlap(box[None], others)
    return overlap > MIN_IOU if rule.above else overlap >= MIN_IOU


def _verdict(own: np.ndarray, theirs: np.ndarray, subject: np.ndarray, object_: np.ndarray) -> str:
    """Of one wrong detection against the annotated pairs of its image: `theirs` n x 3 names; `subject` and
    `object_`, n, say whose boxes fit."""
    same = theirs == own  # n x 3
    kind, classes = same.all(1), same[:, 0] & same[:, 2]
    both = subject & object_
    if (kind & both).any():
        return "repeated"
    if (classes & both).any():
        return "relation"
    if (kind & object_).any():
        return "subject box"
    if (kind & subject).any():
        return "object box"
    if kind.any():
        return "both boxes"
    return "class" if both.any() else "no such pair"
