"""A training set in the names of a closed list: what is kept, what is counted, and the order of the names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from relforge.data.closed_names import rename_labels
from relforge.data.hoi import MISSING, NO_OBJECT
from relforge.data.relations import RelationData
from relforge.stages.closed_labels import ClosedLabels

LABELS = ClosedLabels(
    {"dog": (), "bike": ("bicycle",), "man": ()}, {"on": (), "riding": ("rides",), "near": ()}
)


@pytest.fixture
def data() -> RelationData:
    """Image a: a man rides a bicycle in two ways, a gizmo is near him. Image b: a man shouts at a gizmo."""
    return RelationData(
        images=pa.table({"image_id": ["a", "b"], "uri": ["a", "b"], "width": [8, 8], "height": [8, 8],
                         "bytes": [b"", b""]}),
        boxes=np.arange(20, dtype=np.float32).reshape(5, 4),
        box_category=np.array([1, 0, 2, 0, 1]),
        box_start=np.array([0, 3, 5]),
        pairs=np.array([[1, 0], [1, 2], [2, 1], [1, 0]]),
        pair_start=np.array([0, 3, 4]),
        relations=np.array([0, 1, 2, 3, 3, 4]),
        relation_start=np.array([0, 3, 4, 5, 6]),
        categories=["man", "gizmo", "Bicycles"],
        predicates=["Near", "wearing", "next", "rides", "shouts at"],
    )  # fmt: skip


def test_names_boxes_and_pairs_are_those_of_the_list_and_the_rest_is_counted(data: RelationData) -> None:
    found = rename_labels(data, LABELS)

    assert (found.categories, found.predicates) == (["dog", "bike", "man"], ["on", "riding", "near"])
    assert found.images["image_id"].to_pylist() == ["a"]
    example = found[0]
    assert [found.categories[code] for code in example.categories] == ["man", "bike"]
    assert example.boxes[:, 0].tolist() == [4, 8]
    assert example.pairs.tolist() == [[0, 1], [1, 0]]
    assert [codes.tolist() for codes in example.predicates] == [[1], [1]]
    assert found.reasons == {
        "boxes of other classes": 2, "relations of other predicates or boxes": 4,
        "images without a relation of the list": 1,
    }  # fmt: skip


def test_two_predicates_of_a_pair_that_mean_the_same_become_one(data: RelationData) -> None:
    same = ClosedLabels({}, {"riding": ("rides", "shouts at", "next", "wearing", "near")})

    found = rename_labels(data, same)

    assert [codes.tolist() for codes in found[0].predicates] == [[0], [0], [0]]
    assert found.categories == data.categories


def test_an_absent_object_stays_absent(data: RelationData) -> None:
    data = replace(
        data,
        pairs=np.array([[1, NO_OBJECT], [1, 2], [2, 1], [1, 0]]),
        categories=["man", MISSING, "Bicycles"],
        relations=np.array([3, 3, 3, 3, 3, 4]),
    )

    found = rename_labels(data, LABELS)

    assert found[0].pairs.tolist() == [[1, NO_OBJECT], [1, 2], [2, 1]]
    assert found.categories == ["dog", "bike", "man", MISSING]


def test_data_without_any_relation_of_the_list_are_refused(data: RelationData) -> None:
    with pytest.raises(ValueError, match="no relation of the data is in the list"):
        rename_labels(data, ClosedLabels({}, {"eating": ()}))
