"""Batches that depend on (seed, step, rank) alone, so that a resumed run continues exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from torch import Tensor

from relforge.data.colour_jitter import draw_jitter
from relforge.data.label_lists import LabelList, LabelSource, OpenLabels
from relforge.data.order import Order, compute_ahead
from relforge.data.relations import Example, RelationData
from relforge.data.targets import make_box_targets, make_image_targets, make_targets
from relforge.data.to_device import move_together
from relforge.data.transforms import load_pixels, mirror_predicate, normalise_together, pad_together
from relforge.data.views import View, draw_crop
from relforge.models.training.box_targets import BoxTargets
from relforge.models.training.image_targets import ImageTargets
from relforge.models.training.targets import Targets

ORDERS = ("aspect", "published")


@dataclass(frozen=True)
class Batch:
    """One step's input.

    Args:
        images: B x 3 x H x W, padded with zeros: uint8 pixels as they were resized, until `to` brings them to
            the model's device and normalises them there.
        padding: B x H x W, True = padded; None where nothing is, and until then.
        targets, image_targets, box_targets: one per image: its pairs, the image as a whole, all its boxes.
        labels: what the images are scored against.
        progress: share of the training that was done before this batch, 0 to 1.
        pairs_of_step, boxes_of_step: labelled pairs and boxes per batch, where several batches make a step;
            None where this one does.
        sizes: (height, width) of each image without its padding.
    """

    images: Tensor
    padding: Tensor | None
    targets: list[Targets]
    image_targets: list[ImageTargets]
    labels: LabelList
    pairs_of_step: float | None = None
    box_targets: list[BoxTargets] = field(default_factory=list)
    boxes_of_step: float | None = None
    progress: float = 0.0
    sizes: Sequence[tuple[int, int]] = ()

    @property
    def pairs(self) -> float:
        """What losses per pair are divided by in this process: labelled pairs of the batch, or their mean
        over the batches of the step, so that the mean of their gradients is that of one large batch."""
        return float(sum(len(t) for t in self.targets)) if self.pairs_of_step is None else self.pairs_of_step

    @property
    def boxes(self) -> float:
        """The same of losses per box."""
        found = float(sum(len(t) for t in self.box_targets))
        return found if self.boxes_of_step is None else self.boxes_of_step

    def to(self, device: torch.device) -> Batch:
        """The batch as a model takes it, on that device."""
        images, padding = self.images.to(device, non_blocking=True), self.padding
        if images.dtype == torch.uint8:
            images, padding = normalise_together(images, self.sizes)
        groups = self.targets, self.image_targets, self.box_targets
        targets, image_targets, box_targets = move_together(device, *groups)
        return replace(
            self,
            images=images,
            padding=None if padding is None else padding.to(device),
            targets=targets,
            image_targets=image_targets,
            box_targets=box_targets,
        )


@dataclass(frozen=True)
class BatchOptions:
    """How batches are made.

    Args:
        size: images per process and step.
        order: `aspect` (the images of a batch have similar aspect ratios, and one short side: little is
            padded) or `published` (a plain shuffle, a short side drawn for each image), as recipes have it
            that repeat a published training or made weights that come with relforge.
        short_sides: lengths of the shorter side in pixels, one is drawn per image, or per batch.
        long_side: upper bound of the longer side in pixels.
        mirror: probability of mirroring.
        one_predicate: of a pair with several predicates one is drawn each time, as published scene-graph
            training does for models whose predicates exclude each other.
        exchange_sides: left and right change places in the predicates of mirrored images; published: False.
        jitter: strength of random brightness, contrast and saturation (published fine-tuning: 0.4).
        crop: probability of a random crop (published fine-tuning: 0.5).
        crop_short_sides: lengths of the shorter side in pixels before a crop, one is drawn.
        crop_sides: least and greatest width and height of a crop, pixels.
        object_labels, relation_labels: lengths of an open label list (published: 333 and 167).
        unrelated_pairs: pairs of an image without a relation, added as pairs with no positive
            label. Only where the gold is complete; published: 0.
        max_pairs: pair queries of the model.
        subject_label: class that every subject is trained as, whatever it is. Published fine-tuning on
            HICO-DET and V-COCO: `bicycle`, the class behind `person`, by an index that is one too high.
    """

    size: int = 8
    order: str = "aspect"
    short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    long_side: int = 1333
    mirror: float = 0.5
    one_predicate: bool = False
    exchange_sides: bool = True
    jitter: float = 0.0
    crop: float = 0.0
    crop_short_sides: tuple[int, ...] = (400, 500, 600)
    crop_sides: tuple[int, ...] = (384, 600)
    object_labels: int = 333
    relation_labels: int = 167
    unrelated_pairs: int = 0
    max_pairs: int = 100
    subject_label: str | None = None

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"batch.order: {self.order!r} is not one of {', '.join(ORDERS)}")
        for name in ("mirror", "crop", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"batch.{name}: {getattr(self, name)} is not between 0 and 1")
        if len(self.crop_sides) != 2 or not 0 < self.crop_sides[0] <= min(
            self.crop_sides[1], *self.crop_short_sides
        ):
            raise ValueError(
                f"batch.crop_sides: {list(self.crop_sides)} is not [least, greatest] in pixels with a "
                f"least side of at most batch.crop_short_sides, {list(self.crop_short_sides)}"
            )


class Batches:
    """Endless shuffled batches.

    Args:
        data: the training set.
        options: how batches are made.
        seed: of the run.
        rank, world_size: this process among how many; they share each epoch's shuffle.
        threads: that decode images ahead.
        labels: where label lists come from; open ones of the lengths in `options` by default.
        batches_per_step: batches whose gradients are averaged, `Optimisation.accumulate`.
        steps: of the whole training, which `Batch.progress` counts in; None: it stays 0.
        pinned: make batches in memory from which a GPU copies by itself.

    Raises:
        ValueError: the data has no class `options.subject_label`, or too few images for a batch.
    """

    def __init__(
        self,
        data: RelationData,
        options: BatchOptions,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        labels: LabelSource | None = None,
        batches_per_step: int = 1,
        steps: int | None = None,
        pinned: bool = False,
    ) -> None:
        self.steps = steps
        self._batches_per_step, self._pinned = batches_per_step, pinned
        aspects = data.aspects() if options.order == "aspect" else None
        self._order = Order(len(data), options.size, seed, rank, world_size, aspects)
        self._data, self._options, self._threads = data, options, threads
        self._labels = labels or OpenLabels(data, options.object_labels, options.relation_labels)
        self._subject = None
        if options.subject_label is not None:
            if options.subject_label not in data.categories:
                raise ValueError(f"batch.subject_label: the data has no class {options.subject_label!r}")
            self._subject = data.categories.index(options.subject_label)
        code_of = {name: code for code, name in enumerate(data.predicates)}
        self._mirrored = np.array([code_of.get(mirror_predicate(name), -1) for name in data.predicates])

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch; the rest of the shuffle is left out."""
        return self._order.steps_per_epoch

    def from_step(self, start: int) -> Iterator[Batch]:
        """Batches `start`, `start + 1`, ...; the next ones are made while one is used. `start` is the first
        batch of a step."""
        source = compute_ahead(self.at, start, self._threads)
        for step in count(start // self._batches_per_step):
            done = 0.0 if self.steps is None else min(1.0, step / self.steps)
            parts = [next(source) for _ in range(self._batches_per_step)]
            pairs = sum(part.pairs for part in parts) / len(parts)
            boxes = sum(part.boxes for part in parts) / len(parts)
            for part in parts:
                yield replace(part, pairs_of_step=pairs, boxes_of_step=boxes, progress=done)

    def at(self, step: int) -> Batch:
        """The batch of that step."""
        rng = self._order.random_generator(step)
        options = self._options
        examples, images, predicates = [], [], []
        of_batch = int(rng.choice(options.short_sides)) if options.order == "aspect" else None
        for index in self._order.examples(step):
            example = self._data[int(index)]
            mirror = bool(rng.random() < options.mirror)
            short_side = int(rng.choice(options.short_sides)) if of_batch is None else of_batch
            view = self._view(step, int(index), example, mirror, short_side)
            images.append(load_pixels(example, view))
            example = view.annotate(example)
            examples.append(example)
            exchange = mirror and options.exchange_sides
            rows = [self._mirror(c) if exchange else c for c in example.predicates]
            predicates.append([_draw_one(c, rng) for c in rows] if options.one_predicate else rows)
        labels = self._labels.draw(
            [code for example in examples for code in example.named_categories]
            + ([] if self._subject is None else [self._subject]),
            [code for rows in predicates for codes in rows for code in codes],
            rng,
        )
        targets = [
            make_targets(
                example,
                rows,
                labels,
                unrelated=min(options.unrelated_pairs, options.max_pairs - len(rows)),
                rng=rng,
            )
            for example, rows in zip(examples, predicates, strict=True)
        ]
        if self._subject is not None:
            for target in targets:
                target.subject_labels.fill_(int(labels.object_index[self._subject]))
        of_images = [
            make_image_targets(example, rows, labels)
            for example, rows in zip(examples, predicates, strict=True)
        ]
        of_boxes = [make_box_targets(example, labels) for example in examples]
        return Batch(
            pad_together(images, pinned=self._pinned),
            None,
            targets,
            of_images,
            labels,
            box_targets=of_boxes,
            sizes=[(int(image.shape[1]), int(image.shape[2])) for image in images],
        )

    def _view(self, step: int, index: int, example: Example, mirror: bool, short_side: int) -> View:
        rng, options = self._order.image_generator(step, index), self._options
        jitter = draw_jitter(rng, options.jitter) if options.jitter else None
        crop = None
        if rng.random() < options.crop:
            crop = draw_crop(rng, example.size, options.crop_short_sides, options.crop_sides)
        return View(short_side, options.long_side, mirror, jitter, crop)

    def _mirror(self, codes: np.ndarray) -> np.ndarray:
        """Codes of the mirrored predicates; one whose mirror image no annotation uses is left out."""
        mirrored = self._mirrored[codes]
        return mirrored[mirrored >= 0]


def _draw_one(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the codes, where there are any."""
    return codes[[int(rng.integers(len(codes)))]] if len(codes) else codes
