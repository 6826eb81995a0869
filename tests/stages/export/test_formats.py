"""What each export format holds."""

from __future__ import annotations

import json
import os
from urllib.parse import quote
from xml.etree import ElementTree

import fsspec
import pyarrow.parquet as pq
import pytest

from relforge.stages.export import export
from relforge.stages.relation_ids import derive_relation_ids


@pytest.fixture
def shards(rows):
    """A person on a horse, a dog that chases the horse, and a crowd nobody mentions."""
    relations = [
        {"subject_box": 0, "object_box": 1, "predicate": "riding", "score": 0.8},
        {"subject_box": 2, "object_box": 1, "predicate": "chasing", "score": 0.3},
    ]
    boxes = [
        {"box_id": 0, "category": "person", "x": 10, "y": 10, "w": 20, "h": 40},
        {"box_id": 1, "category": "horse", "x": 5, "y": 30, "w": 50, "h": 50},
        {"box_id": 2, "category": "dog", "x": 70, "y": 70, "w": 10, "h": 10},
        {"box_id": 3, "category": "person", "x": 0, "y": 0, "w": 90, "h": 10, "iscrowd": True},
    ]
    tables = {"images": rows.table("images", {"image_id": "139", "uri": "p/139.jpg"})}
    tables["boxes"] = rows.table("boxes", *boxes, image_id="139")
    tables["relations"] = rows.table("scores", *relations, image_id="139")
    return [tables]


def test_rlipv2_has_the_fields_the_published_trainer_reads(shards, tmp_path):
    counts = export("rlipv2", iter(shards), str(tmp_path / "out.json"))

    [row] = json.loads((tmp_path / "out.json").read_text())
    assert counts == {"images": 1, "boxes": 3, "relations": 2}
    assert (row["image_id"], row["dataset"], row["data_split"]) == (139, "d", "s")
    assert [o["names"] for o in row["objects"]] == ["person", "horse", "dog"]  # no crowd
    assert {"object_id", "x", "y", "w", "h", "names"} <= set(row["objects"][0])
    assert all(isinstance(row["objects"][0][k], float) for k in "xywh")
    ids = {o["object_id"]: o["names"] for o in row["objects"]}
    relations = row["relationships"]
    ends = [(ids[r["subject_id"]], ids[r["object_id"]]) for r in relations]
    found = [(s, r["predicate"], o, r["confidence"]) for r, (s, o) in zip(relations, ends, strict=True)]
    assert found == [("person", "riding", "horse", 0.8), ("dog", "chasing", "horse", 0.3)]
    assert len({r["relationship_id"] for r in row["relationships"]}) == 2


def test_vg_has_lists_of_names_and_no_dataset(shards, tmp_path):
    export("vg", iter(shards), str(tmp_path / "out.json"))

    [row] = json.loads((tmp_path / "out.json").read_text())
    assert row["objects"][0]["names"] == ["person"]
    assert "dataset" not in row


def test_hico_has_people_as_subjects_and_counts_the_rest(shards, tmp_path):
    counts = export("hico", iter(shards), str(tmp_path / "out.json"))

    [row] = json.loads((tmp_path / "out.json").read_text())
    assert counts["left_out"] == 1
    assert row["file_name"] == "139.jpg"
    assert row["annotations"][0] == {"bbox": [10, 10, 30, 50], "category_id": 1, "category": "person"}
    [action] = row["hoi_annotation"]
    assert action == {"subject_id": 0, "object_id": 1, "category_id": 77, "verb": "riding", "score": 0.8}


def test_hico_numbers_what_its_lists_have_by_them_and_the_rest_behind(rows, tmp_path):
    names = ["Person", "motor_bike", "lamp", "horse"]
    predicates = ["sitting on", "wash", "no_interaction", "gazing at", "holds", "eating at"]
    tables = {"images": rows.table("images", {"image_id": "1"}), "boxes": rows.boxes(*names)}
    facts = [{"subject_box": 0, "object_box": 1, "predicate": predicate} for predicate in predicates]
    tables["relations"] = rows.table("scores", *facts, score=0.5)

    export("hico", iter([tables]), str(tmp_path / "out.json"))

    [row] = json.loads((tmp_path / "out.json").read_text())
    numbers = {box["category"]: box["category_id"] for box in row["annotations"]}
    assert numbers == {"Person": 1, "motor_bike": 91, "lamp": 92, "horse": 19}
    verbs = {action["verb"]: action["category_id"] for action in row["hoi_annotation"]}
    assert verbs == {
        "sitting on": 88, "wash": 112, "no_interaction": 58, "gazing at": 118, "holds": 37, "eating at": 25
    }  # fmt: skip


