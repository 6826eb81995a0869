"""Which rows of the query tables survive when a model gets fewer pair queries."""

from __future__ import annotations

import pytest
import torch

from relforge.models.query_tables import cut_queries

SUBJECTS_AND_OBJECTS = {
    "queries.table.weight": torch.arange(8)[:, None],
    "classifier.entity_bias": torch.ones(3),
}


def test_every_role_keeps_its_first_rows() -> None:
    cut = cut_queries(SUBJECTS_AND_OBJECTS, 4, 3)
    assert cut["queries.table.weight"].flatten().tolist() == [0, 1, 2, 4, 5, 6]
    assert len(cut["classifier.entity_bias"]) == 3


def test_the_published_cut_takes_rows_of_subjects_for_objects() -> None:
    cut = cut_queries(SUBJECTS_AND_OBJECTS, 4, 3, published=True)
    assert cut["queries.table.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("published", [False, True])
def test_a_table_with_one_row_per_pair_keeps_the_first(published: bool) -> None:
    state = {"queries.relation_position.weight": torch.arange(4)[:, None]}
    cut = cut_queries(state, 4, 3, published=published)
    assert cut["queries.relation_position.weight"].flatten().tolist() == [0, 1, 2]


def test_more_queries_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.pairs is 5; the model to start from has 4 pair queries"):
        cut_queries(SUBJECTS_AND_OBJECTS, 4, 5)
