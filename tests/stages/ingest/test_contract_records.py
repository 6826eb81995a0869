"""Which records every dataset adapter sets aside, and under what reason."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fixtures.adapters import Open, read, reasons, rows, usable_images
from tests.fixtures.datasets import FORMATS, UNKNOWN, Box, Image, Relation, formats


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("xywh", "reason"),
    [
        ((10, 20, 0, 40), "zero_area_box"),
        ((10, 20, 30, 0), "zero_area_box"),
        ((10, 20, -3, 40), "negative_size_box"),
        ((100, 20, 5, 5), "outside_image_box"),
        ((-9, 20, 9, 5), "outside_image_box"),
        ((10, float("nan"), 5, 5), "nonfinite_box"),
        ((0, 0, float("inf"), 5), "nonfinite_box"),
    ],
)
def test_an_unusable_box_is_set_aside_and_the_others_keep_their_places(
    name: str, xywh: tuple[float, ...], reason: str, opened: Open
) -> None:
    [shard] = read(opened(name, [Image(7, boxes=[Box(), Box(xywh=xywh), Box("person")])]))

    assert reasons(shard) == {reason: 1}
    assert rows(shard, "boxes", "box_id", "category") == [(0, "dog"), (2, "person")]
    [quarantined] = shard.quarantined
    assert (quarantined.record["image_id"], quarantined.record["box_id"]) == ("7", 1)
    assert "image 7" in quarantined.detail


@pytest.mark.parametrize("name", FORMATS)
def test_a_box_partly_outside_stays_as_annotated(name: str, opened: Open) -> None:
    [shard] = read(opened(name, [Image(7, boxes=[Box(xywh=(-5, 70, 20, 20))])]))

    assert rows(shard, "boxes", "x", "y", "w", "h") == [(-5, 70, 20, 20)]


@pytest.mark.parametrize("name", formats(class_list=True))
def test_a_box_of_an_unknown_class_is_set_aside(name: str, opened: Open) -> None:
    [shard] = read(opened(name, [Image(7, boxes=[Box(UNKNOWN), Box()])]))

    assert reasons(shard) == {"unknown_category": 1}
    assert rows(shard, "boxes", "box_id") == [(1,)]


@pytest.mark.parametrize("name", formats(box_ids=True))
def test_of_two_boxes_with_one_id_the_first_is_used(name: str, opened: Open) -> None:
    boxes = [Box("person", id=5), Box("dog", id=5), Box("frisbee", id=6)]

    [shard] = read(opened(name, [Image(7, boxes=boxes, relations=[Relation(1, "throws", 2)])]))

    assert reasons(shard) == {"duplicate_annotation_id": 1}
    assert rows(shard, "boxes", "box_id", "category") == [(0, "person"), (2, "frisbee")]
    assert rows(shard, "gold", "subject_box", "object_box") == [(0, 2)]


@pytest.mark.parametrize("name", formats(box_ids=True, flat=False))
def test_boxes_inside_an_image_need_ids_of_their_own_in_that_image_only(name: str, opened: Open) -> None:
    boxes = [Box("person", id=5), Box("dog", id=6)]
    relations = [Relation(0, "walks", 1)]

    [shard] = read(opened(name, [Image(k, boxes=boxes, relations=relations) for k in (1, 2)]))

    assert reasons(shard) == {}
    assert rows(shard, "gold", "image_id", "subject_box") == [("1", 0), ("2", 0)]


@pytest.mark.parametrize("name", formats(box_ids=True, flat=True))
def test_box_records_beside_the_images_need_ids_of_their_own_in_the_file(name: str, opened: Open) -> None:
    [shard] = read(opened(name, [Image(1, boxes=[Box("person", id=5)]), Image(2, boxes=[Box(id=5)])]))

    assert reasons(shard) == {"duplicate_annotation_id": 1}
    assert rows(shard, "boxes", "image_id") == [("1",)]


@pytest.mark.parametrize("name", formats(flat=True))
def test_a_box_of_an_image_that_is_not_there_is_set_aside(name: str, opened: Open) -> None:
    first, last = read(opened(name, [Image(7, boxes=[Box(), Box(owner=999)]), Image(8)]), shard_images=1)

    assert reasons(first) == {}
    assert reasons(last) == {"unknown_image": 1}
    assert rows(first, "boxes", "box_id") == [(0,)]


@pytest.mark.parametrize("shard_images", [1, 10])
@pytest.mark.parametrize("name", FORMATS)
def test_of_two_images_with_one_id_the_first_is_used(name: str, shard_images: int, opened: Open) -> None:
    images = [Image(7, boxes=[Box()]), Image(8), Image(7, (50, 50))]

    found = read(opened(name, images), shard_images)

    assert sum(map(reasons, found), Counter()) == {"duplicate_image_id": 1}
    kept = [row for shard in found for row in rows(shard, "images", "image_id", "width")]
    assert kept == [("7", 100), ("8", 100)]
    assert sum(shard.tables["boxes"].num_rows for shard in found) == 1


@pytest.mark.parametrize("shard_images", [1, 10])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "visual_genome"])
def test_of_two_images_with_one_id_the_usable_one_is_used(name: str, shard_images: int, opened: Open) -> None:
    # a scene graph of Visual Genome has no size: both have that of image_data
    images = [Image(7, None), Image(7, boxes=[Box()]), Image(7, (50, 50))]

    found = read(opened(name, images), shard_images)

    assert sum(map(reasons, found), Counter()) == {"bad_image_size": 1, "duplicate_image_id": 1}
    assert [row for shard in found for row in rows(shard, "images", "width")] == [(100,)]
    assert sum(shard.tables["boxes"].num_rows for shard in found) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_without_size_is_set_aside_and_its_records_are_counted(name: str, opened: Open) -> None:
    lost = Image(8, None, [Box("person"), Box()], [Relation(0, "walks", 1)])

    [shard] = read(opened(name, [Image(7, boxes=[Box()]), lost]))

    assert reasons(shard) == {"bad_image_size": 1, "image_set_aside": 3}
    assert rows(shard, "images", "image_id") == [("7",)]
    assert rows(shard, "boxes", "image_id") == [("7",)]


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_that_is_lost_takes_its_boxes_and_relations_along(name: str, opened: Open) -> None:
    lost = Image(5, None, [Box(), Box("person")], [Relation(0, "near", 1)])

    [shard] = read(opened(name, [*usable_images(), lost]))

    found = shard.notes["losses"]
    assert [found[kind]["lost"] for kind in ("images", "boxes", "relations")] == [
        {"bad_image_size": 1}, {"bad_image_size": 2}, {"bad_image_size": 1}
    ]  # fmt: skip


@pytest.mark.parametrize("name", formats(null_image_id=True))
def test_an_image_without_id_is_set_aside(name: str, opened: Open) -> None:
    [shard] = read(opened(name, [Image(7), Image(None)]))

    assert reasons(shard)["malformed_image"] == 1
    assert rows(shard, "images", "image_id") == [("7",)]


@pytest.mark.parametrize(
    ("relation", "reason"),
    [
        (Relation(0, "on", 2), "box_set_aside"),
        (Relation(0, "on", 9), "unknown_object"),
        (Relation(0, "on", 0), "self_relation"),
        (Relation(0, "walks", 1), "repeated_relation"),
        (Relation(0, "  ", 1), "malformed_relation"),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_a_relation_that_cannot_be_used_is_accounted_for(
    name: str, relation: Relation, reason: str, opened: Open
) -> None:
    boxes = [Box("person"), Box("dog"), Box("frisbee", (1, 1, 0, 9))]
    images = [Image(7, boxes=boxes, relations=[Relation(0, "walks", 1), relation])]

    [shard] = read(opened(name, images))

    assert reasons(shard) == {"zero_area_box": 1, reason: 1}
    assert rows(shard, "gold", "subject_box", "object_box", "predicate") == [(0, 1, "walks")]


@pytest.mark.parametrize("name", FORMATS)
def test_a_tiny_box_among_others_is_a_box(name: str, opened: Open) -> None:
    images = [Image(7, boxes=[Box(xywh=(0.1, 0.2, 0.5, 0.5))]), Image(8, boxes=[Box()])]

    found = read(opened(name, images), 1)

    assert sum(shard.tables["boxes"].num_rows for shard in found) == 2
