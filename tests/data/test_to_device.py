"""What goes to a device goes in one copy, and images go as bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from relforge.data.image_label_batches import ImageLabelBatch
from relforge.data.image_loading import normalise_squares, stack_squares
from relforge.data.to_device import move_together
from relforge.data.transforms import normalise_together, pad_together
from relforge.models.training.image_targets import ImageTargets
from relforge.models.training.targets import Targets

CPU, META = torch.device("cpu"), torch.device("meta")
STATISTICS = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.22))


def targets(pairs: int) -> Targets:
    boxes, labels = torch.rand(pairs, 4), torch.arange(pairs)
    return Targets(boxes, boxes + 1, labels, labels + 1, torch.eye(pairs, 5))


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each copy to `meta`."""
    from relforge.models import gpu

    found: list[int] = []
    upload = gpu.upload

    def count(device: torch.device, *tensors: torch.Tensor) -> list[torch.Tensor]:
        found.append(sum(tensor.nbytes for tensor in tensors))
        return upload(device, *tensors)

    monkeypatch.setattr("relforge.data.to_device.upload", count)
    return found


def test_targets_of_all_images_go_in_one_copy_and_keep_their_shapes(uploads: list[int]) -> None:
    given: list[Any] = [targets(3), targets(0)]
    images = [ImageTargets(torch.zeros(4), torch.zeros(0), torch.ones(2))]
    pairs, moved = move_together(META, given, images)
    assert len(uploads) == 1
    assert [len(one) for one in pairs] == [3, 0]
    assert pairs[0].relations.shape == (3, 5)
    assert pairs[0].relations.device == META
    assert pairs[0].subject_labels.dtype == torch.long
    assert moved[0].interaction_weights is None


def test_what_is_there_already_stays_as_it_is(uploads: list[int]) -> None:
    one = targets(2)
    ((same,),) = move_together(CPU, [one])
    assert same is one
    assert uploads == []


def test_a_packed_copy_holds_the_values() -> None:
    from relforge.models.gpu import upload

    one = targets(3)
    tensors = [one.subject_boxes, one.subject_labels, one.relations[:, :0], one.relations > 0]
    there = upload(META, *tensors)
    assert [(t.shape, t.dtype) for t in there] == [(t.shape, t.dtype) for t in tensors]


def test_squares_are_bytes_until_they_are_on_their_device() -> None:
    decoded = [torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8).permute(2, 0, 1) for _ in range(3)]
    batch = ImageLabelBatch(stack_squares(decoded), [], STATISTICS)
    assert batch.images.dtype == torch.uint8
    mean, deviation = (torch.tensor(values)[:, None, None] for values in STATISTICS)
    expected = (torch.stack(decoded).float() / 255 - mean) / deviation
    moved = batch.to(CPU)
    assert moved.images.equal(expected)
    assert moved.images.is_contiguous()
    assert moved.to(CPU).images.equal(expected)


def test_normalising_copies_no_constants_to_a_device() -> None:
    """Mean and deviation are made once for a device; a second batch makes none."""
    made = []

    class Constants(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.tensor, torch.Tensor.new_tensor) and (kwargs or {}).get("device", CPU) != CPU:
                made.append(func)
            return func(*args, **(kwargs or {}))

    pixels = pad_together([torch.zeros(3, 4, 6, dtype=torch.uint8), torch.zeros(3, 5, 4, dtype=torch.uint8)])
    for _ in range(2):
        made.clear()
        with Constants():
            normalise_together(pixels.to(META), [(4, 6), (5, 4)])
            normalise_squares(pixels.to(META), STATISTICS)
    assert made == []
