"""Scored pairs against annotated ones, kind by kind: the matching of HICO-DET and of its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.evaluation.overlap import Overlap, pixels
from relforge.evaluation.pairs import Kind, Pairs
from relforge.evaluation.ranking import (
    Curve,
    average_precisions,
    best_gold,
    candidates,
    eleven_point,
    first_claims,
    first_free,
)

MIN_IOU = 0.5


@dataclass(frozen=True)
class Rule:
    """When a detection fits an annotated pair, and which one it takes.

    Args:
        overlap: of boxes; the smaller of both ends counts.
        above: the overlap must be above a half; False: a half is enough.
        first: the first that fits and is free; False: the one that it overlaps best, or none if that is
            taken (Chao et al., WACV 2018).
    """

    overlap: Overlap = pixels
    above: bool = False
    first: bool = False


class Codes:
    """Names of images and kinds as integers.

    Args:
        images: every image.
        kinds: every kind.
    """

    def __init__(self, images: Sequence[str], kinds: Sequence[Kind]) -> None:
        self.images, self.kinds = list(images), list(kinds)
        self._names = [list(dict.fromkeys(kind[end] for kind in kinds)) for end in range(3)]
        places = [{name: code for code, name in enumerate(names)} for names in self._names]
        keys = self._join(
            *(np.array([at[kind[end]] for kind in kinds], int) for end, at in enumerate(places))
        )
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def image(self, names: np.ndarray) -> np.ndarray:
        """Codes of image ids; -1 for unknown ones."""
        return _codes(names, self.images)

    def kind(self, pairs: Pairs) -> np.ndarray:
        """Codes of the kinds of pairs; -1 for unknown ones."""
        columns = (pairs.subject, pairs.predicate, pairs.object)
        codes = [_codes(names, known) for names, known in zip(columns, self._names, strict=True)]
        if not len(self._keys):
            return np.full(len(pairs), -1)
        key = self._join(*codes)
        place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        known = np.logical_and.reduce([code >= 0 for code in codes]) & (self._keys[place] == key)
        return np.where(known, self._order[place], -1)

    def _join(self, subject: np.ndarray, predicate: np.ndarray, object_: np.ndarray) -> np.ndarray:
        return (subject * len(self._names[1]) + predicate) * len(self._names[2]) + object_


def _codes(names: np.ndarray, known: Sequence[str]) -> np.ndarray:
    places = pc.index_in(pa.array(names, pa.string()), pa.array(known, pa.string()))
    return pc.fill_null(places, -1).to_numpy(zero_copy_only=False).astype(np.int64)


@dataclass(frozen=True)
class Coded:
    """Pairs with integers for names.

    Args:
        image, kind: n codes.
        subject_box, object_box: n x 4 xyxy, pixels.
        score: n.
    """

    image: np.ndarray
    kind: np.ndarray
    subject_box: np.ndarray
    object_box: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: np.ndarray) -> Coded:
        """Only these rows: indices or a mask."""
        return Coded(
            self.image[rows],
            self.kind[rows],
            self.subject_box[rows],
            self.object_box[rows],
            self.score[rows],
        )


def encode(pairs: Pairs, codes: Codes) -> Coded:
    """Integers for the names of pairs; unknown ones become -1."""
    image, kind = codes.image(pairs.image), codes.kind(pairs)
    return Coded(image, kind, pairs.subject_box, pairs.object_box, pairs.score)


class KindMatches:
    """Which annotated pairs the detections fit; rankings of the same detections share that work.

    Args:
        detections, gold: rows of unknown kinds or images take no part.
        kinds: how many there are.
        overlap: k overlaps of candidate rows, instead of those of both boxes.
    """

    def __init__(self, detections: Coded, gold: Coded, kinds: int, rule: Rule) -> None:
        gold = gold.take((gold.image >= 0) & (gold.kind >= 0))
        self.gold, self.detections, self.rule = gold, detections, rule
        self.positives = np.bincount(gold.kind, minlength=kinds)
        self.rows = np.flatnonzero(
            (detections.image >= 0) & (detections.kind >= 0) & (self.positives[detections.kind] > 0)
        )
        found = detections.take(self.rows)
        self._image, self._kind = found.image, found.kind
        row, place = candidates(found.image * kinds + found.kind, gold.image * kinds + gold.kind)
        overlap = np.minimum(
            rule.overlap(found.subject_box[row], gold.subject_box[place]),
            rule.overlap(found.object_box[row], gold.object_box[place]),
        )
        fits = overlap > MIN_IOU if rule.above else overlap >= MIN_IOU
        self._fitting = row[fits], place[fits]
        self._claim = np.full(len(found), -1)
        if not rule.first:
            best, claimed, _ = best_gold(row[fits], place[fits], overlap[fits])
            self._claim[best] = claimed

    def ranked(self, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the detections by kind, falling score and image, and whether each is right.

        Args:
            score: one per detection.
        """
        order = np.lexsort((self._image, -score[self.rows], self._kind))
        if self.rule.first:
            rank = np.empty(len(order), int)
            rank[order] = np.arange(len(order))
            correct = first_free(*self._fitting, rank, len(order))[order]
        else:
            correct = first_claims(self._claim[order])
        return self.rows[order], correct

    def average_precision(self, score: np.ndarray, curve: Curve = eleven_point) -> np.ndarray:
        """Of every kind; 0 for kinds without gold."""
        rows, correct = self.ranked(score)
        return average_precisions(self.detections.kind[rows], correct, self.positives, curve)

    def recall(self, score: np.ndarray) -> np.ndarray:
        """Share of each kind's gold that any detection finds; nan for kinds without gold."""
        rows, correct = self.ranked(score)
        found = np.bincount(self.detections.kind[rows][correct], minlength=len(self.positives))
        with np.errstate(invalid="ignore"):
            return found / self.positives
