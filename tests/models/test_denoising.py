"""Denoising as it should be: per-image masks, flips over all labels."""

from __future__ import annotations

import pytest
import torch

from relforge.models.rlipv2.denoising import (
    Noise,
    denoising_pairs,
    noisy_boxes,
    noisy_labels,
    same_region_mask,
)
from relforge.models.training.targets import Targets


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def targets(pairs: list[tuple[int, int]], count: int = 5) -> Targets:
    """Pairs of `count` fixed boxes; box i has label i."""
    boxes = torch.linspace(0.1, 0.5, count)[:, None].expand(-1, 4)
    index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    return Targets(
        boxes[index[:, 0]], boxes[index[:, 1]], index[:, 0], index[:, 1], torch.ones(len(index), 1)
    )


def test_boxes_move_at_most_by_their_share_of_the_side() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.1]]).repeat(2000, 1)
    noisy = noisy_boxes(boxes, 0.4, generator())
    moved = (noisy - boxes).abs().amax(0)
    limit = torch.tensor([0.04, 0.02, 0.08, 0.04])
    assert (moved <= limit + 1e-6).all()
    assert (moved > 0.9 * limit).all()


def test_labels_flip_with_their_probability_over_the_whole_list() -> None:
    labels = torch.zeros(5000, dtype=torch.long)
    noisy = noisy_labels(labels, 0.2, 50, generator())
    assert abs(float((noisy != 0).float().mean()) - 0.2 * 49 / 50) < 0.02
    assert int(noisy.max()) == 49


def test_queries_of_one_region_do_not_attend_to_each_other_whatever_their_role_and_other_padding() -> None:
    batch = [targets([(0, 1), (0, 2), (3, 0)]), targets([(1, 2)])]
    given = denoising_pairs(batch, Noise(), width=4, object_labels=5, heads=1, generator=generator())
    assert given.attention_mask is not None
    masked = {(i, j) for i, j in given.attention_mask[0].nonzero().tolist()}
    # region 0 sits in subject queries 0 and 1 and in object query 4 + 2
    assert masked == {(0, 1), (1, 0), (0, 6), (6, 0), (1, 6), (6, 1)}
    assert not given.attention_mask[1].any()


def test_the_published_mask_is_lost_when_any_query_is_padding() -> None:
    batch = [targets([(0, 1), (0, 2)]), targets([(1, 2)])]
    noise = Noise(published_mask=True)
    given = denoising_pairs(batch, noise, width=2, object_labels=5, heads=1, generator=generator())
    assert given.attention_mask is not None
    assert not given.attention_mask.any()


def test_padding_and_the_diagonal_are_never_masked() -> None:
    boxes, labels = torch.zeros(1, 4, 4), torch.zeros(1, 4, dtype=torch.long)
    padding = torch.tensor([[False, False, True, True]])
    masked = same_region_mask(boxes, labels, padding)
    assert masked.nonzero().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_without_noise_pairs_stay_as_they_are() -> None:
    batch = [targets([(0, 1)])]
    quiet = Noise(box=0, label=0, mask=False)
    given = denoising_pairs(batch, quiet, width=2, object_labels=5, heads=1)
    assert given.boxes[0, 0].equal(batch[0].subject_boxes[0])
    assert given.labels[0].tolist() == [0, 0, 1, 0]
    assert given.attention_mask is None


def test_noise_goes_to_its_last_strength_within_the_shares_given() -> None:
    noise = Noise(box=0.4, label=0.2, last_box=0.1, last_label=0.0, anneal=(0.5, 0.75))
    found = [
        (round(noise.at(done).box, 6), round(noise.at(done).label, 6)) for done in (0, 0.5, 0.625, 0.75, 1)
    ]
    assert found == [(0.4, 0.2), (0.4, 0.2), (0.25, 0.1), (0.1, 0.0), (0.1, 0.0)]
    assert Noise().at(1.0) == Noise()


@pytest.mark.parametrize("wrong", [{"anneal": (0.8, 0.6)}, {"anneal": (0.5, 1.5)}, {"last_box": 2.0}])
def test_a_schedule_of_noise_that_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="noise"):
        Noise(**wrong)
