"""`relforge import label-studio`: what people corrected wins in exports and training, and is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relforge.data.boxes import load_boxes
from relforge.data.source_tables import read_run
from relforge.data.sources import load_relations
from tests.fixtures.labelled import label_world

Task = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label_world(tmp_path_factory.mktemp("labelled"), images=6)


@pytest.fixture
def tasks(run: Path, relforge: Any, tmp_path: Path) -> list[Task]:
    """What Label Studio is given, each task annotated with its own prediction."""
    for name in ("corrections", "corrected_boxes"):
        (run / f"{name}.parquet").unlink(missing_ok=True)
    out = tmp_path / "export"
    assert relforge("export", run, "--to", "label-studio", "--out", out).code == 0
    tasks: list[Task] = json.loads((out / "tasks.json").read_text())
    for task in tasks:
        prediction = task["predictions"][0]
        task["annotations"] = [annotation(prediction["result"])]
    return tasks


def annotation(result: list[Any], **more: Any) -> Task:
    return {"id": 1, "was_cancelled": False, "updated_at": "2026-01-02T00:00:00Z", "result": result} | more


def relations_of(task: Task) -> list[dict[str, Any]]:
    rows = task["annotations"][0]["result"]
    return [one for one in rows if one["type"] == "relation"]


def facts(rows: Any) -> set[tuple[str, int, str, int]]:
    return {(r["image_id"], r["subject_box"], r["predicate"], r["object_box"]) for r in rows}


def save(tasks: list[Task], tmp_path: Path) -> Path:
    path = tmp_path / "project-1.json"
    path.write_text(json.dumps(tasks))
    return path


def corrected(tasks: list[Task]) -> tuple[tuple[str, int, str, int], tuple[str, int, str, int]]:
    """Remove one relation of a task and add another; both as facts."""
    task = next(one for one in tasks if len(relations_of(one)) > 1)
    image, result = task["data"]["image_id"], task["annotations"][0]["result"]
    gone = relations_of(task)[0]
    label = gone["labels"].pop()
    if not gone["labels"]:
        result.remove(gone)
    new = {"type": "relation", "from_id": gone["to_id"], "to_id": gone["from_id"], "direction": "right"}
    result.append(new | {"labels": ["admired by"]})
    ends = [int(gone[end].removeprefix("box-")) for end in ("from_id", "to_id")]
    return (image, ends[0], label, ends[1]), (image, ends[1], "admired by", ends[0])


def test_what_a_person_said_wins_in_exports_and_in_training(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path
) -> None:
    removed, added = corrected(tasks)
    before = facts(pq.read_table(run / "relations").to_pylist())
    assert removed in before
    said = relforge("import", "label-studio", save(tasks, tmp_path), "--into", run, "--json")
    assert said.code == 0, said.err
    assert (said.json["images"], said.json["removed"], said.json["added"]) == (6, 1, 1)
    assert said.json["right"] == len(before) - 1

    out = tmp_path / "out"
    assert relforge("export", run, "--to", "parquet", "--out", out, "--min-score", 0.9).code == 0
    exported = pq.read_table(out / "relations.parquet").to_pylist()
    assert facts(exported) == before - {removed} | {added}  # people's relations score 1
    (new,) = [row for row in exported if row["predicate"] == "admired by"]
    assert (new["score"], new["tagger"], len(new["relation_id"])) == (1.0, "corrected", 32)
    trained = [row for shard in read_run(str(run), threshold=0.9) for row in shard["relations"].to_pylist()]
    assert facts(trained) == facts(exported)
    data = load_relations([{"run": str(run), "relations": "relations"}])
    assert "admired by" in data.predicates  # as a recipe reads it
    assert facts(pq.read_table(run / "relations").to_pylist()) == before  # the run's own stay


def test_the_report_measures_agreement(run: Path, tasks: list[Task], relforge: Any, tmp_path: Path) -> None:
    assert relforge("report", run, "--json").json["agreement"] is None
    corrected(tasks)
    relforge("import", "label-studio", save(tasks, tmp_path), "--into", run)
    report = relforge("report", run, "--json").json["agreement"]
    shown = sum(len(one["data"]["shown"]) for one in tasks)
    total = report["total"]
    assert (total["right"], total["removed"], total["added"]) == (shown - 1, 1, 1)
    assert total["precision"] == pytest.approx((shown - 1) / shown)
    assert sum(row["right"] + row["removed"] for row in report["scores"]) == shown
    assert "people judged 6 images" in relforge("report", run).out
    assert "Agreement with people" in (run / "report.html").read_text()
    inspected = relforge("inspect", run, "--table", "corrections", "--where", "verdict = 'removed'")
    assert inspected.code == 0, inspected.err


def test_later_files_replace_what_was_said_of_their_images(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path
) -> None:
    corrected(tasks)
    relforge("import", "label-studio", save(tasks, tmp_path), "--into", run)
    again = [task for task in tasks if task["data"]["image_id"] == tasks[0]["data"]["image_id"]]
    again[0]["annotations"] = [annotation([])]
    said = relforge("import", "label-studio", save(again, tmp_path), "--into", run, "--json").json
    assert (said["images"], said.get("right", 0)) == (1, 0)
    rows = pq.read_table(run / "corrections.parquet").to_pylist()
    verdicts = {row["verdict"] for row in rows if row["image_id"] == again[0]["data"]["image_id"]}
    assert verdicts <= {"removed"}
    assert len({row["image_id"] for row in rows}) > 1  # others stay


def test_what_cannot_be_a_relation_of_the_run_is_counted(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path
) -> None:
    task = next(one for one in tasks if relations_of(one))
    result = task["annotations"][0]["result"]
    region = dict(next(one for one in result if one["type"] == "rectanglelabels"))
    first = region["id"]
    turned = region | {"id": "Xy12", "value": region["value"] | {"rotation": 30}}
    redrawn = region | {"id": "Ab34"}
    other = next(one["id"] for one in result if one["type"] == "rectanglelabels" and one["id"] != first)
    base = {"type": "relation", "direction": "right", "labels": ["x"]}
    result += [
        turned,
        redrawn,
        base | {"from_id": "Xy12", "to_id": first},
        base | {"from_id": first, "to_id": first},
        base | {"from_id": first, "to_id": other, "labels": []},
        base | {"from_id": "Ab34", "to_id": other, "direction": "left", "labels": ["left of"]},
    ]
    tasks[-1]["annotations"] = [annotation([], was_cancelled=True)]
    tasks.append({"data": {"image_id": "nowhere"}, "annotations": [annotation([])]})
    said = relforge("import", "label-studio", save(tasks, tmp_path), "--into", run)
    assert said.code == 0, said.err
    left_out = ("rotated_box", "without_box", "self_relation", "without_label", "not_annotated")
    for count in (*left_out, "unknown_image"):
        assert f"1 {count}" in said.out
    box = [int(one.removeprefix("box-")) for one in (other, first)]
    rows = pq.read_table(run / "corrections.parquet").to_pylist()
    assert [
        (r["subject_box"], r["object_box"], r["verdict"]) for r in rows if r["predicate"] == "left of"
    ] == [(*box, "added")]


def boxes_of(task: Task) -> dict[str, dict[str, Any]]:
    rows = task["annotations"][0]["result"]
    return {one["id"]: one for one in rows if one["type"] == "rectanglelabels"}


def corrected_boxes(tasks: list[Task]) -> tuple[str, int, int, int]:
    """In a task of three boxes with relations: one moved, one taken away with its relations, one drawn and
    related to the first. The image, and the boxes of the run."""
    task = next(one for one in tasks if len({r["from_id"] for r in relations_of(one)}) > 1)
    result, boxes = task["annotations"][0]["result"], boxes_of(task)
    gone = relations_of(task)[0]["from_id"]
    moved = next(name for name in boxes if name != gone)
    result[:] = [one for one in result if gone not in (one.get("id"), one.get("from_id"), one.get("to_id"))]
    boxes[moved]["value"] |= {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0}
    new = boxes[moved] | {"id": "aB3_x", "value": boxes[moved]["value"] | {"x": 60.0, "width": 80.0}}
    new["value"]["rectanglelabels"] = ["kite"]
    base = {"type": "relation", "direction": "right", "labels": ["above"]}
    result += [new, base | {"from_id": "aB3_x", "to_id": moved}]
    ids = [int(name.removeprefix("box-")) for name in (moved, gone)]
    return task["data"]["image_id"], ids[0], ids[1], max(int(n.removeprefix("box-")) for n in boxes) + 1


def test_boxes_that_a_person_moved_drew_or_took_away_win(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path
) -> None:
    image, moved, gone, new = corrected_boxes(tasks)
    said = relforge("import", "label-studio", save(tasks, tmp_path), "--into", run, "--json")
    assert said.code == 0, said.err
    counts = {name: said.json[f"boxes_{name}"] for name in ("changed", "removed", "added")}
    assert counts == {"changed": 1, "removed": 1, "added": 1}
    [row] = [one for one in pq.read_table(run / "images").to_pylist() if one["image_id"] == image]
    width, height = row["width"], row["height"]

    out = tmp_path / "out"
    assert relforge("export", run, "--to", "parquet", "--out", out).code == 0
    exported = [one for one in pq.read_table(out / "boxes.parquet").to_pylist() if one["image_id"] == image]
    boxes = {one["box_id"]: (one["category"], one["x"], one["y"], one["w"], one["h"]) for one in exported}
    assert gone not in boxes
    sides = (0.1 * width, 0.2 * height, 0.3 * width, 0.4 * height)
    assert boxes[moved][1:] == pytest.approx(sides)
    assert boxes[new] == ("kite", *map(pytest.approx, (0.6 * width, sides[1], 0.4 * width, sides[3])))
    relations = [
        one for one in pq.read_table(out / "relations.parquet").to_pylist() if one["image_id"] == image
    ]
    assert gone not in {one[end] for one in relations for end in ("subject_box", "object_box")}
    assert [(one["subject_box"], one["object_box"]) for one in relations if one["predicate"] == "above"] == [
        (new, moved)
    ]
    detector = load_boxes([{"run": str(run)}])  # training reads the same
    assert "kite" in detector.categories
    assert "kite" in load_relations([{"run": str(run), "relations": "relations"}]).categories
    own = pq.read_table(run / "boxes").to_pylist()
    assert gone in {one["box_id"] for one in own if one["image_id"] == image}  # the run's own stay


def test_a_second_round_keeps_the_numbers_of_boxes_that_were_added(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path
) -> None:
    image, moved, _, new = corrected_boxes(tasks)
    relforge("import", "label-studio", save(tasks, tmp_path), "--into", run)
    out = tmp_path / "second"
    assert relforge("export", run, "--to", "label-studio", "--out", out).code == 0
    second = json.loads((out / "tasks.json").read_text())
    for task in second:
        task["annotations"] = [annotation(task["predictions"][0]["result"])]

    said = relforge("import", "label-studio", save(second, tmp_path), "--into", run, "--json").json

    assert (said["boxes_changed"], said["boxes_removed"], said["boxes_added"]) == (1, 1, 1)
    assert said.get("removed", 0) == 0
    rows = pq.read_table(run / "corrected_boxes.parquet").to_pylist()
    verdicts = {one["box_id"]: one["verdict"] for one in rows if one["image_id"] == image}
    assert (verdicts[moved], verdicts[new]) == ("changed", "added")


def test_agreement_counts_boxes(run: Path, tasks: list[Task], relforge: Any, tmp_path: Path) -> None:
    corrected_boxes(tasks)
    relforge("import", "label-studio", save(tasks, tmp_path), "--into", run)

    boxes = relforge("report", run, "--json").json["agreement"]["boxes"]

    total = pq.read_table(run / "boxes").num_rows
    assert boxes == {"right": total - 2, "changed": 1, "removed": 1, "added": 1}
    assert f"of {total:,} boxes they left {total - 2:,}, changed 1 and removed 1, and they added 1" in (
        relforge("report", run).out
    )


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"value": {"rotation": 12.5}}, "rotated_box"),
        ({"value": {"rectanglelabels": []}}, "box_without_label"),
        ({"value": {"x": 100.0, "width": 5.0}}, "empty_box"),
        ({"type": "polygonlabels"}, "other_shape"),
    ],
)
def test_a_box_that_cannot_be_applied_is_counted_and_stays(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path, changes: Task, count: str
) -> None:
    task = next(one for one in tasks if boxes_of(one))
    region = next(iter(boxes_of(task).values()))
    region["value"] |= changes.get("value", {})
    region["type"] = changes.get("type", region["type"])

    said = relforge("import", "label-studio", save(tasks, tmp_path), "--into", run)

    assert said.code == 0, said.err
    assert f"1 {count}" in said.out
    assert "0 changed, 0 removed, 0 added" in said.out


def test_percents_of_a_turned_image_are_left_out(
    run: Path, tasks: list[Task], relforge: Any, tmp_path: Path
) -> None:
    first, second = (next(iter(boxes_of(one).values())) for one in tasks[:2])
    first["image_rotation"] = 90
    second |= {"original_width": 3 * second["original_height"]}

    said = relforge("import", "label-studio", save(tasks, tmp_path), "--into", run, "--json").json

    assert (said["turned_image"], said["images"]) == (2, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ('{"a": 1}', "not a list of tasks"),
        ('[{"data": {}}]', "task 0: data has no image_id"),
        ('[{"data": {"image_id": "elsewhere"}, "annotations": []}]', "the run has none of its images"),
    ],
)
def test_files_that_are_no_corrections_are_one_sentence(
    run: Path, relforge: Any, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    said = relforge("import", "label-studio", file, "--into", run)
    assert (said.code, message in said.err) == (64, True), said.err
    missing = relforge("import", "label-studio", tmp_path / "none.json", "--into", run)
    assert (missing.code, "cannot be read" in missing.err) == (64, True)
    unknown = relforge("import", "cvat", file, "--into", run)
    assert (unknown.code, "annotation tool" in unknown.err) == (64, True), unknown.err
