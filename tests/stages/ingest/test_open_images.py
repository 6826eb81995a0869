"""Open Images CSV files: boxes in pixels, relations as gold."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.stages.contract import SourceError
from relforge.stages.registry import build_source
from relforge.stages.tables import conform

HEAD = "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel\n"
HOLDS = "a1,/m/w,/m/b,0.1,0.5,0.2,0.6,0.4,0.5,0.5,0.6,holds\n"
WOODEN = "a1,/m/b,/m/wood,0.4,0.5,0.5,0.6,0.4,0.5,0.5,0.6,is\n"


def write(tmp_path: Path, name: str, text: str) -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def read(shard_images: int = 10, **options):
    found = list(build_source("openimages", **options).shards(shard_images))
    for shard in found:
        assert set(shard.tables) == {"images", "boxes", "gold", "classes"}
        assert shard.notes["rows_in"] == shard.kept + sum(shard.dropped.values()) + len(shard.quarantined)
        for name, table in shard.tables.items():
            assert conform(name, table) == table
    return found


def test_relations_alone_give_boxes_in_pixels_and_gold(tmp_path):
    relations = write(tmp_path, "vrd.csv", HEAD + HOLDS + WOODEN)
    classes = write(tmp_path, "classes.csv", "/m/w,Woman\n/m/b,Beer\n")

    [shard] = read(relations=relations, classes=classes, image_size=[100, 50])

    rows = shard.tables["boxes"].select(["category", "x", "y", "w", "h"]).to_pylist()
    boxes = [tuple(row.values()) for row in rows]
    assert boxes == [("woman", 10, 10, 40, 20), ("beer", 40, 25, 10, 5)]
    [gold] = shard.tables["gold"].to_pylist()
    assert (gold["subject_box"], gold["object_box"], gold["predicate"]) == (0, 1, "holds")
    assert shard.dropped == {"attribute_relation": 1}


def test_a_relation_finds_its_boxes_in_the_box_file(tmp_path):
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n"
    rows = "a1,v,/m/b,1,0.4,0.5,0.5,0.6,0,0,0\na1,v,/m/x,1,0,1,0,1,0,0,1\na1,v,/m/w,1,0.1,0.5,0.2,0.6,0,0,0\n"
    boxes = write(tmp_path, "boxes.csv", head + rows)
    sizes = write(tmp_path, "sizes.csv", "ImageID,Width,Height\na1,100,50\nb2,10,10\n")

    [shard] = read(relations=write(tmp_path, "vrd.csv", HEAD + HOLDS), boxes=boxes, sizes=sizes)

    assert shard.tables["boxes"]["iscrowd"].to_pylist() == [False, True, False]
    [gold] = shard.tables["gold"].to_pylist()
    assert (gold["subject_box"], gold["object_box"]) == (2, 0)
    assert shard.tables["images"]["image_id"].to_pylist() == ["a1", "b2"]


def test_an_unusable_box_takes_its_relations_with_it(tmp_path):
    flat = HOLDS.replace("0.5,0.6,holds", "0.5,0.5,holds")

    [shard] = read(relations=write(tmp_path, "vrd.csv", HEAD + flat), image_size=[100, 50])

    assert [q.reason for q in shard.quarantined] == ["zero_area_box"]
    assert shard.dropped == {"box_set_aside": 1}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs `boxes`, `relations`"),
        ({"relations": "r.csv"}, "either `sizes`"),
        ({"relations": "r.csv", "image_size": ["a", 9]}, "image_size: .* is not"),
        ({"relations": "r.csv", "image_size": [9]}, "image_size: .* is not"),
        ({"relations": "nowhere.csv", "image_size": [9, 9]}, r"nowhere\.csv: cannot read"),
    ],
)
def test_a_wrong_setting_is_one_sentence(options, says):
    with pytest.raises(ValueError, match=says):
        read(**options)


BOX_HEAD = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf,BoxID\n"
GOOD = "a,/m/1,0.1,0.5,0.1,0.5,0,0\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,/m/1,abc,0.5,0.1,0.5,0,1", "malformed_annotation"),
        ("a,/m/1,0.1,0.5,0.1,0.5,perhaps,1", "malformed_annotation"),
        ("a,/m/1,0.1,0.5,0.1,0.5,0,x", "malformed_annotation"),
        ("a,/m/1,10,50,10,50,0,1", "malformed_annotation"),
        ("a,/m/1,,0.5,0.1,0.5,0,1", "nonfinite_box"),
        ("a,,0.1,0.5,0.1,0.5,0,1", "unknown_category"),
        (",/m/1,0.1,0.5,0.1,0.5,0,1", "unknown_image"),
        ("a,/m/1,0.1,0.5,0.1,0.5,0,0", "duplicate_box_id"),
    ],
)
def test_a_cell_that_is_no_value_costs_its_row(tmp_path, row, reason):
    sizes = write(tmp_path, "sizes.csv", "ImageID,Width,Height\na,100,50\n")

    [shard] = read(boxes=write(tmp_path, "b.csv", BOX_HEAD + GOOD + row + "\n"), sizes=sizes)

    assert [q.reason for q in shard.quarantined] == [reason]
    assert shard.tables["boxes"].num_rows == 1


@pytest.mark.parametrize(("flag", "means"), [("true", True), ("1.0", True), ("false", False), ("-1", False)])
def test_a_group_may_be_said_in_words(tmp_path, flag, means):
    row = f"a,/m/1,0.2,0.5,0.1,0.5,{flag},1\n"

    [shard] = read(boxes=write(tmp_path, "b.csv", BOX_HEAD + GOOD + row), image_size=[100, 50])

    assert shard.tables["boxes"]["iscrowd"].to_pylist() == [False, means]


@pytest.mark.parametrize(("width", "kept"), [("100.0", 1), ("abc", 0), ("nan", 0), ("1e30", 0), ("-5", 0)])
def test_a_size_is_read_or_costs_its_image(tmp_path, width, kept):
    sizes = write(tmp_path, "sizes.csv", f"ImageID,Width,Height\na,{width},50\nb,9,9\n")

    [shard] = read(boxes=write(tmp_path, "b.csv", BOX_HEAD + GOOD), sizes=sizes)

    assert shard.tables["images"].num_rows == 1 + kept
    assert [q.reason for q in shard.quarantined] == ["bad_image_size"] * (1 - kept)


def test_boxes_of_images_that_no_size_is_given_for_are_set_aside(tmp_path):
    sizes = write(tmp_path, "sizes.csv", "ImageID,Width,Height\n")

    [shard] = read(boxes=write(tmp_path, "b.csv", BOX_HEAD + GOOD), sizes=sizes)

    assert [q.reason for q in shard.quarantined] == ["unknown_image"]


def test_a_first_line_that_is_none_is_refused(tmp_path):
    boxes = write(tmp_path, "b.csv", BOX_HEAD.replace("LabelName", "Label\rName") + GOOD)

    with pytest.raises(SourceError, match=r"b\.csv: cannot read the CSV file \(its first line"):
        read(boxes=boxes, image_size=[9, 9])


def test_boxes_in_pixels_are_refused(tmp_path):
    boxes = write(tmp_path, "b.csv", BOX_HEAD + "a,/m/1,0,50,10,30,0,0\n")

    with pytest.raises(SourceError, match=r"b\.csv: XMin to YMax of every box look like pixels"):
        read(boxes=boxes, image_size=[100, 50])


def test_a_label_of_two_classes_is_refused(tmp_path):
    classes = write(tmp_path, "c.csv", "/m/1,Man\n/m/2,Horse\n/m/2,Pony\n")

    with pytest.raises(SourceError, match=r"c\.csv: label /m/2 is given twice, as 'Horse' and as 'Pony'"):
        read(boxes=write(tmp_path, "b.csv", BOX_HEAD + GOOD), classes=classes, image_size=[9, 9])


def test_a_file_of_another_kind_names_the_column(tmp_path):
    with pytest.raises(SourceError, match=r"x\.csv: no column ImageID"):
        read(relations=write(tmp_path, "x.csv", "A,B\n1,2\n"), image_size=[9, 9])


def test_the_real_validation_part_gives_a_gold_row_for_each_relation(shared):
    folder = shared("data/openimages/validation_vrd_part.csv").parent
    lines = (folder / "validation_vrd_part.csv").read_text().splitlines()[1:]

    found = read(
        500,
        relations=str(folder / "validation_vrd_part.csv"),
        classes=str(folder / "challenge-2019-classes-vrd.csv"),
        image_size=[1000, 1000],
    )

    attributes = sum(line.endswith(",is") for line in lines)
    gold = sum(s.tables["gold"].num_rows for s in found)
    lost = sum(sum(s.dropped.values()) for s in found) - attributes
    assert gold + lost == len(lines) - attributes
    assert lost < 0.02 * len(lines)
