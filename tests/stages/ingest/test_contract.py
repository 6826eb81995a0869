"""What every dataset adapter does, whatever its format; an adapter of one's own is held to the same list."""

from __future__ import annotations

import inspect
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from relforge.pipeline.store.parquet import to_bytes
from relforge.stages.contract import Source, SourceError, StageResult
from relforge.stages.registry import SOURCES, build_source
from relforge.stages.tables import conform
from tests.fixtures.datasets import FORMATS, OWN, UNKNOWN, Box, Image, Relation, formats
from tests.fixtures.documented import write_module

Open = Callable[..., Source]


@pytest.fixture(autouse=True, scope="module")
def _own_adapter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The documented adapter of one's own, as a module that Python finds."""
    folder = tmp_path_factory.mktemp("own")
    assert write_module("A dataset", folder).name == "psg.py"
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    sys.modules.pop("psg", None)


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """`opened(format, images, **options)`: the dataset as files of that format, and a source for them."""

    def open_source(name: str, content: Sequence[Image], /, **options: Any) -> Source:
        return build_source(name, **FORMATS[name].write(tmp_path, content) | options)

    return open_source


def read(source: Source, shard_images: int = 10, relations: bool = False) -> list[StageResult]:
    """All shards, after checking that every record is accounted for, also by kind, and every table fits its
    schema."""
    found = list(source.shards(shard_images, relations))
    for shard in found:
        assert shard.notes["rows_in"] == shard.kept + sum(shard.dropped.values()) + len(shard.quarantined)
        assert set(shard.tables) == {
            "images",
            "boxes",
            "gold",
            "classes",
            *(["relations"] if relations else []),
        }
        for name, table in shard.tables.items():
            assert conform(name, table) == table
        losses = {
            kind: (one["read"], sum(one["lost"].values())) for kind, one in shard.notes["losses"].items()
        }
        for name in ("images", "boxes"):
            assert losses[name][0] - losses[name][1] == shard.tables[name].num_rows
        set_aside = len(shard.quarantined) + shard.dropped.get("image_set_aside", 0)
        assert sum(lost for _, lost in losses.values()) == set_aside
    return found


def reasons(shard: StageResult) -> Counter[str]:
    """Reason -> records that are not kept."""
    return Counter(shard.dropped) + Counter(q.reason for q in shard.quarantined)


def rows(shard: StageResult, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in shard.tables[table].select(list(columns)).to_pylist()]