def test_no_box_is_related_to_itself_and_no_relation_comes_twice(shards, rows, tmp_path):
    facts = [
        {"subject_box": 0, "object_box": 1, "predicate": "riding", "score": 0.3},
        {"subject_box": 0, "object_box": 1, "predicate": "riding", "score": 0.9},
        {"subject_box": 0, "object_box": 0, "predicate": "near", "score": 0.9},
        {"subject_box": 2, "object_box": 1, "predicate": "chasing", "score": 0.5},
    ]
    table = rows.table("scores", *facts, image_id="139")
    shards[0]["relations"] = table.append_column(
        "relation_id", derive_relation_ids(table, shards[0]["images"])
    )

    counts = {}
    for to in ("coco", "hico", "label-studio", "open-images", "parquet", "rlipv2", "vg"):
        counts[to] = export(to, iter(shards), str(tmp_path / to))

    assert {to: (n["relations"], n["left_out"]) for to, n in counts.items()} == {
        "coco": (2, 2), "hico": (1, 3), "label-studio": (2, 2), "open-images": (2, 2), "parquet": (2, 2),
        # these number relations by place, and published files have repeats
        "rlipv2": (3, 1), "vg": (3, 1),
    }  # fmt: skip
    relations = json.loads((tmp_path / "coco").read_text())["relations"]
    assert [(r["predicate"], r["score"]) for r in relations] == [("riding", 0.9), ("chasing", 0.5)]
    [image] = json.loads((tmp_path / "rlipv2").read_text())
    assert len({r["relationship_id"] for r in image["relationships"]}) == 3


def test_a_uri_stands_for_the_file_name_whole_where_its_end_is_not_unique(shards, rows, tmp_path):
    for shared, name in ((False, "139.jpg"), (True, "p/139.jpg")):
        image = {"image_id": "139", "uri": "p/139.jpg", "shared_name": shared}
        shards[0]["images"] = rows.table("images", image)
        export("hico", iter(shards), str(tmp_path / "out.json"))
        assert json.loads((tmp_path / "out.json").read_text())[0]["file_name"] == name


def test_pycocotools_loads_the_coco_export(shards, tmp_path):
    from pycocotools.coco import COCO

    export("coco", iter(shards), str(tmp_path / "out.json"))

    coco = COCO(str(tmp_path / "out.json"))
    assert len(coco.getAnnIds(imgIds=[139])) == 4
    relation = coco.dataset["relations"][0]
    assert coco.anns[relation["subject_id"]]["bbox"] == [10, 10, 20, 40]


def test_label_studio_has_regions_in_percent_and_relations_between_them(shards, tmp_path):
    export("label-studio", iter(shards), str(tmp_path / "out"))

    [task] = json.loads((tmp_path / "out" / "tasks.json").read_text())
    [prediction] = task["predictions"]
    result = prediction["result"]
    assert task["data"]["image"] == f"/data/local-files/?d={quote(os.path.abspath('p/139.jpg')[1:])}"
    assert prediction["score"] == pytest.approx(
        sum(one[3] for one in task["data"]["shown"]) / len(task["data"]["shown"])
    )
    assert result[0]["value"]["width"] == 20
    regions = {r["id"] for r in result if r["type"] == "rectanglelabels"}
    relation = next(r for r in result if r["type"] == "relation")
    assert {relation["from_id"], relation["to_id"]} <= regions
    assert relation["labels"] == ["riding"]
    view = ElementTree.parse(tmp_path / "out" / "labelling.xml").getroot()
    assert [one.get("value") for one in view.iter("Label")] == ["person", "horse", "dog"]
    assert [one.get("value") for one in view.iter("Relation")] == ["chasing", "riding"]


