"""What the COCO source makes of a detection file, right and wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.class_table import read_classes
from relforge.stages.contract import SourceError
from relforge.stages.ingest.coco import CocoSource
from relforge.stages.tables import conform

PERSON, HORSE = {"id": 1, "name": "person"}, {"id": 19, "name": "horse"}


def image(identity: object = 7, **fields: object) -> dict[str, object]:
    return {"id": identity, "file_name": f"{identity}.jpg", "width": 100, "height": 80} | fields


def box(identity: object = 1, bbox: object = (10, 20, 30, 40), **fields: object) -> dict[str, object]:
    return {"id": identity, "image_id": 7, "category_id": 1, "bbox": bbox, "iscrowd": 0} | fields


def dataset(tmp_path: Path, images: list, boxes: list, name: str = "a.json") -> str:
    path = tmp_path / name
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [PERSON, HORSE]}))
    return str(path)


def shards(path: Any, shard_images: int = 10, **options: Any):
    """All shards, after checking that every record is accounted for and every table fits its schema."""
    found = list(CocoSource(path, **options).shards(shard_images))
    for shard in found:
        assert shard.notes["rows_in"] == shard.kept + sum(shard.dropped.values()) + len(shard.quarantined)
        for name, table in shard.tables.items():
            assert conform(name, table) == table
    return found


def reasons(shard) -> list[str]:
    return [q.reason for q in shard.quarantined]


@pytest.mark.parametrize("number", [2**31, 2**70, -2, -(2**40) - 1])
def test_a_box_number_that_is_not_ours_gives_way_to_the_place(tmp_path, number):
    path = dataset(tmp_path, [image()], [box(5), box(6, box_id=number)])

    [shard] = shards(path)

    assert shard.tables["boxes"]["box_id"].to_pylist() == [0, 1]
    assert not shard.quarantined


def test_boxes_that_bring_numbers_are_sorted_by_them(tmp_path):
    path = dataset(tmp_path, [image()], [box(5, box_id=3), box(6, box_id=1)])

    [shard] = shards(path)

    assert shard.tables["boxes"]["source_id"].to_pylist() == ["6", "5"]


def test_a_box_keeps_its_place_category_and_coordinates(tmp_path):
    path = dataset(tmp_path, [image()], [box(5, [1.5, 2, 3, 4], category_id=19, iscrowd=1)])

    [shard] = shards(path, images="photos", split="val", dataset="mine")

    [row] = shard.tables["images"].to_pylist()
    size = {"width": 100, "height": 80}
    file = {"uri": "photos/7.jpg", "bytes": None, "file_name": "7.jpg", "shared_name": False}
    assert row == {"image_id": "7", "dataset": "mine", "split": "val"} | size | file
    [row] = shard.tables["boxes"].to_pylist()
    place = {"x": 1.5, "y": 2.0, "w": 3.0, "h": 4.0}
    identity = {"image_id": "7", "box_id": 0, "source_id": "5"}
    assert row == identity | place | {"category": "horse", "iscrowd": True}
    assert shard.tables["gold"].num_rows == 0


def test_boxes_in_any_order_find_their_image(tmp_path):
    boxes = [box(1, image_id=9), box(2, image_id=7), box(3, image_id=9), box(4, image_id=7)]

    [shard] = shards(dataset(tmp_path, [image(7), image(9)], boxes))

    rows = shard.tables["boxes"].select(["image_id", "box_id", "source_id"]).to_pylist()
    found = [tuple(row.values()) for row in rows]
    assert found == [("7", 0, "2"), ("7", 1, "4"), ("9", 0, "1"), ("9", 1, "3")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (box(2, [0, 0, 5]), "malformed_annotation"),
        (box(2, None), "malformed_annotation"),
        (box(2, [0, 0, "5", 5]), "malformed_annotation"),
        (box(2, category_id=None), "malformed_annotation"),
        (box(1), "duplicate_annotation_id"),
        (box(2, image_id=8), "unknown_image"),
        (box(2, image_id=None), "unknown_image"),
        ("not a record", "unknown_image"),
    ],
)
def test_an_unusable_box_is_set_aside_and_the_others_keep_their_ids(tmp_path, bad, reason):
    path = dataset(tmp_path, [image()], [box(1), bad, box(3)])

    [shard] = shards(path)

    assert reasons(shard) == [reason]
    last = 1 if reason == "unknown_image" else 2
    assert shard.tables["boxes"]["box_id"].to_pylist() == [0, last]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (image(8, height=None), "bad_image_size"),
        (image(8, width="wide"), "bad_image_size"),
        (image(None), "malformed_image"),
    ],
)
def test_an_unusable_image_is_set_aside_and_its_boxes_are_counted(tmp_path, bad, reason):
    boxes = [box(1), box(2, image_id=8)] if bad["id"] == 8 else [box(1)]

    [shard] = shards(dataset(tmp_path, [image(7), bad], boxes))

    assert reasons(shard) == [reason]
    assert shard.dropped == ({"image_set_aside": 1} if bad["id"] == 8 else {})
    assert shard.tables["boxes"].num_rows == 1


def test_of_two_images_with_one_id_the_first_is_used(tmp_path):
    path = dataset(tmp_path, [image(7), image(7, file_name="other.jpg")], [box(1), box(2)])

    [shard] = shards(path, images="p")

    assert reasons(shard) == ["duplicate_image_id"]
    assert shard.tables["images"]["uri"].to_pylist() == ["p/7.jpg"]
    assert shard.tables["boxes"].num_rows == 2


def test_an_image_id_that_an_earlier_split_has_is_set_aside(tmp_path):
    train = dataset(tmp_path, [image(7)], [box(1)], "train.json")
    val = dataset(tmp_path, [image(7), image(8)], [box(1), box(2, image_id=8)], "val.json")

    first, second = shards({"train": train, "val": val})

    assert not first.quarantined
    assert reasons(second) == ["duplicate_image_id"]
    assert second.dropped == {"image_set_aside": 1}
    assert second.tables["boxes"]["source_id"].to_pylist() == ["2"]


def test_ids_may_be_text_and_a_number_in_quotes_is_the_number(tmp_path):
    images = [image("street/one"), image("7")]
    path = dataset(tmp_path, images, [box("b-1", image_id="street/one"), box(None, image_id=7)])

    [shard] = shards(path)

    rows = shard.tables["boxes"].select(["image_id", "source_id"]).to_pylist()
    assert rows == [{"image_id": "7", "source_id": "1"}, {"image_id": "street/one", "source_id": "b-1"}]


@pytest.mark.parametrize("end", ["subject_id", "object_id"])
def test_a_relation_without_an_end_never_takes_a_box_without_id(tmp_path, end):
    path = tmp_path / "a.json"
    relation = {"image_id": 7, "subject_id": 1, "object_id": 1, "predicate": "on"} | {end: None}
    members = {"images": [image()], "annotations": [box(1), box(None)], "categories": [PERSON]}
    path.write_text(json.dumps(members | {"relations": [relation]}))

    [shard] = shards(str(path))

    assert reasons(shard) == ["malformed_relation"]
    assert shard.tables["gold"].num_rows == 0


def test_members_may_come_in_any_order(tmp_path):
    path = tmp_path / "a.json"
    members = {"categories": [PERSON], "annotations": [box()], "info": {"year": 1}, "images": [image()]}
    path.write_text(json.dumps(members))

    [shard] = shards(str(path))

    assert shard.tables["boxes"].num_rows == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"images": [], "annotations": []}', "no 'categories' array"),
        ('{"images": {}, "annotations": [], "categories": []}', "expected an array"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_sentence(tmp_path, content, says):
    path = tmp_path / "a.json"
    path.write_text(content)

    with pytest.raises(SourceError, match=rf"a\.json.*{says}"):
        shards(str(path))


@pytest.mark.parametrize("same", ["7", 7.0])
def test_equal_ids_are_equal_whatever_their_type(tmp_path, same):
    boxes = [box(1, image_id=same), box(2, category_id=19.0), box("1")]

    [shard] = shards(dataset(tmp_path, [image(7)], boxes))

    assert reasons(shard) == ["duplicate_annotation_id"]
    assert shard.tables["boxes"]["category"].to_pylist() == ["person", "horse"]


@pytest.mark.parametrize(
    ("crowd", "means"),
    [("0", False), ("false", False), (0.0, False), (None, False), ("1", True), ("True", True), (2, True)],
)
def test_a_crowd_is_what_its_flag_says(tmp_path, crowd, means):
    [shard] = shards(dataset(tmp_path, [image()], [box(1, iscrowd=crowd)]))

    assert shard.tables["boxes"]["iscrowd"].to_pylist() == [means]


@pytest.mark.parametrize("crowd", ["perhaps", [], float("nan")])
def test_a_crowd_flag_that_says_nothing_is_malformed(tmp_path, crowd):
    [shard] = shards(dataset(tmp_path, [image()], [box(1, iscrowd=crowd)]))

    assert reasons(shard) == ["malformed_annotation"]


def test_of_two_boxes_of_an_image_with_one_number_the_first_usable_one_is_used(tmp_path):
    images = [image(7), image(8)]
    boxes = [
        box(1, (1, 1, 0, 9), box_id=3),
        box(2, box_id=3),
        box(3, box_id="3"),
        box(4, image_id=8, box_id=3),
    ]

    [shard] = shards(dataset(tmp_path, images, boxes))

    assert reasons(shard) == ["zero_area_box", "duplicate_box_id"]
    assert shard.tables["boxes"]["source_id"].to_pylist() == ["2", "4"]


@pytest.mark.parametrize("name", ["\ud800.jpg", "a\0b.jpg", 5, ["a.jpg"]])
def test_a_file_name_that_no_file_can_have_is_set_aside(tmp_path, name):
    [shard] = shards(dataset(tmp_path, [image(7, file_name=name), image(8)], [box(1)]))

    assert reasons(shard) == ["bad_file_name"]
    assert shard.tables["images"]["image_id"].to_pylist() == ["8"]


def test_a_byte_that_is_not_utf_8_costs_the_record_that_holds_it(tmp_path):
    path = tmp_path / "a.json"
    document = {"images": [image(7), image(8, file_name="p_re.jpg")], "annotations": [box(1)]}
    text = json.dumps(document | {"categories": [PERSON]}).encode()
    path.write_bytes(text.replace(b"p_re", b"p\xe9re"))

    [shard] = shards(str(path))

    assert reasons(shard) == ["bad_file_name"]
    assert shard.tables["boxes"].num_rows == 1


@pytest.mark.parametrize("names", [("horse", "dog"), ("horse", "Horse ")])
def test_an_id_of_two_classes_is_refused_with_both_names(tmp_path, names):
    path = tmp_path / "a.json"
    categories = [{"id": k, "name": name} for k, name in zip((2, "2"), names, strict=True)]
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))

    with pytest.raises(SourceError, match=r"a\.json: categories: id 2 is given twice, as 'horse' and as"):
        shards(str(path))


def test_a_class_that_is_listed_twice_alike_is_one_class(tmp_path):
    path = tmp_path / "a.json"
    members = {"images": [image()], "annotations": [box()], "categories": [PERSON, PERSON]}
    path.write_text(json.dumps(members))

    [shard] = shards(str(path))

    assert shard.tables["boxes"]["category"].to_pylist() == ["person"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"images": [], "images": []}', "the member 'images' is given twice"),
        ('{"images": []}\n{"images": []}', "more stands behind the end of the document"),
        ('{"images": [{"id": ' + "[" * 100_000, "near byte"),
        ('{"images": [{"id": ' + "[" * 100_000 + "]" * 100_000 + "}]}", "nested too deeply"),
    ],
)
def test_a_document_that_cannot_be_read_whole_is_refused(tmp_path, text, says):
    path = tmp_path / "a.json"
    path.write_text(text)

    with pytest.raises(SourceError, match=rf"a\.json.*{says}"):
        shards(str(path))


def test_utf_16_is_refused_by_its_name(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": []}', encoding="utf-16")

    with pytest.raises(SourceError, match=r"a\.json: the text is UTF-16; save it as UTF-8"):
        shards(str(path))


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.floats())
fields = ["id", "image_id", "category_id", "bbox", "iscrowd", "width", "height", "file_name", "box_id"]
fuzzed = st.dictionaries(st.sampled_from(fields), junk)
sides = st.lists(st.sampled_from([0, -3, 10, 30.5]), min_size=4, max_size=4)
mixed = st.lists(
    st.one_of(
        junk,
        fuzzed,
        st.builds(lambda number, bbox: box(number, bbox, image_id="sound"), st.integers(0, 5), sides),
        st.builds(lambda record, noise: record | noise, st.builds(box, st.integers(0, 5)), fuzzed),
        st.builds(lambda record, noise: record | noise, st.builds(image, st.integers(5, 8)), fuzzed),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(mixed, mixed)
def test_whatever_the_records_hold_each_is_accounted_for_once(tmp_path_factory, images, boxes):
    path = dataset(
        tmp_path_factory.mktemp("fuzz"), [image("sound"), *images], [*boxes, box(99, image_id="sound")]
    )

    found = shards(path, shard_images=2)

    assert sum(s.notes["rows_in"] for s in found) == len(images) + len(boxes) + 2
    kept = [row for shard in found for row in shard.tables["boxes"].to_pylist()]
    assert "sound" in {row["image_id"] for row in kept}
    assert all(row["w"] > 0 and row["h"] > 0 for row in kept)


def test_the_real_validation_part_reads_whole(shared):
    path = shared("data/coco/instances_val2017_part.json")

    found = shards(str(path), shard_images=1000)

    assert sum(s.tables["images"].num_rows for s in found) == 3897
    assert sum(s.tables["boxes"].num_rows + len(s.quarantined) for s in found) == 28084


def test_synonyms_of_categories_are_a_table_and_can_be_listed_alone(tmp_path) -> None:
    """LVIS's layout; a synonym that is no text is no word."""
    file = tmp_path / "lvis.json"
    categories = [
        {"id": 1, "name": "car_(automobile)", "synonyms": ["car_(automobile)", "automobile", 7, " "]},
        {"id": 2, "name": "zebra"},
    ]
    image = {"id": 1, "width": 10, "height": 10, "file_name": "1.jpg"}
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": categories}))
    source = CocoSource(str(file))
    (shard,) = source.shards(10)
    expected = {"car_(automobile)": ["car_(automobile)", "automobile"], "zebra": []}
    assert read_classes(shard.tables["classes"]) == expected
    assert source.list_classes() == expected