def usable_images() -> list[Image]:
    """Three images in which every record can be used."""
    boxes = [Box("person", (10, 10, 20, 40)), Box("dog", (40.5, 30, 20, 20.25)), Box("person", crowd=True)]
    return [
        Image(9, boxes=boxes, relations=[Relation(0, "walks", 1), Relation(1, "beside", 0)]),
        Image(10, (640, 480), [Box("frisbee", (600, 400, 80, 20))]),
        Image(3),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_that_is_lost_takes_its_boxes_and_relations_along(name: str, opened: Open) -> None:
    lost = Image(5, None, [Box(), Box("person")], [Relation(0, "near", 1)])

    [shard] = read(opened(name, [*usable_images(), lost]))

    found = shard.notes["losses"]
    assert [found[kind]["lost"] for kind in ("images", "boxes", "relations")] == [
        {"bad_image_size": 1}, {"bad_image_size": 2}, {"bad_image_size": 1}
    ]  # fmt: skip


def test_every_adapter_is_held_to_this_list() -> None:
    assert set(FORMATS) == {OWN, *SOURCES}


@pytest.mark.parametrize("name", FORMATS)
def test_the_header_says_where_the_data_comes_from_and_how_it_lies_on_disk(name: str) -> None:
    header = inspect.getdoc(sys.modules[SOURCES.load(name).__module__]) or ""

    assert "\nFrom " in header
    assert "On disk" in header
    assert "\n    " in header  # the layout


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_a_source_that_lists_the_files_it_reads(name: str, opened: Open, tmp_path: Path) -> None:
    source = opened(name, usable_images())

    assert isinstance(source, Source)
    assert source.name == name.partition(":")[0]
    assert isinstance(source.version, int)
    files = {Path(str(file).removeprefix("file://")) for file in source.files()}
    assert files == set(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_images_have_id_size_dataset_and_split(name: str, opened: Open) -> None:
    [shard] = read(opened(name, usable_images(), dataset="mine", split="val"))

    columns = ("image_id", "dataset", "split", "width", "height", "bytes")
    assert rows(shard, "images", *columns) == [
        ("10", "mine", "val", 640, 480, None),
        ("3", "mine", "val", 100, 80, None),
        ("9", "mine", "val", 100, 80, None),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_have_place_class_and_pixels(name: str, opened: Open) -> None:
    [shard] = read(opened(name, usable_images()))

    columns = ("image_id", "box_id", "category", "x", "y", "w", "h")
    assert rows(shard, "boxes", *columns) == [
        ("10", 0, "frisbee", 600, 400, 80, 20),
        ("9", 0, "person", 10, 10, 20, 40),
        ("9", 1, "dog", 40.5, 30, 20, 20.25),
        ("9", 2, "person", 10, 20, 30, 40),
    ]


@pytest.mark.parametrize("name", formats(crowds=True))
def test_a_box_around_a_group_is_marked(name: str, opened: Open) -> None:
    [shard] = read(opened(name, usable_images()))

    assert rows(shard, "boxes", "iscrowd") == [(False,), (False,), (False,), (True,)]


@pytest.mark.parametrize("name", FORMATS)
def test_relations_that_the_source_knows_become_gold(name: str, opened: Open) -> None:
    [shard] = read(opened(name, usable_images()))

    found = rows(shard, "gold", "image_id", "subject_box", "object_box", "predicate")
    assert found == [("9", 0, 1, "walks"), ("9", 1, 0, "beside")]


@pytest.mark.parametrize("name", FORMATS)
def test_relations_are_a_table_of_their_own_where_they_are_asked_for(name: str, opened: Open) -> None:
    [shard] = read(opened(name, usable_images()), relations=True)

    found = rows(shard, "relations", "image_id", "subject_box", "object_box", "predicate", "score")
    assert found == [("9", 0, 1, "walks", 1.0), ("9", 1, 0, "beside", 1.0)]


@pytest.mark.parametrize("name", FORMATS)
def test_shards_are_consecutive_images_sorted_inside(name: str, opened: Open) -> None:
    found = read(opened(name, usable_images()), shard_images=2)

    assert [s.tables["images"]["image_id"].to_pylist() for s in found] == [["10", "9"], ["3"]]
    assert [s.tables["boxes"].num_rows for s in found] == [4, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_two_reads_give_equal_bytes(name: str, opened: Open) -> None:
    source = opened(name, usable_images())

    first, second = (
        [(to_bytes(table, {}), s.kept) for s in read(source, 2, True) for table in s.tables.values()]
        for _ in range(2)
    )

    assert first == second


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


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_without_size_is_set_aside_and_its_records_are_counted(name: str, opened: Open) -> None:
    lost = Image(8, None, [Box("person"), Box()], [Relation(0, "walks", 1)])

    [shard] = read(opened(name, [Image(7, boxes=[Box()]), lost]))

    assert reasons(shard) == {"bad_image_size": 1, "image_set_aside": 3}
    assert rows(shard, "images", "image_id") == [("7",)]
    assert rows(shard, "boxes", "image_id") == [("7",)]


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
def test_a_dataset_without_images_gives_one_empty_shard(name: str, opened: Open) -> None:
    [shard] = read(opened(name, []))

    assert shard.notes["rows_in"] == 0
    assert {table.num_rows for name, table in shard.tables.items() if name != "classes"} == {0}


DAMAGE: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "text": b"hello world\n",
    "bytes": b"\x89PNG\r\n\x1a\n\x00\x00\xff",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence_that_names_it(
    name: str, damage: str, opened: Open, tmp_path: Path
) -> None:
    source = opened(name, usable_images())
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        content = DAMAGE[damage]
        path.unlink() if content is None else path.write_bytes(content)

        with pytest.raises(SourceError, match=path.name.replace(".", r"\.")) as refused:
            read(source)

        assert "\n" not in str(refused.value)
        path.write_bytes(whole)


def jpeg(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Pillow.new("RGB", (width, height), (200, 10, 10)).save(data, "JPEG")
    return data.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_required_images_are_read_and_an_image_without_file_is_set_aside(
    name: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Objects365 has a folder for each split, and a Parquet file has URIs of its own
    folder = tmp_path / "images" / "all"
    folder.mkdir(parents=True)
    (folder / "7.jpg").write_bytes(jpeg(100, 80))
    (folder / "8.jpg").write_bytes(jpeg(80, 80))
    monkeypatch.chdir(folder)
    where = {"objects365": {"images": str(folder.parent), "split": "all"}, "parquet": {}}
    options = where.get(name, {"images": str(folder)})

    [shard] = read(opened(name, [Image(7, boxes=[Box()]), Image(8), Image(9)], embed_images=True, **options))

    assert reasons(shard) == {"image_size_mismatch": 1, "missing_file": 1}
    assert rows(shard, "images", "image_id", "bytes") == [("7", jpeg(100, 80))]


@pytest.mark.parametrize("name", FORMATS)
def test_no_image_is_read_unless_images_are_required(name: str, opened: Open, tmp_path: Path) -> None:
    options = {} if name == "parquet" else {"images": str(tmp_path / "nowhere")}

    [shard] = read(opened(name, usable_images(), **options))

    assert reasons(shard) == {}
    assert all(uri.endswith(".jpg") for (uri,) in rows(shard, "images", "uri"))


def in_images(name: str, folder: Path) -> dict[str, Any]:
    """The options that make a format look for its image files in a folder, whatever it adds to it."""
    return {"images": f"{folder}/{{file_name}}" if name == "objects365" else str(folder)}


BY_NAME = [name for name in FORMATS if name != "parquet"]
"""Formats whose files have names; a Parquet file has URIs."""
OWN_FILES = [name for name in BY_NAME if name != OWN]
"""Those that take `follow_links`."""


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_as_shares_of_the_image_are_refused_in_one_sentence(name: str, opened: Open) -> None:
    images = [Image(7), Image(8, boxes=[Box(xywh=(0.1, 0.2, 0.5, 0.5)), Box(xywh=(0, 0, 1, 1))])]

    with pytest.raises(SourceError, match=r"every box lies within one pixel.*multiply") as refused:
        read(opened(name, images), 1)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_tiny_box_among_others_is_a_box(name: str, opened: Open) -> None:
    images = [Image(7, boxes=[Box(xywh=(0.1, 0.2, 0.5, 0.5))]), Image(8, boxes=[Box()])]

    found = read(opened(name, images), 1)

    assert sum(shard.tables["boxes"].num_rows for shard in found) == 2


@pytest.mark.parametrize("shard_images", [1, 10])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "visual_genome"])
def test_of_two_images_with_one_id_the_usable_one_is_used(name: str, shard_images: int, opened: Open) -> None:
    # a scene graph of Visual Genome has no size: both have that of image_data
    images = [Image(7, None), Image(7, boxes=[Box()]), Image(7, (50, 50))]

    found = read(opened(name, images), shard_images)

    assert sum(map(reasons, found), Counter()) == {"bad_image_size": 1, "duplicate_image_id": 1}
    assert [row for shard in found for row in rows(shard, "images", "width")] == [(100,)]
    assert sum(shard.tables["boxes"].num_rows for shard in found) == 1


@pytest.mark.parametrize("name", BY_NAME)
def test_an_image_outside_the_images_folder_is_set_aside(name: str, opened: Open, tmp_path: Path) -> None:
    [shard] = read(opened(name, [Image("../7"), Image("8")], **in_images(name, tmp_path / "pics")))

    assert reasons(shard) == {"path_outside_images": 1}
    assert rows(shard, "images", "image_id") == [("8",)]


@pytest.mark.parametrize("name", OWN_FILES)
def test_an_image_outside_is_used_where_links_are_followed(name: str, opened: Open, tmp_path: Path) -> None:
    options = in_images(name, tmp_path / "pics") | {"follow_links": True}

    [shard] = read(opened(name, [Image("../7")], **options))

    assert rows(shard, "images", "uri") == [(f"{tmp_path}/pics/../7.jpg",)]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_link_that_leaves_the_images_folder_is_set_aside(name: str, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "secret.jpg").write_bytes(jpeg(100, 80))
    (tmp_path / "pics" / "7.jpg").symlink_to("../secret.jpg")
    (tmp_path / "pics" / "8.jpg").write_bytes(jpeg(100, 80))
    (tmp_path / "pics" / "9.jpg").symlink_to("8.jpg")
    (tmp_path / "pics" / "linked").symlink_to("..")

    images = [Image(7), Image(8), Image(9), Image("linked/secret")]
    [shard] = read(opened(name, images, **in_images(name, tmp_path / "pics")))

    assert reasons(shard) == {"path_outside_images": 2}
    assert rows(shard, "images", "image_id") == [("8",), ("9",)]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_plain_file_is_no_image(
    name: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pics"
    folder.mkdir()
    monkeypatch.chdir(folder)
    os.mkfifo("7.jpg")
    Path("8.jpg").symlink_to("8.jpg")
    Path("9.jpg").mkdir()
    options = {} if name == "parquet" else in_images(name, folder)

    [shard] = read(opened(name, [Image(7), Image(8), Image(9)], require_images=True, **options))

    assert reasons(shard) == {"not_a_file": 1, "missing_file": 2}
