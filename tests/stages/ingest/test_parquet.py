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


def written(folder, images=None, boxes=None, gold=None):
    """The options that read changed tables."""
    tables = {
        "images": IMAGES | (images or {}),
        "boxes": BOXES | (boxes or {}),
        "relations": GOLD | (gold or {}),
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return {name: str(folder / f"{name}.parquet") for name in tables}


@pytest.mark.parametrize(
    ("boxes", "reasons"),
    [
        ({"iscrowd": ["perhaps", "0", "true"]}, ["malformed_annotation"]),
        ({"box_id": ["a", "0", "1"]}, ["malformed_annotation"]),
        ({"box_id": [1, 0, 1]}, ["duplicate_box_id"]),
        ({"x": ["1", "2", "far"]}, ["malformed_annotation"]),
        ({"category": ["dog", None, " "]}, ["unknown_category"] * 2),
        ({"image_id": [1.0, 2.5, 1.0]}, ["unknown_image"]),
        ({"category": pa.array([b"dog", b"\xff", b"mat"])}, ["unknown_category"]),
    ],
)
def test_a_cell_of_the_wrong_type_costs_its_row(tmp_path, boxes, reasons):
    options = written(tmp_path, boxes=boxes, gold={name: [] for name in GOLD})

    [shard] = build_source("parquet", **options).shards(10)

    assert [q.reason for q in shard.quarantined] == reasons
    assert shard.tables["boxes"].num_rows == 3 - len(reasons)


@pytest.mark.parametrize(
    ("images", "reasons"),
    [
        ({"width": ["50", "60"]}, []),
        ({"width": ["wide", "60"]}, ["bad_image_size"]),
        ({"width": [2**40, 60]}, ["bad_image_size"]),
        ({"image_id": ["2", "1"], "uri": [7, 8]}, ["bad_file_name"] * 2),
        ({"image_id": [2.0, 1.0]}, []),
        ({"image_id": [2.0, float("nan")]}, ["malformed_image"]),
    ],
)
def test_so_does_a_cell_of_an_image(tmp_path, images, reasons):
    options = written(tmp_path, images=images)

    [shard] = build_source("parquet", **options).shards(10)

    found = [
        q.reason
        for q in shard.quarantined
        if q.reason in ("bad_image_size", "malformed_image", "bad_file_name")
    ]
    assert found == reasons


@pytest.mark.parametrize("end", [[None, 0], ["a", "0"], [0.5, 0.0]])
def test_a_relation_without_an_end_is_set_aside(tmp_path, end):
    [shard] = build_source("parquet", **written(tmp_path, gold={"subject_box": end})).shards(10)

    assert [q.reason for q in shard.quarantined] == ["malformed_relation", "unknown_object"]


def test_a_box_id_is_of_all_boxes_or_of_none(tmp_path):
    options = written(tmp_path, boxes={"box_id": pa.nulls(3)})
    assert sum(s.tables["boxes"].num_rows for s in build_source("parquet", **options).shards(10)) == 3

    options = written(tmp_path, boxes={"box_id": [0, None, 1]})
    with pytest.raises(SourceError, match=r"boxes\.parquet: box_id is empty in 1 of 3 rows"):
        list(build_source("parquet", **options).shards(10))


@pytest.mark.parametrize("pattern", ["set [v2]/boxes.parquet", "set [v2]/box*.parquet"])
def test_brackets_in_a_folder_are_no_pattern(tmp_path, pattern):
    (tmp_path / "set [v2]").mkdir()
    written(tmp_path / "set [v2]")

    source = build_source(
        "parquet", images=f"{tmp_path}/set [v2]/images.parquet", boxes=f"{tmp_path}/{pattern}"
    )

    [shard] = source.shards(10)
    assert shard.tables["boxes"].num_rows == 3
