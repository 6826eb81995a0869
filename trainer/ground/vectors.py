"""Word vectors of the claims a prior is taught from: what predicates and classes occur with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from relforge.stages.class_names import class_key
from relforge.stages.ground.words import WordVectors, predicate_keys

PREDICATE_WIDTH, CLASS_WIDTH = 12, 8
_MAX_WORDS = 600
_MIN_COUNT = 3


def count_vectors(claims: Iterable[tuple[str, str, str]]) -> WordVectors:
    """A truncated singular value decomposition of positive pointwise mutual information.

    Args:
        claims: (subject class, predicate, object class), once for every claim.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    objects: Counter[tuple[str, str]] = Counter()
    for subject, predicate, object_ in claims:
        for key in predicate_keys(predicate):
            pairs[key, f"{class_key(subject)}|{class_key(object_)}"] += 1
        for key in predicate_keys(predicate)[-1:]:
            objects[class_key(object_), key] += 1
    predicates, predicate_rows = _decompose(pairs, PREDICATE_WIDTH)
    classes, class_rows = _decompose(objects, CLASS_WIDTH)
    return WordVectors(predicates, classes, predicate_rows, class_rows)


def count_class_vectors(relations: Iterable[tuple[str, str, str]]) -> WordVectors:
    """Vectors of classes alone, from what either end of a relation does or has done to it.

    Args:
        relations: (subject class, predicate, object class).
    """
    counts: Counter[tuple[str, str]] = Counter()
    for subject, predicate, object_ in relations:
        counts[class_key(subject), f"{predicate}|subject"] += 1
        counts[class_key(object_), f"{predicate}|object"] += 1
    classes, rows = _decompose(counts, PREDICATE_WIDTH)
    return WordVectors([], classes, np.zeros((0, 0)), rows)


def _decompose(counts: Counter[tuple[str, str]], width: int) -> tuple[list[str], np.ndarray]:
    sums: Counter[str] = Counter()
    for (word, _), count in counts.items():
        sums[word] += count
    words = [
        w for w, count in sorted(sums.items(), key=lambda item: (-item[1], item[0])) if count >= _MIN_COUNT
    ]
    words = words[:_MAX_WORDS]
    contexts = sorted({context for word, context in counts if word in set(words)})
    place = {word: at for at, word in enumerate(words)}, {context: at for at, context in enumerate(contexts)}
    table = np.zeros((len(words), len(contexts)))
    for (word, context), count in counts.items():
        if word in place[0]:
            table[place[0][word], place[1][context]] = count
    rows = np.zeros((len(words), width))
    if table.sum():
        share = table / table.sum()
        expected = share.sum(1, keepdims=True) * share.sum(0, keepdims=True)
        with np.errstate(divide="ignore"):
            information = np.maximum(np.log(share / expected), 0)
        left, values, _ = np.linalg.svd(information, full_matrices=False)
        kept = min(width, len(values))
        left = left * np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])  # signs are arbitrary
        rows[:, :kept] = left[:, :kept] * np.sqrt(values[:kept])
    spread = rows.std() or 1.0
    return words, rows / spread
