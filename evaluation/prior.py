"""The frequency prior: a score from the classes of a pair alone, without the image.

Frequencies come from the gold of the other half of the images; a hash of the id puts an image in its half.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from relforge.evaluation.kind_matches import Coded, Codes, encode
from relforge.evaluation.pairs import Kind, Pairs

FOLDS = 2


def prior_scores(rows: pa.Table, gold: pa.Table, boxes: pa.Table) -> np.ndarray:
    """A score for every candidate: the share of box pairs of its two classes that have its predicate.

    Args:
        rows: pair columns with `subject_class` and `object_class`.
        gold: the same columns; repeats count once.
        boxes: `image_id` and `category`.

    Returns:
        N float32, one per row of `rows`; 0 where the other half never shows the combination.
    """
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for image, category in zip(boxes["image_id"].to_pylist(), boxes["category"].to_pylist(), strict=True):
        classes[image][category] += 1
    pairs: list[Counter[tuple[str, str]]] = [Counter() for _ in range(FOLDS)]
    for image, of_image in classes.items():
        for subject, count in of_image.items():
            for object_, other in of_image.items():
                pairs[fold(image)][subject, object_] += count * (other - (subject == object_))
    relations: list[Counter[Kind]] = [Counter() for _ in range(FOLDS)]
    columns = ("image_id", "subject_class", "predicate", "object_class", "subject_box", "object_box")
    for image, subject, predicate, object_, *_ in set(_rows(gold, columns)):
        relations[fold(image)][subject, predicate, object_] += 1

    def score(image: str, subject: str, predicate: str, object_: str) -> float:
        other = 1 - fold(image)
        return relations[other][subject, predicate, object_] / max(pairs[other][subject, object_], 1)

    return np.array([score(*row) for row in _rows(rows, columns[:4])], np.float32)


def prior_of_detections(detections: Pairs, gold: Pairs) -> np.ndarray:
    """A score for every detection: the share of annotated relations between its two classes that are its
    predicate. How likely pairs are related at all plays no part, since boxes are not given here.

    Returns:
        N floats; 0 where the other half never shows the combination.
    """
    codes = Codes(sorted(set(detections.image) | set(gold.image)), sorted(set(gold.kinds())))
    return frequency_scores(encode(detections, codes), encode(gold, codes), codes)


def frequency_scores(
    detections: Coded, gold: Coded, codes: Codes, training: Mapping[Kind, int] | None = None
) -> np.ndarray:
    """As `prior_of_detections`, of coded pairs.

    Args:
        training: relations of every kind in a training set; with it frequencies come from there, not from
            the other half of the gold.
    """
    if training is not None:
        counts = np.array([training.get(kind, 0) for kind in codes.kinds], float)
        shares = np.tile(_shares(counts, codes.kinds), (FOLDS, 1))
        half = np.zeros(len(codes.images), int)
    else:
        half = np.array([fold(image) for image in codes.images], int)
        known = gold.take((gold.image >= 0) & (gold.kind >= 0))
        of_half = [known.kind[half[known.image] != number] for number in range(FOLDS)]
        shares = np.stack(
            [_shares(np.bincount(kinds, minlength=len(codes.kinds)), codes.kinds) for kinds in of_half]
        )
    scores = np.zeros(len(detections))
    rows = np.flatnonzero((detections.image >= 0) & (detections.kind >= 0))
    scores[rows] = shares[half[detections.image[rows]], detections.kind[rows]]
    return scores


def _shares(counts: np.ndarray, kinds: Sequence[Kind]) -> np.ndarray:
    """Share of each kind among the kinds of its two classes."""
    places: dict[tuple[str, str], int] = {}
    ends = np.array([places.setdefault((kind[0], kind[2]), len(places)) for kind in kinds], int)
    return counts / np.maximum(np.bincount(ends, counts, minlength=len(places))[ends], 1)


def fold(image_id: str) -> int:
    """Which half an image belongs to."""
    return hashlib.sha256(image_id.encode()).digest()[0] % FOLDS


def _rows(table: pa.Table, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))
