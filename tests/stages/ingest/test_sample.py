"""`dataset.limit`: a fair part of a dataset that depends on the seed and the ids of its images alone."""

from __future__ import annotations

import pytest

from relforge.stages.contract import ListsClasses
from relforge.stages.ingest.sample import NOT_SAMPLED, Sample, read_limit
from tests.fixtures.adapters import Open, read
from tests.fixtures.datasets import Box, Image

IMAGES = [Image(number, boxes=[Box("dog"), Box("person", (1, 1, 0, 5))]) for number in range(1, 41)]


def drawn(source: Sample, shard_images: int = 10) -> list[str]:
    shards = source.shards(shard_images)
    return [one for shard in shards for one in shard.tables["images"]["image_id"].to_pylist()]


@pytest.mark.parametrize("shard_images", [3, 10, 100])
def test_a_number_of_images_is_drawn_whatever_the_shards(opened: Open, shard_images: int) -> None:
    source = opened("coco", IMAGES)

    found = drawn(Sample(source, 7, seed=0), shard_images)

    assert len(found) == 7
    assert set(found) == set(drawn(Sample(source, 7, seed=0)))
    assert set(found) < set(drawn(Sample(source, 12, seed=0)))
    assert set(found) != set(drawn(Sample(source, 7, seed=1)))


@pytest.mark.parametrize("shard_images", [3, 10, 100])
def test_a_share_of_the_images_is_drawn(opened: Open, shard_images: int) -> None:
    source = opened("coco", IMAGES)

    tenth, half = (drawn(Sample(source, share, seed=0), shard_images) for share in ("10%", "50%"))

    assert 0 < len(tenth) < 10 < len(half) < 30
    assert set(tenth) < set(half)
    assert drawn(Sample(source, "100%", seed=0)) == drawn(Sample(source, 1000, seed=0))


@pytest.mark.parametrize("limit", [7, "50%"])
def test_every_record_of_the_whole_dataset_is_accounted_for(opened: Open, limit: int | str) -> None:
    source = opened("coco", IMAGES)

    shards = read(Sample(source, limit, seed=0), shard_images=4)

    images = sum(shard.tables["images"].num_rows for shard in shards)
    assert all(shard.tables["images"].num_rows <= 4 for shard in shards)
    assert sum(shard.tables["boxes"].num_rows for shard in shards) == images
    assert sum(shard.notes["rows_in"] for shard in shards) == 120  # images and boxes of the file
    assert sum(shard.kept for shard in shards) == 2 * images
    # of each image one of two boxes is broken: it is set aside where its image is drawn
    assert sum(shard.dropped.get(NOT_SAMPLED, 0) for shard in shards) == 3 * (40 - images)
    assert sum(len(shard.quarantined) for shard in shards) == images


def test_it_lists_the_classes_of_the_whole(opened: Open) -> None:
    sample = Sample(opened("coco", IMAGES), 1, seed=0)

    assert isinstance(sample, ListsClasses)
    assert {"dog", "person"} <= sample.list_classes().keys()


@pytest.mark.parametrize("limit", [0, -1, True, "1", "0%", "101%", "some", 1.5])
def test_any_other_limit_is_refused(limit: int | str) -> None:
    with pytest.raises(ValueError, match=r"give a number of images, such as 100, or a share, such as 1%"):
        read_limit(limit)
