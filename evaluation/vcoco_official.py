"""V-COCO's official measure: agent AP, and role AP in two scenarios (Gupta and Malik 2015, `vsrl_eval`).

Every detected person belongs to the annotated person of the image that it overlaps most. A detection whose
annotated person nobody labelled is left out. It is right when the persons overlap by a half, the annotated
one does the action, the role's boxes overlap by a half and no better detection took the same person. Where
the action has no annotated role, scenario 1 requires no box (nan or zeros) and scenario 2 takes any.

Boxes are float32 and sides one pixel longer, as there. The official code stops at an image without people
and at an action that nobody does; here such detections are wrong, and such an action has no value (nan).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relforge.data.vcoco import VcocoData
from relforge.data.vcoco_actions import ACTION_OF, ACTIONS, ROLE_COLUMNS
from relforge.evaluation.overlap import pixels
from relforge.evaluation.ranking import best_gold, candidates, first_claims
from relforge.evaluation.vcoco_detections import VcocoDetections

STABLE, PUBLISHED = "stable", "published"
_MIN_IOU = 0.5


@dataclass(frozen=True)
class VcocoQuality:
    """Average precisions; nan for an action that nobody does.

    Args:
        agent: action -> AP.
        role_1, role_2: column with a role -> AP in scenario 1 and 2.
        positives: action -> how many people do it.
    """

    agent: dict[str, float]
    role_1: dict[str, float]
    role_2: dict[str, float]
    positives: dict[str, int]


class VcocoMatches:
    """Which annotated person every detected one belongs to; rankings of the same detections share it."""

    def __init__(self, found: VcocoDetections, gold: VcocoData) -> None:
        self.found, self.gold = found, gold
        row, person = candidates(found.image, gold.image)
        overlap = pixels(found.person_box.astype(np.float32)[row], gold.box[person])
        self.person = np.full(len(found.image), -1)
        self.overlap = np.zeros(len(found.image), np.float32)
        best, nearest, largest = best_gold(row, person, overlap)
        self.person[best], self.overlap[best] = nearest, largest
        self.without_people = (found.image >= 0) & (self.person < 0)
        self._counts = (found.image >= 0) & ((self.person < 0) | gold.labelled[self.person])
        self._right = (self.person >= 0) & (self.overlap >= _MIN_IOU)
        self._object_box = found.object_box.astype(np.float32)
        self._no_object = np.isnan(self._object_box).all(1) | (self._object_box == 0).all(1)

    def quality(self, scores: Mapping[str, np.ndarray] | None = None, ties: str = STABLE) -> VcocoQuality:
        """The measures.

        Args:
            scores: other scores for the same rows, by name as in `VcocoDetections.scores`.
            ties: `stable`: of equal scores the last row comes first, as a reversed stable sort has it;
                `published`: numpy's default sort as the official code calls it, per image and then over all,
                whose order of equal scores depends on the processor.
        """
        agent, role_1, role_2 = {}, {}, {}
        for action in ACTIONS:
            agent[action] = self._of(action, f"{action}_agent", (None,), scores, ties)[0]
        for column in ROLE_COLUMNS:
            role_1[column], role_2[column] = self._of(ACTION_OF[column], column, (1, 2), scores, ties)
        done = self.gold.actions[self.gold.labelled].sum(0)
        return VcocoQuality(agent, role_1, role_2, dict(zip(ACTIONS, done.tolist(), strict=True)))

    def _of(
        self,
        action: str,
        name: str,
        scenarios: tuple[int | None, ...],
        scores: Mapping[str, np.ndarray] | None,
        ties: str,
    ) -> list[float]:
        number = ACTIONS.index(action)
        positives = int(self.gold.actions[self.gold.labelled, number].sum())
        if not positives:
            return [float("nan")] * len(scenarios)
        rows, score = self.found.scores.get(name, (np.zeros(0, int), np.zeros(0, np.float32)))
        score = (score if scores is None or name not in scores else scores[name]).astype(np.float32)
        used = self._counts[rows] & ~np.isnan(score)
        rows, score = rows[used], score[used]
        assigning, ranking = _orders(score, self.found.image[rows], ties)
        rows = rows[assigning]
        person = self.person[rows]
        right = self._right[rows] & self.gold.actions[person, number]
        values = []
        for scenario in scenarios:
            claims = np.where(right, person, -1)
            if scenario is not None:
                claims[right] = np.where(
                    self._role_fits(rows[right], person[right], name, scenario), person[right], -1
                )
            values.append(_average_precision(first_claims(claims)[ranking], positives))
        return values

    def _role_fits(self, rows: np.ndarray, person: np.ndarray, column: str, scenario: int) -> np.ndarray:
        role = self.gold.role_box[person, ROLE_COLUMNS.index(column)]
        absent = np.isnan(role).all(1)
        with np.errstate(invalid="ignore"):
            fits = pixels(role, self._object_box[rows]) >= _MIN_IOU
        fits[absent] = self._no_object[rows[absent]] if scenario == 1 else True
        return fits


def _orders(score: np.ndarray, image: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the order in which they take people, and places of that order by falling score."""
    if ties == STABLE:
        return np.argsort(score, kind="stable")[::-1], np.arange(len(score))
    by_image = np.argsort(image, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(image[by_image]) != 0))
    parts = np.split(by_image, starts[1:])
    assigning = np.concatenate([part[score[part].argsort()[::-1]] for part in parts])
    return assigning, score[assigning].argsort()[::-1]


def _average_precision(correct: np.ndarray, positives: int) -> float:
    """Area under the interpolated curve; recall in float32, as in the official code."""
    hits = np.cumsum(correct, dtype=np.float32)
    recall = (hits / np.float32(positives)).astype(np.float64)
    precision = hits / np.arange(1, len(hits) + 1, dtype=np.float64)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best))
