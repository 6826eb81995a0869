"""Which rows of the query tables survive when a model gets fewer pair queries."""

from __future__ import annotations

import json
from typing import Any

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
def test_tables_of_the_detr_line_keep_the_first_of_every_role_in_the_published_code_too(
    published: bool,
) -> None:
    cut = cut_queries({"pairs.queries.weight": torch.arange(8)[:, None]}, 4, 3, published=published)
    assert cut["pairs.queries.weight"].flatten().tolist() == [0, 1, 2, 4, 5, 6]


@pytest.mark.parametrize("published", [False, True])
def test_a_table_with_one_row_per_pair_keeps_the_first(published: bool) -> None:
    state = {"queries.relation_position.weight": torch.arange(4)[:, None]}
    cut = cut_queries(state, 4, 3, published=published)
    assert cut["queries.relation_position.weight"].flatten().tolist() == [0, 1, 2]


def test_more_queries_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.pairs is 5; the model to start from has 4 pair queries"):
        cut_queries(SUBJECTS_AND_OBJECTS, 4, 5)


OURS = {
    "query_embed.weight": "queries.table.weight",
    "tgt_embed.weight": "queries.content.weight",
    "verb_tgt_embed.weight": "queries.relation_content.weight",
    "refpoint_embed.weight": "queries.anchors.weight",
    "transformer.verb_query_embed.weight": "queries.relation_position.weight",
}


@pytest.mark.parametrize(
    ("loader", "published", "tables"),
    [
        ("filter_ckpt_query_embed 200->128, share_verb_query", True, 2),
        ("filter_ckpt_tgt_anchor 200->128", True, 3),
        ("pairwise_filter_ckpt_query_embed num_queries=64 (ParSe family)", False, 1),
    ],
)
def test_the_rows_that_published_loaders_keep(shared: Any, loader: str, published: bool, tables: int) -> None:
    stored = json.loads(shared("goldens/g15_fine_tuning.json").read_text())["query_table_rows_kept"][loader]
    # a loader leaves alone the tables that its model does not have
    cut = {OURS[name]: rows for name, rows in stored.items() if len(rows) not in (100, 200)}
    assert len(cut) == tables
    whole = {name: torch.arange(100 if "position" in name else 200)[:, None] for name in cut}
    kept = cut_queries(whole, 100, 64, published=published)
    assert {name: table.flatten().tolist() for name, table in kept.items()} == cut
