"""Datasets from the field: each odd record is read for what it says, or set aside, or the file is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cases.conftest import Case
from tests.fixtures.adapters import jpeg

RIDING = "a man riding a horse"
SIZE = {"width": 320, "height": 240}
BOXES = {"x": [20.0, 60.0], "y": [20.0, 120.0], "w": [80.0, 160.0], "h": [120.0, 90.0]}
ALL = "run.quarantine_limit=1"


@pytest.fixture(autouse=True)
def captions(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Riding in every image; the dataset's paths are relative to its folder."""
    monkeypatch.chdir(case.folder)
    case.write("captions.json", {str(k): [RIDING] for k in range(1, 41)})


def change(case: Case, **members: Any) -> None:
    """Change fields of the first records of `ann.json`: member -> one dict a record."""
    document = json.loads((case.folder / "ann.json").read_text())
    for member, changes in members.items():
        for record, fields in zip(document[member], changes, strict=False):
            record |= fields
    case.write("ann.json", document)


def scenes(case: Case, sizes: list[dict[str, Any]], **relation: Any) -> tuple[str, ...]:
    """Visual Genome files of a man riding a horse in each image; gives the overrides that read them."""
    objects = [
        {"object_id": k + 1, "names": [name]} | {n: BOXES[n][k] for n in BOXES}
        for k, name in enumerate(("man", "horse"))
    ]
    riding = {"relationship_id": 1, "predicate": "riding", "subject_id": 1, "object_id": 2} | relation
    ids = dict.fromkeys(size["image_id"] for size in sizes)
    graphs = [{"image_id": i, "objects": objects, "relationships": [riding]} for i in ids]
    case.write("sg.json", graphs)
    case.write("id.json", sizes)
    where = f"dataset.annotations={case.folder / 'sg.json'}", f"dataset.image_data={case.folder / 'id.json'}"
    return "dataset.format=visual_genome", *where


def parquet(case: Case, images: dict[str, Any], boxes: dict[str, Any], folder: str = ".") -> tuple[str, ...]:
    """Parquet files of a man and a horse in each image."""
    (case.folder / folder).mkdir(exist_ok=True)
    count = len(images["image_id"])
    owners = [i for i in images["image_id"] for _ in range(2)]
    columns = {"image_id": owners, "category": ["person", "horse"] * count}
    columns |= {name: values * count for name, values in BOXES.items()} | boxes
    sizes = {name: [value] * count for name, value in SIZE.items()}
    pq.write_table(pa.table(sizes | images), case.folder / folder / "images.parquet")
    pq.write_table(pa.table(columns), case.folder / folder / "boxes.parquet")
    return read_as("parquet", root=folder)


def read_as(name: str, **options: Any) -> tuple[str, ...]:
    """The override that takes another format in place of COCO's."""
    values = {"name": "case", "split": "all", "format": name} | options
    return (f"dataset={json.dumps(values)}",)


def set_aside(case: Case) -> Counter[str]:
    """Reason -> records that ingest set aside."""
    return Counter(case.sidecar("images")["quarantined"])


def test_crowd_as_text_is_what_it_says(case: Case) -> None:
    case.images("1.jpg", "2.jpg", "3.jpg")
    change(case, annotations=[{"iscrowd": text} for text in ("0", "0", "false", "false")])

    assert case.run().code == 0

    assert case.related() == {"1", "2", "3"}
    assert case.rows("boxes", ["iscrowd"]) == [(False,)] * 6


def test_a_file_name_that_was_not_utf_8_costs_one_image(case: Case) -> None:
    case.images(*(f"{k}.jpg" for k in range(1, 41)))
    change(case, images=[{}] * 7 + [{"file_name": "p\udce9re.jpg"}])

    assert case.run("dataset.images=pics").code == 0

    assert set_aside(case) == {"bad_file_name": 1}
    assert len(case.related()) == 39


def test_a_class_name_that_is_no_text_costs_its_boxes(case: Case) -> None:
    case.images("1.jpg")
    change(case, categories=[{"name": "person \ud83d"}])

    assert case.run(ALL).code == 0

    assert set_aside(case) == {"unknown_category": 1}


