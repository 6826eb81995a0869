"""Denoising queries: the R-Tagger learns from pairs whose boxes and labels were disturbed (paper §4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.pair_queries import PairBatch, pad_pairs
from relforge.models.training.targets import Targets


@dataclass(frozen=True)
class Noise:
    """How pairs are disturbed; the defaults are the released tagger's.

    Args:
        box: lambda of the box noise; centres move by up to half a side times it, sides change by it.
        label: probability of replacing a label.
        mask: block slots that hold the same clean region from reading each other.
        published_flips: draw replacement labels from [0, number of pictures) as the published code does
            by mistake (reference §7, Q15), instead of from all object labels.
        published_mask: drop every mask of a batch in which any slot is empty, as the published code does
            by mistake (Q16), instead of masking picture by picture.
    """

    box: float = 0.4
    label: float = 0.2
    mask: bool = True
    published_flips: bool = False
    published_mask: bool = False


def noisy_boxes(boxes: Tensor, scale: float, generator: torch.Generator | None = None) -> Tensor:
    """Boxes n x 4 (cxcywh), shifted and scaled at random and clamped to [0, 1] coordinate by coordinate."""
    if scale == 0:
        return boxes
    draw = torch.rand(boxes.shape, generator=generator, dtype=boxes.dtype).to(boxes.device)
    reach = torch.cat([boxes[:, 2:] / 2, boxes[:, 2:]], 1)
    return (boxes + (2 * draw - 1) * reach * scale).clamp(0, 1)


def noisy_labels(
    labels: Tensor, probability: float, classes: int, generator: torch.Generator | None = None
) -> Tensor:
    """Labels n, each replaced with the given probability by one drawn evenly from [0, classes)."""
    if probability == 0:
        return labels
    replaced = (torch.rand(labels.shape, generator=generator) < probability).to(labels.device)
    drawn = torch.randint(0, classes, (int(replaced.sum()),), generator=generator).to(labels.device)
    labels = labels.clone()
    labels[replaced] = drawn
    return labels


def same_region_mask(boxes: Tensor, labels: Tensor, empty: Tensor) -> Tensor:
    """Which slots would leak a clean region to which.

    Two different slots, of either role, that hold the same box and label see two independent
    disturbances of one region; reading both would average the noise away.

    Args:
        boxes: N x Q x 4 clean boxes.
        labels: N x Q clean labels.
        empty: N x Q.

    Returns:
        N x Q x Q, True = blocked; a slot may always read itself.
    """
    same = (labels[:, :, None] == labels[:, None]) & (boxes[:, :, None] == boxes[:, None]).all(-1)
    filled = ~empty
    same &= filled[:, :, None] & filled[:, None]
    same.diagonal(dim1=1, dim2=2).fill_(False)
    return same


def denoising_pairs(
    targets: list[Targets],
    noise: Noise,
    *,
    width: int,
    object_labels: int,
    heads: int,
    generator: torch.Generator | None = None,
) -> PairBatch:
    """One disturbed copy of every pair of a batch.

    Args:
        targets: per picture, at most `width` pairs.
        noise: how to disturb them.
        width: pair slots of a row.
        object_labels: object labels that a flip may choose from ("no objects" not counted).
        heads: attention heads, for which the mask is repeated.
        generator: source of the draws, on the CPU; the global one by default.
    """
    sizes = [len(t) for t in targets]
    sub_boxes = noisy_boxes(torch.cat([t.subject_boxes for t in targets]), noise.box, generator)
    obj_boxes = noisy_boxes(torch.cat([t.object_boxes for t in targets]), noise.box, generator)
    classes = len(targets) if noise.published_flips else object_labels
    sub_labels = torch.cat([t.subject_labels for t in targets])
    obj_labels = torch.cat([t.object_labels for t in targets])
    sub_labels = noisy_labels(sub_labels, noise.label, classes, generator)
    obj_labels = noisy_labels(obj_labels, noise.label, classes, generator)
    boxes = torch.stack([sub_boxes, obj_boxes], 1).split(sizes)
    labels = torch.stack([sub_labels, obj_labels], 1).split(sizes)
    given = pad_pairs(list(boxes), list(labels), width)
    given.attention_mask = _blocked(targets, noise, width, heads)
    return given


def _blocked(targets: list[Targets], noise: Noise, width: int, heads: int) -> Tensor | None:
    if not noise.mask:
        return None
    clean = pad_pairs(
        [torch.stack([t.subject_boxes, t.object_boxes], 1) for t in targets],
        [torch.stack([t.subject_labels, t.object_labels], 1) for t in targets],
        width,
    )
    blocked = same_region_mask(clean.boxes, clean.labels, clean.key_padding_mask)
    if noise.published_mask and bool(clean.key_padding_mask.any()):
        blocked = torch.zeros_like(blocked)
    return blocked.repeat_interleave(heads, 0)
