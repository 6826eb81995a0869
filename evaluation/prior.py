"""The frequency prior: what a tagger scores that never looks at the picture."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa

FOLDS = 2


def prior_scores(rows: pa.Table, gold: pa.Table, boxes: pa.Table) -> np.ndarray:
    """A score for every candidate from the gold of the other half of the images.

    A candidate scores the share of box pairs of its two classes that stand in its predicate there; classes
    and predicate are all it knows. Images fall into halves by a hash of their id.

    Args:
        rows: pair columns with `subject_class` and `object_class`.
        gold: the same columns; repeats count once.
        boxes: `image_id` and `category`.

    Returns:
        float32 array, one per row of `rows`; 0 where the other half never shows the combination.
    """
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for image, category in zip(boxes["image_id"].to_pylist(), boxes["category"].to_pylist(), strict=True):
        classes[image][category] += 1
    pairs: list[Counter[tuple[str, str]]] = [Counter() for _ in range(FOLDS)]
    for image, held in classes.items():
        for subject, count in held.items():
            for object_, other in held.items():
                pairs[fold(image)][subject, object_] += count * (other - (subject == object_))
    said: list[Counter[tuple[str, str, str]]] = [Counter() for _ in range(FOLDS)]
    columns = ("image_id", "subject_class", "predicate", "object_class", "subject_box", "object_box")
    for image, subject, predicate, object_, *_ in set(_rows(gold, columns)):
        said[fold(image)][subject, predicate, object_] += 1

    def score(image: str, subject: str, predicate: str, object_: str) -> float:
        other = 1 - fold(image)
        return said[other][subject, predicate, object_] / max(pairs[other][subject, object_], 1)

    return np.array([score(*row) for row in _rows(rows, columns[:4])], np.float32)


def fold(image_id: str) -> int:
    """Which half an image belongs to."""
    return hashlib.sha256(image_id.encode()).digest()[0] % FOLDS


def _rows(table: pa.Table, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))