def test_a_predicate_that_is_no_text_costs_its_relation(case: Case) -> None:
    overrides = scenes(case, [{"image_id": 1, **SIZE}], predicate="on \ud800")

    assert case.run(*overrides, ALL).code == 0

    assert set_aside(case) == {"malformed_relation": 1}


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        ({"width": None, "height": None}, 2),
        ({"width": 10**20}, 2),
        ({"width": float("nan")}, 2),
        ({"width": "320", "height": "240"}, 3),
    ],
)
def test_a_size_in_image_data_is_read_or_costs_one_image(case: Case, size: dict[str, Any], kept: int) -> None:
    sizes: list[dict[str, Any]] = [{"image_id": k, **SIZE} for k in (1, 2, 3)]
    sizes[1] |= size

    assert case.run(*scenes(case, sizes), ALL).code == 0

    assert set_aside(case) == ({"bad_image_size": 1} if kept == 2 else {})
    assert len(case.rows("images", ["image_id"])) == kept


def test_an_image_of_two_sizes_is_set_aside(case: Case) -> None:
    sizes = [{"image_id": k, **SIZE} for k in (1, 2, 3)]

    assert case.run(*scenes(case, [*sizes, {"image_id": 2, "width": 10, "height": 10}]), ALL).code == 0

    assert set_aside(case) == {"bad_image_size": 1}
    assert case.rows("images", ["image_id"]) == [("1",), ("3",)]


def test_a_category_id_of_two_classes_is_refused(case: Case) -> None:
    case.images("1.jpg")
    document = json.loads((case.folder / "ann.json").read_text())
    document["categories"].append({"id": 2, "name": "dog"})
    case.write("ann.json", document)

    said = case.run()

    assert said.code == 3
    assert "ann.json: categories: id 2 is given twice, as 'horse' and as 'dog'" in said.out


def test_a_label_of_two_classes_is_refused(case: Case) -> None:
    case.write("classes.csv", "/m/1,Man\n/m/2,Horse\n/m/2,Pony\n")
    case.write("boxes.csv", "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,/m/1,0.1,0.5,0.1,0.5\n")
    files = {"boxes": "boxes.csv", "classes": "classes.csv"}

    said = case.run(*read_as("openimages", image_size=[320, 240], **files))

    assert said.code == 3
    assert "classes.csv: label /m/2 is given twice, as 'Horse' and as 'Pony'" in said.out


def test_boxes_as_shares_of_the_image_are_refused(case: Case) -> None:
    case.images("1.jpg")
    change(case, annotations=[{"bbox": [0.0625, 0.083, 0.25, 0.5]}, {"bbox": [0.1875, 0.5, 0.5, 0.375]}])

    said = case.run()

    assert said.code == 3
    assert "ann.json: every box lies within one pixel" in said.out


@pytest.mark.parametrize(
    ("cells", "code", "says"),
    [
        (pa.array([0.0, 1.0, None, 1.0]), 3, "box_id is empty in 1 of 4 rows"),
        (pa.array([0, 1, None, 1]), 3, "box_id is empty in 1 of 4 rows"),
        (pa.array(["a", "1", "0", "1"]), 0, "malformed_annotation 1"),
    ],
)
def test_box_ids_in_parquet_are_numbers_of_all_boxes(case: Case, cells: Any, code: int, says: str) -> None:
    said = case.run(*parquet(case, {"image_id": [1, 2]}, {"box_id": cells}), ALL)

    assert said.code == code
    assert says in said.out


def test_crowds_in_parquet_may_be_words(case: Case) -> None:
    assert case.run(*parquet(case, {"image_id": [1, 2]}, {"iscrowd": ["no", "0", "0", "yes"]})).code == 0

    assert case.rows("boxes", ["image_id", "box_id", "iscrowd"]) == [
        ("1", 0, False),
        ("1", 1, False),
        ("2", 0, False),
        ("2", 1, True),
    ]


def test_float_ids_in_parquet_are_the_integers(case: Case) -> None:
    overrides = parquet(case, {"image_id": [10**15]}, {"image_id": [1e15, 1e15]})

    assert case.run(*overrides).code == 0

    assert case.rows("boxes", ["image_id"]) == [("1000000000000000",)] * 2


