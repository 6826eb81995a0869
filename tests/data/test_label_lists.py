"""Label lists: open ones are drawn for each batch, closed ones are the same for all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from relforge.data.label_lists import ClosedLabels, LabelSource, OpenLabels, build_label_list, extend
from relforge.data.relations import RelationData
from relforge.models.blocks.text import NO_OBJECTS

RNG = np.random.default_rng(0)


@pytest.fixture
def data() -> RelationData:
    """One image with a man on a horse."""
    return RelationData(
        images=pa.table({"image_id": ["a"], "uri": ["a"], "width": [8], "height": [8], "bytes": [b""]}),
        boxes=np.zeros((2, 4), np.float32),
        box_category=np.array([0, 1]),
        box_start=np.array([0, 2]),
        pairs=np.array([[0, 1]]),
        pair_start=np.array([0, 1]),
        relations=np.array([0, 1]),
        relation_start=np.array([0, 2]),
        categories=["man", "horse"],
        predicates=["on", "riding"],
    )


def test_negatives_fill_the_list_by_frequency_and_never_repeat() -> None:
    counts = np.array([1000, 1, 1, 1, 0])
    rng = np.random.default_rng(0)
    draws = [extend([3], counts, 2, rng) for _ in range(50)]
    assert all(chosen[0] == 3 and len(set(chosen)) == 2 for chosen in draws)
    assert sum(chosen[1] == 0 for chosen in draws) > 45
    # a vocabulary smaller than the length is taken whole, unused names left out
    assert sorted(extend([3], counts, 100, rng)) == [0, 1, 2, 3]
    # a batch with more names than the length keeps them all
    assert extend([1, 2, 1, 3], counts, 1, rng) == [1, 2, 3]


def test_the_label_list_ends_its_objects_with_no_objects() -> None:
    labels = build_label_list([2, 0], [1], ["cat", "dog", "man"], ["on", "in"])
    assert labels.texts == ["man", "cat", NO_OBJECTS, "in"]
    assert labels.object_index.tolist() == [1, -1, 0]


@pytest.mark.parametrize("closed", [False, True])
def test_both_kinds_of_labels_are_drawn_alike(data: RelationData, closed: bool) -> None:
    source: LabelSource = ClosedLabels(data) if closed else OpenLabels(data, 5, 5)
    labels = source.draw([1, 0], [1], RNG)
    assert set(labels.objects) == {"man", "horse", NO_OBJECTS}
    assert [labels.objects[i] for i in labels.object_index] == data.categories
    assert [labels.relations[i] for i in labels.relation_index] == data.predicates


def test_a_closed_list_is_the_same_for_every_batch(data: RelationData) -> None:
    source = ClosedLabels(data, ["horse", "dog", "man"], ["riding", "feeding", "on"])
    for labels in (source.draw([0], [0], RNG), source.draw([], [], RNG)):
        assert labels.texts == ["horse", "dog", "man", NO_OBJECTS, "riding", "feeding", "on"]
        assert labels.object_index.tolist() == [2, 0]
        assert labels.relation_index.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"objects": ["man", "dog"]}, "class 'horse' is not in the list of 2"),
        ({"relations": ["on"]}, "predicate 'riding' is not in the list of 1"),
        ({"objects": ["man", "horse", "man"]}, "class 'man' is in the list twice"),
        ({"interactions": [("on", "dog")]}, "class 'dog' is not in the list"),
        ({"interactions": [("feeding", "horse")]}, "predicate 'feeding' is not in the list"),
    ],
)
def test_a_name_that_a_closed_list_lacks_is_refused(
    data: RelationData, lists: dict[str, list], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClosedLabels(data, **lists)


def test_a_closed_list_may_spell_a_class_otherwise(data: RelationData) -> None:
    labels = ClosedLabels(data, ["Horses", "Man"]).draw([], [], RNG)
    assert labels.objects == ["Horses", "Man", NO_OBJECTS]
    assert sorted(labels.object_index.tolist()) == [0, 1]
