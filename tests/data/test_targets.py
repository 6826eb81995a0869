"""Targets of an image: of its pairs, and of the image as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.data.label_lists import LabelList
from relforge.data.relations import Example
from relforge.data.targets import make_image_targets, make_targets

LABELS = LabelList(
    objects=["horse", "man", "dog", "no objects"],
    relations=["riding", "feeding", "on"],
    object_index=np.array([1, 0, -1]),
    relation_index=np.array([2, 0]),
    interactions=(("riding", "horse"), ("riding", "dog"), ("feeding", "horse"), ("on", "horse")),
)
"""Of a data set whose classes are man, horse, lamp and whose predicates are on, riding."""

EXAMPLE = Example(
    uri=None,
    data=None,
    size=(10, 20),
    boxes=np.array([[0, 0, 4, 8], [2, 4, 8, 16], [0, 0, 2, 2]], np.float32),
    categories=np.array([0, 1, 0]),
    pairs=np.array([[0, 1], [2, 1]]),
    predicates=[],
)
PREDICATES = [np.array([0, 1]), np.array([0])]


def test_pairs_have_normalised_boxes_classes_and_multi_hot_relations() -> None:
    targets = make_targets(EXAMPLE, PREDICATES, LABELS)
    assert targets.subject_boxes[0].tolist() == pytest.approx([0.2, 0.2, 0.4, 0.4])
    assert targets.object_boxes[0].tolist() == pytest.approx([0.6, 0.6, 0.8, 0.8])
    assert (targets.subject_labels.tolist(), targets.object_labels.tolist()) == ([1, 1], [0, 0])
    assert targets.relations.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_unrelated_pairs_are_added_without_labels() -> None:
    targets = make_targets(EXAMPLE, PREDICATES, LABELS, unrelated=9, rng=np.random.default_rng(0))
    assert len(targets) == 6  # all ordered pairs of three boxes
    assert sorted(targets.relations.sum(1).tolist()) == [0, 0, 0, 0, 1, 2]
    with pytest.raises(ValueError, match="give `rng`"):
        make_targets(EXAMPLE, PREDICATES, LABELS, unrelated=1)


def test_where_unrelated_pairs_are_added_a_place_does_not_tell_what_is_related() -> None:
    rng = np.random.default_rng(0)
    places = np.zeros(6)
    for _ in range(300):
        targets = make_targets(EXAMPLE, PREDICATES, LABELS, unrelated=9, rng=rng)
        places += targets.relations.sum(1).numpy() > 0
        riding = int(targets.relations[:, 0].argmax())
        assert targets.subject_boxes[riding].tolist() == pytest.approx([0.2, 0.2, 0.4, 0.4])
    assert places.min() > 70  # of 100


def test_targets_of_a_whole_image_are_what_holds_somewhere_in_it() -> None:
    targets = make_image_targets(EXAMPLE, PREDICATES, LABELS)
    assert targets.objects.tolist() == [1, 1, 0, 0]
    assert targets.relations.tolist() == [1, 0, 1]
    assert targets.interactions.tolist() == [1, 0, 0, 1]


def test_without_a_list_of_interactions_there_are_none() -> None:
    plain = LabelList(LABELS.objects, LABELS.relations, LABELS.object_index, LABELS.relation_index)
    assert make_image_targets(EXAMPLE, PREDICATES, plain).interactions.shape == (0,)
