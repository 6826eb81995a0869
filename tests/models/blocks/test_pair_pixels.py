"""What the crop of a given pair shows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relforge.models.blocks.pair_pixels import PairPixels, Shown, _inside, _points, _sample
from relforge.models.blocks.pair_queries import PairBatch, pad_pairs

from .test_ordered_pairs import model

DIM, GRID = 32, 48
PAIR = torch.tensor([[0.3, 0.5, 0.2, 0.4], [0.7, 0.5, 0.2, 0.2]])
"""Subject and object, cxcywh."""


def given(images: int, batches: int = 1, width: int = 2) -> PairBatch:
    """The pair and its reverse in every decoder batch of every image."""
    both = torch.stack([PAIR, PAIR.flip(0)])
    rows = images * batches
    return pad_pairs([both] * rows, [torch.tensor([[0, 1], [1, 0]])] * rows, width)


@pytest.fixture
def pixels() -> PairPixels:
    torch.manual_seed(0)
    made = PairPixels(DIM, GRID)
    for part in (made.mix, made.direct):
        nn.init.normal_(part.layers[-1].weight)
    return made


def look(
    pixels: PairPixels, pairs: PairBatch, images: Tensor, valid: Tensor, labels: Tensor | None = None
) -> Tensor:
    if labels is None:
        labels = torch.ones(*pairs.boxes.shape[:2], DIM)
    filled = ~pairs.key_padding_mask.chunk(2, 1)[0]
    return torch.cat(pixels(pairs.boxes, labels, filled, Shown(images, valid)), -1)


def test_the_crop_is_a_square_around_the_hull_of_both_boxes() -> None:
    # given an image twice as wide as high: the hull is 1.2 heights wide and 0.6 high
    subject, object_ = torch.tensor([[[0.2, 0.2, 0.4, 0.4]]]), torch.tensor([[[0.6, 0.3, 0.8, 0.8]]])
    points = _points(subject, object_, Shown(torch.zeros(1, 3, 100, 200), torch.ones(1, 2)), GRID)[0, 0]

    assert points.shape == (GRID, 2)
    reach = (0.5 + 0.08) * 0.6 * (1 - 1 / GRID)  # from the middle of the hull, in widths
    torch.testing.assert_close(points[0], torch.tensor([0.5 - reach, 0.5 - 2 * reach]))
    torch.testing.assert_close(points[-1], torch.tensor([0.5 + reach, 0.5 + 2 * reach]))


def test_the_subject_is_always_on_the_left(pixels: PairPixels) -> None:
    # given a pair in an image, and the pair in its mirror image
    image = torch.randn(1, 3, 64, 64)
    mirrored = PAIR.clone()
    mirrored[:, 0] = 1 - PAIR[:, 0]
    pairs = [pad_pairs([one[None]], [torch.tensor([[0, 1]])], 1) for one in (PAIR, mirrored)]

    one, other = (
        look(pixels, pair, shown, torch.ones(1, 2))
        for pair, shown in zip(pairs, (image, image.flip(3)), strict=True)
    )

    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_points_in_a_box_are_marked() -> None:
    steps = (torch.arange(GRID) + 0.5) / GRID
    points = torch.stack([steps, steps], -1)[None, None]

    marked = _inside(points, torch.tensor([[[0.25, 0.5, 1.0, 0.75]]]))[0, 0]

    rows, columns = marked.nonzero().unbind(-1)
    assert (rows.min(), rows.max()) == (GRID // 2, GRID * 3 // 4 - 1)
    assert (columns.min(), columns.max()) == (GRID // 4, GRID - 1)


def test_points_are_read_where_the_boxes_lie_also_in_a_padded_batch() -> None:
    # given an image whose channels are its own coordinates, the right half of it padding
    height, width = 60, 120
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    image = torch.stack([x / (width / 2), y / height, torch.ones_like(x)])[None]
    shown = Shown(image, torch.tensor([[0.5, 1.0]]))
    subject, object_ = torch.tensor([[[0.2, 0.3, 0.5, 0.5]]]), torch.tensor([[[0.4, 0.4, 0.7, 0.9]]])
    points = _points(subject, object_, shown, GRID)

    seen = _sample(points, shown)[0, 0]

    torch.testing.assert_close(seen[0], points[0, 0, :, 0].expand(GRID, GRID))
    torch.testing.assert_close(seen[1], points[0, 0, :, 1, None].expand(GRID, GRID))


def test_beyond_the_image_nothing_is_seen() -> None:
    points = torch.tensor([-0.2, 1.2]).repeat_interleave(GRID // 2)[None, None, :, None].expand(-1, -1, -1, 2)

    assert not _sample(points, Shown(torch.ones(1, 3, 16, 16), torch.ones(1, 2))).any()


def test_padding_of_the_batch_changes_nothing(pixels: PairPixels) -> None:
    image = torch.randn(1, 3, 64, 48)
    wide = torch.cat([image, torch.zeros(1, 3, 64, 16)], 3)

    alone = look(pixels, given(1), image, torch.ones(1, 2))
    padded = look(pixels, given(1), wide, torch.tensor([[0.75, 1.0]]))

    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-4)


def test_each_image_has_its_own_pixels_and_each_pair_its_own_crop(pixels: PairPixels) -> None:
    found = look(pixels, given(2, batches=2), torch.randn(2, 3, 64, 64), torch.ones(2, 2))

    assert found.shape == (4, 2, 2 * DIM)
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], found[2], atol=1e-3)
    assert not torch.allclose(found[0, 0], found[0, 1], atol=1e-3)


def test_more_points_need_no_other_weights() -> None:
    coarse, fine = PairPixels(DIM, 48), PairPixels(DIM, 64)

    fine.load_state_dict(coarse.state_dict())

    assert look(fine, given(1), torch.randn(1, 3, 64, 64), torch.ones(1, 2)).shape == (1, 2, 2 * DIM)


def test_the_classes_choose_what_matters(pixels: PairPixels) -> None:
    image = torch.randn(1, 3, 64, 64)

    one, other = (
        look(pixels, given(1), image, torch.ones(1, 2), torch.full((1, 4, DIM), value))
        for value in (1.0, -1.0)
    )

    assert not torch.allclose(one, other, atol=1e-3)


def test_queries_without_a_pair_are_not_looked_at_on_a_cpu(pixels: PairPixels) -> None:
    image = torch.randn(1, 3, 64, 64)

    found = look(pixels, given(1, width=5), image, torch.ones(1, 2))

    torch.testing.assert_close(found[:, :2], look(pixels, given(1), image, torch.ones(1, 2)))
    assert not found[:, 2:].any()


def test_a_batch_without_pairs_is_no_error(pixels: PairPixels) -> None:
    none = pad_pairs([torch.zeros(0, 2, 4)], [torch.zeros(0, 2, dtype=torch.long)], 2)

    assert look(pixels, none, torch.randn(1, 3, 64, 64), torch.ones(1, 2)).shape == (1, 2, 2 * DIM)


def test_it_changes_nothing_before_it_has_learnt_and_learns_with_the_tagger() -> None:
    plain, tagger = model("rtagger"), model("rtagger", pair_pixels=48)
    tagger.load_state_dict(plain.state_dict(), strict=False)
    pair = pad_pairs([PAIR[None]], [torch.tensor([[0, 1]])], 1)
    image, texts = torch.randn(1, 3, 128, 128), torch.randn(4, 32)
    scores = [one.decode(one.encode(image, texts), 2, pair)[-1].relation_logits for one in (plain, tagger)]
    torch.testing.assert_close(*scores)

    scores[1].sum().backward()
    assert tagger.pair_pixels is not None
    for part in (tagger.pair_pixels.mix, tagger.pair_pixels.direct):
        assert part.layers[-1].weight.grad.abs().sum() > 0


def test_the_tagger_looks_at_the_part_of_a_padded_image_that_is_no_padding() -> None:
    torch.manual_seed(0)
    tagger = model("rtagger", pair_pixels=48).eval()
    padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    padding[:, :, 72:] = True

    memory = tagger.encode(torch.randn(1, 3, 64, 96), torch.randn(4, 32), padding)

    assert memory.shown is not None
    torch.testing.assert_close(memory.shown.valid, torch.tensor([[0.75, 1.0]]))
