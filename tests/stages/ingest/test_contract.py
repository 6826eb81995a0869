"""What every dataset adapter does, whatever its format; an adapter of one's own is held to the same list.

`test_contract_records.py` has the records that it sets aside, `test_contract_image_files.py` the image files.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from relforge.pipeline.store.parquet import to_bytes
from relforge.stages.contract import Source, SourceError
from relforge.stages.registry import SOURCES
from tests.fixtures.adapters import Open, read, rows, usable_images
from tests.fixtures.datasets import FORMATS, OWN, Box, Image, formats


def test_every_adapter_is_held_to_this_list() -> None:
    assert set(FORMATS) == {OWN, *SOURCES}


@pytest.mark.usefixtures("own_adapter")
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


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_as_shares_of_the_image_are_refused_in_one_sentence(name: str, opened: Open) -> None:
    images = [Image(7), Image(8, boxes=[Box(xywh=(0.1, 0.2, 0.5, 0.5)), Box(xywh=(0, 0, 1, 1))])]

    with pytest.raises(SourceError, match=r"every box lies within one pixel.*multiply") as refused:
        read(opened(name, images), 1)

    assert "\n" not in str(refused.value)
