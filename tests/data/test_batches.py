"""Batches are pixels until they are on the model's device; by aspect ratio they hold little padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.data import sources
from relforge.data.batches import Batch, Batches, BatchOptions
from relforge.data.relations import RelationData
from relforge.data.transforms import normalise_together, pad_together
from relforge.images.detection_resize import normalise_imagenet
from tests.fixtures.training import run_folder

__all__ = ["run_folder"]
CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "size": 4,
    "short_sides": (48, 64),
    "long_side": 400,
    "object_labels": 12,
    "relation_labels": 12,
}


@pytest.fixture
def data(run_folder: Path) -> RelationData:
    return sources.load_relations([{"run": str(run_folder), "relations": "gold"}])


def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (3, *size), generator=generator).byte() for size in ((5, 7), (8, 4))]


def test_images_are_normalised_where_they_are_used_with_zeros_where_padded() -> None:
    given = images()
    pixels = pad_together(given)
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (2, 3, 8, 7))
    found, padding = normalise_together(pixels, [(5, 7), (8, 4)])
    assert padding is not None
    for row, image in enumerate(given):
        height, width = image.shape[1:]
        assert torch.equal(found[row, :, :height, :width], normalise_imagenet(image))
        assert not padding[row, :height, :width].any()
        assert padding[row].sum() == 8 * 7 - height * width
        assert not found[row][:, padding[row]].any()


def test_images_of_one_size_have_no_padding() -> None:
    one = images()[0]
    found, padding = normalise_together(pad_together([one, one]), [(5, 7)] * 2)
    assert padding is None
    assert torch.equal(found[1], normalise_imagenet(one))


def test_a_batch_is_uint8_until_it_is_on_its_device(data: RelationData) -> None:
    batch = Batches(data, BatchOptions(**SIZES), 0).at(0)
    assert batch.images.dtype == torch.uint8
    moved = batch.to(CPU)
    assert moved.images.dtype == torch.float32
    assert torch.equal(moved.to(CPU).images, moved.images)
    assert [len(t) for t in moved.targets] == [len(t) for t in batch.targets]


def sides(batch: Batch) -> set[int]:
    return {min(size) for size in batch.sizes}


def test_by_aspect_a_batch_has_one_scale(data: RelationData) -> None:
    batches = Batches(data, BatchOptions(**SIZES), 0)
    drawn = [sides(batches.at(step)) for step in range(8)]
    assert all(len(found) == 1 for found in drawn)
    assert len(set[int]().union(*drawn)) == 2
    published = Batches(data, BatchOptions(**SIZES, order="published"), 0)
    assert any(len(sides(published.at(step))) == 2 for step in range(8))


def test_by_aspect_batches_are_functions_of_their_steps(data: RelationData) -> None:
    options = SIZES | {"order": "aspect"}
    one, two = (Batches(data, BatchOptions(**options), 5, threads=threads) for threads in (1, 3))
    ahead = one.from_step(2)
    for step in (2, 3, 4):
        assert torch.equal(next(ahead).images, two.at(step).images)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch\.order: 'aspects' is not one of aspect, published"):
        BatchOptions(order="aspects")
