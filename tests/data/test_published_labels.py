"""A batch's merged names and the targets that point at them, against the published code (goldens g2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.label_lists import build_label_list, extend
from relforge.data.relations import Example
from relforge.data.targets import make_targets


def example(stored: dict[str, Any], names: list[str], categories: list[str]) -> Example:
    """One box for each end of every pair, named as the golden names it."""
    ends = [index for pair in zip(stored["sub_labels"], stored["obj_labels"], strict=True) for index in pair]
    return Example(
        uri=None,
        data=None,
        size=(1, 1),
        boxes=np.zeros((len(ends), 4)),
        categories=np.array([categories.index(names[index]) for index in ends], np.int64),
        pairs=np.arange(len(ends)).reshape(-1, 2),
        predicates=[],
    )


def test_names_merge_in_order_and_targets_point_at_them(shared: Callable[[str], Path]) -> None:
    stored = json.loads(shared("goldens/g2_merge_batch.json").read_text())
    texts, given = stored["input"]["text"], stored["input"]["targets"]
    categories = sorted({name for objects, _ in texts for name in objects})
    predicates = sorted({name for _, relations in texts for name in relations})
    rng = np.random.default_rng(0)  # draws no negatives: the quota is 0

    labels = build_label_list(
        extend([categories.index(n) for names, _ in texts for n in names], np.ones(9), 0, rng),
        extend([predicates.index(n) for _, names in texts for n in names], np.ones(9), 0, rng),
        categories,
        predicates,
    )

    assert [[labels.objects, labels.relations]] == stored["output"]["text"]
    for before, (objects, relations), after in zip(given, texts, stored["output"]["targets"], strict=True):
        codes = [
            np.array([predicates.index(relations[i]) for i in np.flatnonzero(row)], np.int64)
            for row in before["verb_labels"]
        ]
        ours = make_targets(example(before, objects, categories), codes, labels)
        assert ours.subject_labels.tolist() == after["sub_labels"]
        assert ours.object_labels.tolist() == after["obj_labels"]
        assert ours.relations.tolist() == after["verb_labels"]