def test_the_root_of_parquet_files_is_a_folder_and_no_pattern(case: Case) -> None:
    assert case.run(*parquet(case, {"image_id": [1, 2]}, {}, "set [v2]")).code == 0

    assert case.related() == {"1", "2"}


@pytest.mark.parametrize("images", ["VG_100K", ".", "VG_100K_2"])
def test_both_image_folders_of_visual_genome_are_used(case: Case, images: str) -> None:
    urls = ("https://example.org/VG_100K/1.jpg", "https://example.org/VG_100K_2/2.jpg")
    sizes = [{"image_id": k, **SIZE, "url": url} for k, url in enumerate(urls, 1)]
    for folder, name in (("VG_100K", "1.jpg"), ("VG_100K_2", "2.jpg")):
        (case.folder / folder).mkdir()
        (case.folder / folder / name).write_bytes(jpeg(320, 240))
    where = "[VG_100K, VG_100K_2]" if images == "." else images

    assert case.run(*scenes(case, sizes), f"dataset.images={where}", "dataset.require_images=true").code == 0

    assert case.rows("images", ["uri"]) == [("VG_100K/1.jpg",), ("VG_100K_2/2.jpg",)]


def test_ids_of_objects_are_equal_as_number_and_as_text(case: Case) -> None:
    overrides = scenes(case, [{"image_id": 1, **SIZE}], subject_id="1", object_id=2.0)

    assert case.run(*overrides).code == 0

    assert case.rows("gold", ["subject_box", "predicate", "object_box"]) == [(0, "riding", 1)]


@pytest.mark.parametrize("name", ["../private/secret.jpg", "{absolute}", "link.jpg", "linked/secret.jpg"])
def test_a_file_outside_the_images_folder_is_not_read(case: Case, name: str) -> None:
    pics, private = case.folder / "pics", case.folder / "private"
    pics.mkdir()
    private.mkdir()
    (private / "secret.jpg").write_bytes(jpeg(320, 240))
    (pics / "link.jpg").symlink_to(private / "secret.jpg")
    (pics / "linked").symlink_to(private)
    case.images(name.format(absolute=private / "secret.jpg"))

    said = case.run("dataset.images=pics", "dataset.embed_images=true", ALL)
    assert said.code == 0
    assert set_aside(case) == {"path_outside_images": 1}

    folder = case.folder / "run"
    folder.rename(Path(f"{folder}_before"))
    said = case.run("dataset.images=pics", "dataset.embed_images=true", "dataset.follow_links=true")
    assert said.code == 0
    assert case.rows("images", ["bytes"]) == [(jpeg(320, 240),)]


def test_of_an_image_that_is_listed_twice_the_usable_record_is_used(case: Case) -> None:
    case.images("1.jpg", "2.jpg")
    document = json.loads((case.folder / "ann.json").read_text())
    document["images"].insert(0, document["images"][0] | {"width": 0, "height": 0})
    case.write("ann.json", document)

    assert case.run(ALL).code == 0

    assert set_aside(case) == {"bad_image_size": 1}
    assert case.related() == {"1", "2"}


def test_half_a_surrogate_pair_in_a_class_name_costs_the_boxes_of_that_class(case: Case) -> None:
    case.images("1.jpg", "2.jpg")
    change(case, categories=[{"name": "pers\udce9on"}])

    assert case.run().code == 3
    said = case.run(ALL)
    assert said.code == 0, said.err
    assert case.sidecar("images")["quarantined"] == {"unknown_category": 2}
    assert case.rows("boxes", ["category"]) == [("horse",)] * 2


def test_half_a_surrogate_pair_in_a_predicate_costs_that_relation(case: Case) -> None:
    words = scenes(case, [{"image_id": i, **SIZE} for i in (1, 2)])
    graphs = json.loads((case.folder / "sg.json").read_text())
    graphs[0]["relationships"][0]["predicate"] = "rid\udce9ing"
    case.write("sg.json", graphs)

    said = case.run(*words, ALL)

    assert said.code == 0, said.err
    assert case.sidecar("images")["quarantined"] == {"malformed_relation": 1}
    assert case.rows("gold", ["image_id", "predicate"]) == [("2", "riding")]
