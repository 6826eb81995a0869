"""Relations with columns of a stage's own keep them when people's corrections are applied."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from relforge.stages.corrections.table import SCHEMA, correct_relations


def test_an_added_relation_has_no_value_in_a_column_that_a_stage_adds(rows: Any) -> None:
    pair = {"subject_box": 0, "object_box": 1}
    relations = rows.table("relations", pair | {"predicate": "on", "score": 0.5})
    relations = relations.append_column("quality", pa.array([0.75], pa.float32()))
    said = pair | {"image_id": "1", "predicate": "near", "verdict": "added", "score": None, "source": "hand"}
    corrections = pa.Table.from_pylist([said], SCHEMA)

    found = correct_relations(relations, corrections, rows.table("images", {}), rows.boxes("a", "b"))

    assert found["predicate"].to_pylist() == ["near", "on"]
    assert found["quality"].to_pylist() == [None, 0.75]
