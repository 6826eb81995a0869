"""Objects365: corrected names and patch folders."""

from __future__ import annotations

import json

import pytest

from relforge.stages.ingest.objects365 import class_name
from relforge.stages.registry import build_source


@pytest.mark.parametrize(
    ("published", "corrected"),
    [
        ("Person", "person"),
        ("Moniter/TV", "monitor/tv"),
        ("Cigar/Cigarette ", "cigar/cigarette"),
        ("Tape Measur/ Ruler", "tape measure/ruler"),
        ("Hotair ballon", "hotair balloon"),
        ("Table Tennis ", "table tennis"),
    ],
)
def test_names_are_corrected(published, corrected):
    assert class_name(published) == corrected


def test_images_are_found_by_split_and_patch(tmp_path):
    path = tmp_path / "zhiyuan_objv2_val.json"
    image = {
        "id": 420917,
        "file_name": "images/v1/patch8/objects365_v1_00420917.jpg",
        "width": 9,
        "height": 9,
    }
    box = {"id": 1, "image_id": 420917, "category_id": 308, "bbox": [1, 1, 5, 5], "iscrowd": 1, "isfake": 0}
    path.write_text(
        json.dumps({"images": [image], "annotations": [box], "categories": [{"id": 308, "name": "Campel"}]})
    )

    [shard] = build_source("objects365", annotations={"val": str(path)}, images="/data/o365/").shards(9)

    assert shard.tables["images"]["uri"].to_pylist() == ["/data/o365/val/patch8/objects365_v1_00420917.jpg"]
    [row] = shard.tables["boxes"].to_pylist()
    assert (row["category"], row["iscrowd"]) == ("camel", True)


def test_every_published_name_becomes_the_name_of_the_corrected_list(shared):
    published = json.loads(shared("data/vocab/rlipv2/o365_categories.json").read_text())
    corrected = list(json.loads(shared("data/vocab/rlipv2/o365_obj_paraphrase.json").read_text()))

    assert [class_name(c["name"]) for c in published] == corrected
