"""Denoising queries: the R-Tagger learns from pairs whose boxes and labels are disturbed (RLIPv2, §4.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from relforge.models.blocks.pair_queries import PairBatch, pad_pairs
from relforge.models.rlipv2.model import RelationModel
from relforge.models.training.targets import Targets


@dataclass(frozen=True)
class Noise:
    """How pairs are disturbed; the defaults are the released tagger's.

    Args:
        box: lambda of the box noise; centres move by up to half a side times it, sides change by it.
        label: probability of replacing a label.
        mask: keep queries of the same clean region from attending to each other.
        published_flips: draw replacement labels from [0, batch size) as the published code does by mistake
            (docs/method.md, "Denoising"), instead of from all object labels.
        published_mask: drop every mask of a batch in which any query is padding, as the published code does
            by mistake, instead of masking image by image.
        last_box, last_label: what `box` and `label` go to within `anneal`; None: they stay.
        anneal: shares of the training between which they go there, linearly; later steps have the last ones.
            A tagger that was disturbed to its last step distrusts boxes that are exact when it labels.

    Raises:
        ValueError: `anneal` is not two rising shares, or a probability or a noise is out of its range.
    """

    box: float = 0.4
    label: float = 0.2
    mask: bool = True
    published_flips: bool = False
    published_mask: bool = False
    last_box: float | None = None
    last_label: float | None = None
    anneal: tuple[float, float] = (0.6, 0.8)

    def __post_init__(self) -> None:
        if len(self.anneal) != 2 or not 0 <= self.anneal[0] < self.anneal[1] <= 1:
            raise ValueError(
                f"noise.anneal: {list(self.anneal)} is not [start, end], two rising shares of the training"
            )
        for name in ("box", "label", "last_box", "last_label"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"noise.{name}: {value} is not between 0 and 1")

    def at(self, progress: float) -> Noise:
        """The noise when that share (0 to 1) of the training is done."""
        start, end = self.anneal
        gone = min(1.0, max(0.0, (progress - start) / (end - start)))
        last_box = self.box if self.last_box is None else self.last_box
        last_label = self.label if self.last_label is None else self.last_label
        return replace(
            self,
            box=self.box + gone * (last_box - self.box),
            label=self.label + gone * (last_label - self.label),
        )

    def training_pairs(
        self, model: nn.Module, targets: list[Targets], objects: int, generator: torch.Generator
    ) -> PairBatch:
        """One disturbed copy of every pair of a batch; see `denoising_pairs`."""
        assert isinstance(model, RelationModel)
        return denoising_pairs(
            targets,
            self,
            width=max(1, *(len(t) for t in targets)),
            object_labels=objects - 1,
            heads=model.heads,
            generator=generator,
        )


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


def same_region_mask(boxes: Tensor, labels: Tensor, key_padding_mask: Tensor) -> Tensor:
    """Which queries would leak a clean region to which.

    Two different queries, of either role, with the same clean box and label hold two independent disturbances
    of one region; attending to both would average the noise away.

    Args:
        boxes: N x Q x 4 clean boxes.
        labels: N x Q clean labels.
        key_padding_mask: N x Q, True where the query holds no pair.

    Returns:
        N x Q x Q attention mask, True = must not attend; a query may always attend to itself.
    """
    same = (labels[:, :, None] == labels[:, None]) & (boxes[:, :, None] == boxes[:, None]).all(-1)
    filled = ~key_padding_mask
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
        targets: one per image, at most `width` pairs each.
        noise: how to disturb them.
        width: pair queries of a row.
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
    given.attention_mask = _attention_mask(targets, noise, width, heads)
    return given


def _attention_mask(targets: list[Targets], noise: Noise, width: int, heads: int) -> Tensor | None:
    if not noise.mask:
        return None
    clean = pad_pairs(
        [torch.stack([t.subject_boxes, t.object_boxes], 1) for t in targets],
        [torch.stack([t.subject_labels, t.object_labels], 1) for t in targets],
        width,
    )
    mask = same_region_mask(clean.boxes, clean.labels, clean.key_padding_mask)
    if noise.published_mask and bool(clean.key_padding_mask.any()):
        mask = torch.zeros_like(mask)
    return mask.repeat_interleave(heads, 0)