@pytest.mark.parametrize(
    ("uri", "options", "reference"),
    [
        ("/data/p/1 a.jpg", {"document_root": "/data"}, "/data/local-files/?d=p/1%20a.jpg"),
        ("s3://bucket/1.jpg", {}, "s3://bucket/1.jpg"),
        ("/data/1.jpg", {"image_url": "http://here:8000/{image_id}.jpg"}, "http://here:8000/139.jpg"),
    ],
)
def test_label_studio_can_show_the_images_that_tasks_name(shards, rows, tmp_path, uri, options, reference):
    shards[0]["images"] = rows.table("images", {"image_id": "139", "uri": uri}, width=100, height=100)
    export("label-studio", iter(shards), str(tmp_path / "out"), **options)
    [task] = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert task["data"]["image"] == reference


def test_an_image_that_label_studio_could_not_show_is_refused(shards, rows, tmp_path):
    shards[0]["images"] = rows.table("images", {"image_id": "139", "uri": "/data/1.jpg"}, width=9, height=9)
    with pytest.raises(ValueError, match="outside document_root /elsewhere"):
        export("label-studio", iter(shards), str(tmp_path / "out"), document_root="/elsewhere")


def test_without_relations_the_gold_of_the_dataset_is_written(shards, rows, tmp_path):
    pair = {"subject_box": 0, "object_box": 1, "predicate": "on"}
    shards[0]["gold"] = rows.table("gold", pair, image_id="139")
    del shards[0]["relations"]

    export("rlipv2", iter(shards), str(tmp_path / "out.json"))

    [row] = json.loads((tmp_path / "out.json").read_text())
    assert "confidence" not in row["relationships"][0]


@pytest.mark.parametrize("to", ["rlipv2", "coco", "parquet"])
def test_a_failed_export_leaves_the_old_output_and_nothing_else(shards, tmp_path, to):
    out = tmp_path / "sub" / "out"
    export(to, iter(shards), str(out))
    before = sorted(p.name for p in out.parent.rglob("*"))

    def broken():
        yield shards[0]
        raise OSError("the mount is gone")

    with pytest.raises(OSError, match="mount"):
        export(to, broken(), str(out))

    assert sorted(p.name for p in out.parent.rglob("*")) == before


@pytest.mark.parametrize("to", ["rlipv2", "parquet"])
def test_an_export_replaces_an_earlier_one_and_may_go_to_a_uri(shards, tmp_path, to):
    import fsspec

    for out in (str(tmp_path / "out"), f"memory://export/{to}"):
        for _ in range(2):
            export(to, iter(shards), out)
        filesystem, path = fsspec.core.url_to_fs(out)
        assert filesystem.exists(path)


@pytest.mark.parametrize(
    ("to", "options", "says"),
    [("yolo", {}, "choose one of coco"), ("hico", {"verb": 1}, "no option verb; it takes subject")],
)
def test_an_unknown_format_or_option_names_the_choices(shards, tmp_path, to, options, says):
    with pytest.raises(ValueError, match=says):
        export(to, iter(shards), str(tmp_path / "out"), **options)


def test_a_format_of_ones_own_is_named_by_module_and_function(shards, tmp_path, monkeypatch):
    (tmp_path / "pairs.py").write_text(
        "def write(tables, path, mark='-'):\n"
        "    rows = [r for shard in tables for r in shard['relations'].to_pylist()]\n"
        "    path.write_text(mark.join(r['predicate'] for r in rows))\n"
        "    return {'relations': len(rows)}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    counts = export("pairs:write", iter(shards), str(tmp_path / "out.txt"), mark="+")

    assert counts == {"relations": 2}
    assert sorted((tmp_path / "out.txt").read_text().split("+")) == ["chasing", "riding"]
    with pytest.raises(ValueError, match="'nowhere:write' cannot be loaded"):
        export("nowhere:write", iter(shards), str(tmp_path / "out"))


def test_hico_knows_its_subject_in_any_spelling(shards, tmp_path):
    usual = export("hico", iter(shards), str(tmp_path / "one.json"))
    assert export("hico", iter(shards), str(tmp_path / "other.json"), subject="Persons ") == usual
    assert usual["relations"] > 0


def test_folders_within_a_folder_reach_a_uri(shards):
    export("hf", iter(shards), "memory://hub/dataset", embed=False)
    files = fsspec.filesystem("memory")
    assert files.exists("/hub/dataset/README.md")
    table = pq.read_table("/hub/dataset/data/relations/s-00000.parquet", filesystem=files)
    assert sorted(table["predicate"].to_pylist()) == ["chasing", "riding"]
