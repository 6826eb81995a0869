"""Records that an adapter yields an image at a time: of any type, and no more than a shard at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.contract import StageResult
from relforge.stages.ingest.by_image import BoxRecord, ImageRecord, RelationRecord, build_shards
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.tables import conform

HALF_A_PAIR = "\ud800"


def shards(images: Any, shard_images: int = 2) -> Iterator[StageResult]:
    return build_shards(images, shard_images, ImageFiles("photos"), "mine", "all", relations=True)


def test_no_more_images_are_drawn_than_the_shard_needs() -> None:
    drawn = 0

    def images() -> Iterator[ImageRecord]:
        nonlocal drawn
        for drawn in range(1, 7):
            yield ImageRecord(drawn, 100, 80)

    next(shards(images()))

    assert drawn == 2


def test_a_record_says_its_own_dataset_and_split() -> None:
    images = [ImageRecord(1, 9, 9), ImageRecord(2, 9, 9, dataset="coco2017", split="val2017")]

    [shard] = shards(images)

    found = shard.tables["images"].select(["dataset", "split"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [("mine", "all"), ("coco2017", "val2017")]


def test_half_a_surrogate_pair_is_no_text() -> None:
    boxes = [BoxRecord(1, HALF_A_PAIR, (1, 1, 5, 5)), BoxRecord(HALF_A_PAIR, "dog", (1, 1, 5, 5))]
    named = ImageRecord(2, 9, 9, HALF_A_PAIR)
    images = [ImageRecord(1, 9, 9, "1.jpg", boxes), named, ImageRecord(HALF_A_PAIR, 9, 9)]

    [shard] = shards(images, 9)

    found = [q.reason for q in shard.quarantined]
    assert found == ["malformed_image", "bad_file_name", *["malformed_annotation"] * 2]
    assert shard.tables["images"]["image_id"].to_pylist() == ["1"]


texts = st.text(max_size=3) | st.just(HALF_A_PAIR)
anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.lists(st.integers(), max_size=4)
)
ids = st.integers(0, 3) | anything
numbers = st.integers(-5, 90) | anything
boxes = st.builds(
    BoxRecord, ids, st.just("dog") | anything, st.tuples(*[numbers] * 4) | st.lists(numbers), anything, ids
)
relations = st.builds(RelationRecord, ids, st.just("on") | anything, ids, st.floats(0, 1) | anything)
images = st.builds(
    ImageRecord, ids, numbers, numbers, texts | st.none(), st.lists(boxes), st.lists(relations), texts, texts
)


@settings(max_examples=60, deadline=None)
@given(st.lists(images, max_size=5))
def test_whatever_the_values_are_each_record_is_accounted_for_once(found: list[ImageRecord]) -> None:
    results = list(shards(found))

    records = len(found) + sum(len(image.boxes) + len(image.relations) for image in found)
    assert sum(shard.notes["rows_in"] for shard in results) == records
    for shard in results:
        assert shard.notes["rows_in"] == shard.kept + sum(shard.dropped.values()) + len(shard.quarantined)
        for name, table in shard.tables.items():
            assert conform(name, table) == table
