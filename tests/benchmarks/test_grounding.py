"""benchmarks/grounding.py counts rows as benchmarks/results/grounding.md says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One image: a rider on a horse, a horse further off, a bystander; both people are said to ride."""
    boxes = [[10, 10, 20, 40], [8, 30, 40, 40], [150, 30, 40, 40], [100, 10, 20, 40]]
    names = ["person", "horse", "horse", "person"]
    image = {"id": 7, "file_name": "7.jpg", "width": 200, "height": 100}
    instances = {
        "images": [image],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}],
        "annotations": [
            {"id": at, "image_id": 7, "category_id": 1 + (name == "horse"), "bbox": box, "iscrowd": 0}
            for at, (name, box) in enumerate(zip(names, boxes, strict=True))
        ],
    }
    pairs = {
        "annotations": [
            {
                "file_name": "7.jpg",
                "boxes_h": [[10, 10, 30, 50]],
                "boxes_o": [[8, 30, 48, 70]],
                "actions": [0],
                "objects": [2],
            }
        ],
        "classes": ["ride instr"],
        "objects": ["background", "person", "horse"],
    }
    captions = [{"image_id": 7, "caption": text} for text in ("A man rides a horse.", "A man rides a horse.")]
    written = {"boxes": instances, "pairs": pairs, "captions": captions}
    for name, content in written.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return {name: tmp_path / f"{name}.json" for name in written}


def run(monkeypatch, capsys, files, *options) -> list[dict]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import grounding

    arguments = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["grounding.py", *arguments, *map(str, options), "--json"])
    grounding.main()
    return json.loads(capsys.readouterr().out)


def test_rows_of_a_rule_are_counted_and_saved(monkeypatch, capsys, files, tmp_path) -> None:
    saved = tmp_path / "rows.parquet"
    rows = run(monkeypatch, capsys, files, "--rules", "all", "nearest", "--save", saved)

    found = {row["case"]: row for row in rows}
    assert list(found) == ["distance", "all", "nearest"]
    # four pairs ride, which may mean surfing too; one of the eight rows is annotated, of the nearest pair
    assert found["all"]["verb_recall"] == found["all"]["pair_recall"] == 1
    assert (found["all"]["verb_precision"], found["all"]["candidates_per_image"]) == (0.125, 4)
    assert (found["distance"]["average_precision"], found["distance"]["choice"]) == (1, 1)
    assert found["distance"]["choice_claims"] == 1
    assert found["nearest"]["precision_at_0.30"] == 1
    assert found["nearest"]["gain_average_precision"] == 1
    table = pq.read_table(saved)
    assert table.column_names == [
        *("rule", "image_id", "subject_box", "object_box", "predicate", "verb", "score")
    ]
    assert table.num_rows == 24
    first = max(table.to_pylist()[:4], key=lambda row: row["score"])
    assert (first["subject_box"], first["object_box"], first["verb"]) == (0, 1, "ride")


def test_precision_is_averaged_over_the_right_rows_that_are_reached(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from grounding import Count, precisions

    right = np.array([True, False, True, False])
    count = Count([], np.zeros(0), np.zeros(0), right, np.array([0, 0, 1, 1]), np.array([1, 3]))

    found = precisions(count, np.array([0.9, 0.8, 0.7, 0.6]), np.ones(2))
    assert found[0] == pytest.approx((1 + 2 / 3) / 2)
    assert found[1:] == pytest.approx([1, 1, 2 / 3])
    once = precisions(count, np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 2]))
    assert once[0] == pytest.approx(1)
