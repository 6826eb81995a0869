"""What the hull of a given pair shows."""

from __future__ import annotations

import torch
from torch import nn

from relforge.models.blocks.decoder import Memory
from relforge.models.blocks.pair_pixels import GRID, PairPixels, _grid, _sample
from relforge.models.blocks.pair_queries import pad_pairs

from .test_ordered_pairs import model

DIM = 32


def memory_of(level: torch.Tensor, valid: tuple[float, float] = (1.0, 1.0)) -> Memory:
    """Memory of one level B x dim x H x W, of which a share (x, y) is no padding."""
    ratios = torch.tensor(valid).expand(len(level), 1, 2)
    return Memory(level.flatten(2).transpose(1, 2), [(level.shape[2], level.shape[3])], None, ratios)


def test_the_grid_covers_the_hull_of_both_boxes() -> None:
    subject, object_ = torch.tensor([[[0.2, 0.2, 0.4, 0.4]]]), torch.tensor([[[0.6, 0.3, 0.8, 0.8]]])
    points = _grid(subject, object_)[0, 0]

    assert points.shape == (GRID, GRID, 2)
    half = 1.12 / 2 / GRID  # of a cell, in hulls
    torch.testing.assert_close(
        points[0, 0], torch.tensor([0.2 + 0.6 * (half - 0.06), 0.2 + 0.6 * (half - 0.06)])
    )
    torch.testing.assert_close(points[-1, -1], torch.tensor([1.0, 1.0]) - points[0, 0])


def test_points_are_read_where_the_boxes_lie_also_in_a_padded_batch() -> None:
    # given a level whose channels are its own coordinates, the right half of it padding
    height, width = 16, 32
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    level = torch.stack([x / (width / 2), y / height])[None]
    subject, object_ = torch.tensor([[[0.2, 0.3, 0.5, 0.5]]]), torch.tensor([[[0.4, 0.4, 0.7, 0.9]]])
    points = _grid(subject, object_)

    seen = _sample(points, memory_of(level, valid=(0.5, 1.0)))

    torch.testing.assert_close(seen[0, 0].permute(1, 2, 0), points[0, 0])


def test_each_image_has_its_own_pixels_and_each_pair_its_own_hull() -> None:
    torch.manual_seed(0)
    pixels = PairPixels(DIM)
    nn.init.normal_(pixels.mix.layers[-1].weight)
    memory = memory_of(torch.randn(2, DIM, 8, 8))
    pair = torch.tensor([[0.3, 0.5, 0.2, 0.4], [0.7, 0.5, 0.2, 0.2]])
    given = pad_pairs([torch.stack([pair, pair.flip(0)])] * 4, [torch.zeros(2, 2, dtype=torch.long)] * 4, 2)

    found = pixels(given.boxes, memory)  # two images with two decoder batches each

    assert found.shape == (4, 2, DIM)
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], found[2], atol=1e-3)
    assert not torch.allclose(found[0, 0], found[0, 1], atol=1e-3)


def test_it_changes_nothing_before_it_has_learnt_and_learns_with_the_tagger() -> None:
    plain, tagger = model("rtagger"), model("rtagger", pair_pixels=True)
    tagger.load_state_dict(plain.state_dict(), strict=False)
    given = pad_pairs(
        [torch.tensor([[[0.3, 0.5, 0.2, 0.4], [0.7, 0.5, 0.2, 0.2]]])], [torch.tensor([[0, 1]])], 1
    )
    image, texts = torch.randn(1, 3, 128, 128), torch.randn(4, 32)
    scores = [one.decode(one.encode(image, texts), 2, given)[-1].relation_logits for one in (plain, tagger)]
    torch.testing.assert_close(*scores)

    scores[1].sum().backward()
    assert tagger.pair_pixels is not None
    assert tagger.pair_pixels.mix.layers[-1].weight.grad.abs().sum() > 0
