"""Detections as a table: what comes back is what was written, and bad tables are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.evaluation.detection_table import DETECTIONS, read_detections, write_detections
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.vcoco_detections import read_vcoco_detections


def pairs(*scores: float) -> Pairs:
    """Detections of a man on a horse, with these scores."""
    names = {name: np.full(len(scores), name, object) for name in ("image", "man", "riding", "horse")}
    boxes = np.tile([1.0, 2.0, 5.0, 10.0], (len(scores), 1))
    return Pairs(
        names["image"],
        names["man"],
        names["riding"],
        names["horse"],
        boxes,
        boxes + 0.5,
        np.array(scores),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_detections(pairs(0.9, 0.1), tmp_path / "one.parquet")
    found = read_detections(str(tmp_path / "one.parquet"))
    assert found.kinds() == [("man", "riding", "horse")] * 2
    assert found.subject_box[0].tolist() == [1.0, 2.0, 5.0, 10.0]
    assert found.object_box[1].tolist() == [1.5, 2.5, 5.5, 10.5]
    assert found.score.tolist() == [0.9, 0.1]


def test_boxes_are_top_left_corner_width_and_height(tmp_path: Path) -> None:
    write_detections(pairs(0.9), tmp_path / "one.parquet")
    (row,) = pq.read_table(tmp_path / "one.parquet").to_pylist()
    assert [row[f"subject_{side}"] for side in "xywh"] == [1.0, 2.0, 4.0, 8.0]


def test_a_folder_is_all_its_files_and_other_columns_and_types_do_no_harm(tmp_path: Path) -> None:
    write_detections(pairs(0.9), tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    floats = [field.with_type(pa.float32()) if field.type == pa.float64() else field for field in DETECTIONS]
    pq.write_table(table.cast(pa.schema(floats)), tmp_path / "b.parquet")
    assert len(read_detections(str(tmp_path))) == 2
    pq.write_table(table.append_column("note", pa.array(["x"])), tmp_path / "a.parquet")
    assert len(read_detections(str(tmp_path / "a.parquet"))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns("object_w"), "has no column 'object_w'; the columns are image_id,"),
        (lambda table: replaced(table, "score", ["high"]), "found.parquet"),
        (lambda table: replaced(table, "score", [None]), "score has a value that is missing or not finite"),
        (lambda table: replaced(table, "score", [float("nan")]), "score has a value that is missing or not"),
        (lambda table: replaced(table, "predicate", [None]), "predicate has a value that is missing"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "found.parquet"
    write_detections(pairs(0.9), path)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(ValueError, match=message):
        read_detections(str(path))


def replaced(table: pa.Table, name: str, values: list) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "found.parquet").write_text("no")
    with pytest.raises(ValueError, match="is not Parquet"):
        read_detections(str(tmp_path / "found.parquet"))
    with pytest.raises(ValueError, match="does not exist"):
        read_detections(str(tmp_path / "elsewhere"))


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    write_detections(pairs(), tmp_path / "none.parquet")
    with pytest.raises(ValueError, match=r"none\.parquet has no rows"):
        read_detections(str(tmp_path / "none.parquet"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [(0, "has no rows"), (1, "no predicate is an action and role of V-COCO")],
)
def test_a_vcoco_table_that_detects_no_action_is_refused(tmp_path: Path, rows: int, message: str) -> None:
    path = tmp_path / "found.parquet"
    write_detections(pairs(*[0.5] * rows), path)
    pq.write_table(replaced(pq.read_table(path), "image_id", ["1"] * rows), path)
    with pytest.raises(ValueError, match=message):
        read_vcoco_detections(str(path), [1])
