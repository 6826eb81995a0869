"""Parquet files that any program wrote, in the documented layout."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.stages.contract import SourceError
from relforge.stages.registry import build_source
from relforge.stages.tables import conform

IMAGES = {"image_id": [2, 1], "width": [50, 60], "height": [50, 60]}
BOXES = {"image_id": [1, 2, 1], "category": ["dog", "cat", "mat"]}
BOXES |= {name: [1.0, 2, 3] for name in "xy"} | {name: [4, 5, 6] for name in "wh"}
GOLD = {"image_id": [1, 1], "subject_box": [0, 0], "object_box": [1, 7], "predicate": ["on", "on"]}


@pytest.fixture
def files(tmp_path):
    for name, columns in (("images", IMAGES), ("boxes", BOXES), ("gold", GOLD)):
        pq.write_table(pa.table(columns), tmp_path / f"{name}-0.parquet")
    return tmp_path


def test_needed_columns_are_enough_and_rows_may_come_in_any_order(files):
    patterns = {name: f"{files}/{name}-*.parquet" for name in ("images", "boxes")}

    [shard] = build_source("parquet", **patterns, relations=f"{files}/gold-*.parquet").shards(10)

    for name, table in shard.tables.items():
        assert conform(name, table) == table
    rows = shard.tables["boxes"].select(["image_id", "box_id", "category"]).to_pylist()
    boxes = [tuple(row.values()) for row in rows]
    assert boxes == [("1", 0, "dog"), ("1", 1, "mat"), ("2", 0, "cat")]
    assert shard.tables["gold"].num_rows == 1
    assert [q.reason for q in shard.quarantined] == ["unknown_object"]
    assert shard.notes["rows_in"] == 7 == shard.kept + len(shard.quarantined)


def test_a_missing_column_or_file_is_named(files):
    images = f"{files}/images-0.parquet"
    with pytest.raises(SourceError, match="no column category, x"):
        list(build_source("parquet", images=images, boxes=f"{files}/gold-0.parquet").shards(9))
    with pytest.raises(SourceError, match="no such Parquet files"):
        list(build_source("parquet", images=f"{files}/none*.parquet", boxes=images).shards(9))
    with pytest.raises(ValueError, match="needs `root`, or"):
        build_source("parquet")
