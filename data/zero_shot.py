"""Zero-shot training sets: without the relations of some interactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from relforge.data import hico
from relforge.data.relations import RelationData
from relforge.stages.class_names import spell_as


def without_interactions(
    data: RelationData, pairs: Collection[tuple[str, str]] = (), predicates: Collection[str] = ()
) -> RelationData:
    """The same images without some of their relations, as zero-shot training sees them.

    An image whose relations all go stays, with its boxes and no pair, as published (RLIP, GEN-VLKT).

    Args:
        pairs: (predicate, object class) whose relations go.
        predicates: predicates whose relations go, whatever the object.
    """
    categories = spell_as([name for _, name in pairs], data.categories) if pairs else {}
    gone = np.zeros((len(data.predicates), len(data.categories) + 1), bool)  # the last: no class
    for place, predicate in enumerate(data.predicates):
        gone[place] = predicate in predicates
    codes = {name: place for place, name in enumerate(data.predicates)}
    classes = {name: place for place, name in enumerate(data.categories)}
    for predicate, name in pairs:
        if predicate in codes and categories[name] in classes:
            gone[codes[predicate], classes[categories[name]]] = True
    of_pair = np.repeat(np.arange(len(data.pairs)), np.diff(data.relation_start))
    kept = ~gone[data.relations, data.object_categories()[of_pair]]
    counts = np.bincount(of_pair[kept], minlength=len(data.pairs))
    pair_kept = (counts > 0) | (np.diff(data.relation_start) == 0)
    images = np.repeat(np.arange(len(data)), np.diff(data.pair_start))[pair_kept]
    return RelationData(
        images=data.images,
        boxes=data.boxes,
        box_category=data.box_category,
        box_start=data.box_start,
        pairs=data.pairs[pair_kept],
        pair_start=np.searchsorted(images, np.arange(len(data) + 1)),
        relations=data.relations[kept],
        relation_start=np.concatenate([[0], np.cumsum(counts[pair_kept])]),
        categories=data.categories,
        predicates=data.predicates,
        reasons=data.reasons + Counter({"unseen_interaction": int((~kept).sum())}),
    )


def read_unseen(given: str | Sequence[str | Sequence[str]]) -> tuple[set[tuple[str, str]], set[str]]:
    """The pairs and the predicates that an entry's `unseen` names.

    Args:
        given: a zero-shot split of HICO-DET (UC-RF, UC-NF, UO, UV), or a list whose entries are a predicate
            or [predicate, object class].

    Raises:
        ValueError: no such split, or an entry of another form.
    """
    if isinstance(given, str):
        return set(hico.unseen(given)), set()
    pairs, predicates = set(), set()
    for one in given:
        if isinstance(one, str):
            predicates.add(one)
        elif isinstance(one, (list, tuple)) and len(one) == 2:
            pairs.add((str(one[0]), str(one[1])))
        else:
            raise ValueError(f"data: unseen: {one!r} is neither a predicate nor [predicate, object class]")
    return pairs, predicates
