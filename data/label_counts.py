"""Counts of labels in a training set: what OCN's priors and CDN's class weights are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array

from relforge.data.closed_names import rename_labels
from relforge.data.hoi import NO_OBJECT, HoiData
from relforge.data.hoi_sources import HOI_FORMATS, read_hoi
from relforge.data.label_lists import index_of
from relforge.data.relations import RelationData
from relforge.data.sources import load_relations
from relforge.models.training.label_counts import LabelCounts
from relforge.stages.closed_labels import ClosedLabels

_ALL = 2**31  # no cap: pairs that training leaves out count too


def count_labels(
    parts: Sequence[Mapping[str, Any]],
    objects: Sequence[str],
    relations: Sequence[str],
    named: ClosedLabels | None = None,
) -> LabelCounts:
    """Of the `data` list of a recipe, in the order of closed lists of names.

    A benchmark's file is counted as it is: repeated rows, and those that training leaves out. The rows of a
    run folder or another source are distinct, and so are those of data that are renamed.

    Args:
        parts: see `load_relations`.
        objects, relations: names.
        named: the list that the data's names are renamed by; None: they keep them.

    Raises:
        ValueError: the data use a name that is not in the lists.
    """
    sums = [
        np.zeros((len(objects), len(relations)), np.int64),
        np.zeros(len(relations), np.int64),
        np.zeros((len(relations), len(relations)), np.int64),
    ]
    for part in parts:
        if named is None and part.get("format") in HOI_FORMATS:
            hoi = read_hoi(part)
            counted, names = of_hoi(hoi), (hoi.objects, hoi.verbs)
        else:
            data = load_relations([part], max_pairs=_ALL)
            data = data if named is None else rename_labels(data, named)
            counted, names = of_relations(data), (data.categories, data.predicates)
        row, column = index_of(names[0], objects, "class"), index_of(names[1], relations, "predicate")
        np.add.at(sums[0], np.ix_(row, column), counted.objects.numpy())
        np.add.at(sums[1], column, counted.relations.numpy())
        np.add.at(sums[2], np.ix_(column, column), counted.together.numpy())
    return LabelCounts(*(torch.from_numpy(counts) for counts in sums))


def of_hoi(data: HoiData) -> LabelCounts:
    """Of a benchmark's file, every row of it."""
    parts = [image.interactions for image in data.images]
    rows = np.concatenate([np.zeros((0, 3), np.int64), *parts])
    image = np.repeat(np.arange(len(data)), [len(part) for part in parts])
    classes = [
        np.append(one.classes, NO_OBJECT)[part[:, 1]] for one, part in zip(data.images, parts, strict=True)
    ]
    return count_rows(
        np.column_stack([image, rows[:, :2]]),
        np.concatenate([np.zeros(0, np.int64), *classes]),
        rows[:, 2],
        len(data.objects),
        len(data.verbs),
    )


def of_relations(data: RelationData) -> LabelCounts:
    """Of a run folder or another source."""
    pair = np.repeat(np.arange(len(data.pairs)), np.diff(data.relation_start))  # of every relation
    classes = np.where(data.pairs[:, 1] == NO_OBJECT, -1, data.object_categories())
    counts = len(data.categories), len(data.predicates)
    return count_rows(pair[:, None], classes[pair], data.relations, *counts)


def count_rows(
    pair: np.ndarray, object_class: np.ndarray, relation: np.ndarray, classes: int, relations: int
) -> LabelCounts:
    """Counts of m annotated rows.

    Args:
        pair: m x k integers that tell the pair of boxes of every row.
        object_class: m codes, -1 where a row has no object.
        relation: m codes.
        classes, relations: how many there are.
    """
    known = object_class >= 0
    objects = np.zeros((classes, relations), np.int64)
    np.add.at(objects, (object_class[known], relation[known]), 1)
    single = np.bincount(relation, minlength=relations)
    _, number = np.unique(pair, axis=0, return_inverse=True)
    shape = (int(number.max(initial=-1)) + 1, relations)
    of_pairs = coo_array((np.ones(len(relation), np.int64), (number.ravel(), relation)), shape).tocsr()
    # all ordered pairs of rows, less those of a row with itself
    together = (of_pairs.T @ of_pairs).toarray() - np.diag(single)
    return LabelCounts(*(torch.from_numpy(counts) for counts in (objects, single, together)))
