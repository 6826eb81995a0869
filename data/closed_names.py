"""A training set in the names of a closed label list, e.g. free words as VG150's 150 and 50."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from relforge.data.relations import MISSING, NO_OBJECT, RelationData, take
from relforge.stages.closed_labels import ClosedLabels


def rename_labels(data: RelationData, labels: ClosedLabels) -> RelationData:
    """The data with the list's names, in its order, whether or not the data uses them.

    Boxes of other classes, relations of other predicates and images that are left without a relation are left
    out; `reasons` counts them. Predicates of a pair that mean the same become one.

    Raises:
        ValueError: nothing is left.
    """
    classes = labels.classes or list(data.categories)
    if MISSING in data.categories and MISSING not in classes:
        classes.append(MISSING)
    class_code = _codes(data.categories, classes, labels.class_name)
    predicate_code = _codes(data.predicates, labels.predicates, labels.predicate_name)
    category: np.ndarray = class_code[data.box_category] if len(data.box_category) else data.box_category
    kept_box: np.ndarray = np.asarray(category >= 0)
    place = np.append(np.cumsum(kept_box) - 1, NO_OBJECT)
    place[:-1][~kept_box] = NO_OBJECT - 1
    pair_image = np.repeat(np.arange(len(data)), np.diff(data.pair_start))
    absent = data.pairs == NO_OBJECT
    rows = np.where(absent, -1, data.pairs + data.box_start[pair_image][:, None])
    new_start = np.concatenate([[0], np.cumsum(kept_box)])[data.box_start]
    pairs = place[rows]
    pairs = np.where(pairs >= 0, pairs - new_start[pair_image][:, None], pairs)
    kept_pair = np.all(pairs >= NO_OBJECT, axis=1)

    pair = np.repeat(np.arange(len(data.pairs)), np.diff(data.relation_start))
    relation = predicate_code[data.relations] if len(data.relations) else data.relations
    facts = np.unique(np.stack([pair, relation], 1)[(relation >= 0) & kept_pair[pair]], axis=0)
    counts = np.bincount(facts[:, 0], minlength=len(data.pairs))
    used = np.flatnonzero(counts)
    found = replace(
        data,
        boxes=data.boxes[kept_box],
        box_category=category[kept_box],
        box_start=new_start,
        pairs=pairs[used],
        pair_start=np.searchsorted(pair_image[used], np.arange(len(data) + 1)),
        relations=facts[:, 1],
        relation_start=np.concatenate([[0], np.cumsum(counts[used])]),
        categories=classes,
        predicates=labels.predicates,
    )
    images = np.flatnonzero(np.diff(found.pair_start) > 0)
    if not len(images):
        raise ValueError(
            "labels: no relation of the data is in the list; add its spellings to a list of your own"
        )
    reasons = Counter(data.reasons)
    reasons["boxes of other classes"] += int((~kept_box).sum())
    reasons["relations of other predicates or boxes"] += int(((relation < 0) | ~kept_pair[pair]).sum())
    reasons["images without a relation of the list"] += len(data) - len(images)
    return replace(take(found, images), reasons=+reasons)


def _codes(names: Sequence[str], known: Sequence[str], meaning: Callable[[str], str | None]) -> np.ndarray:
    places = {name: code for code, name in enumerate(known)}
    return np.array([places.get(meaning(name) or name, -1) for name in names], np.int64)
