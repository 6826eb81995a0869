"""Batches that depend on (seed, step, rank) alone, so that a resumed run continues exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relforge.data.label_lists import LabelList, LabelSource, OpenLabels
from relforge.data.order import Order, compute_ahead
from relforge.data.relations import RelationData
from relforge.data.targets import make_image_targets, make_targets
from relforge.data.transforms import load_image, mirror_predicate, pad_together
from relforge.models.training.image_targets import ImageTargets
from relforge.models.training.targets import Targets


@dataclass(frozen=True)
class Batch:
    """One step's input.

    Args:
        images: B x 3 x H x W normalised; padding: B x H x W, True = padded, or None.
        targets, image_targets: one per image: its pairs, and the image as a whole.
        labels: what the images are scored against.
    """

    images: Tensor
    padding: Tensor | None
    targets: list[Targets]
    image_targets: list[ImageTargets]
    labels: LabelList

    def to(self, device: torch.device) -> Batch:
        """The same batch on that device."""
        return Batch(
            self.images.to(device),
            None if self.padding is None else self.padding.to(device),
            [t.to(device) for t in self.targets],
            [t.to(device) for t in self.image_targets],
            self.labels,
        )


@dataclass(frozen=True)
class BatchOptions:
    """How batches are made.

    Args:
        size: images per process and step.
        short_sides: lengths of the shorter side in pixels, one is drawn per image.
        long_side: upper bound of the longer side in pixels.
        mirror: probability of mirroring; left and right change places in the predicates.
        object_labels, relation_labels: lengths of an open label list (published: 333 and 167).
        unrelated_pairs: pairs of an image without a relation, added as pairs with no positive
            label. Only where the gold is complete; published: 0.
        max_pairs: pair queries of the model.
    """

    size: int = 8
    short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    long_side: int = 1333
    mirror: float = 0.5
    object_labels: int = 333
    relation_labels: int = 167
    unrelated_pairs: int = 0
    max_pairs: int = 100


class Batches:
    """Endless shuffled batches.

    Args:
        data: the training set.
        options: how batches are made.
        seed: of the run.
        rank, world_size: this process among how many; they share each epoch's shuffle.
        threads: that decode images ahead.
        labels: where label lists come from; open ones of the lengths in `options` by default.
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
    ) -> None:
        self._order = Order(len(data), options.size, seed, rank, world_size)
        self._data, self._options, self._threads = data, options, threads
        self._labels = labels or OpenLabels(data, options.object_labels, options.relation_labels)
        code_of = {name: code for code, name in enumerate(data.predicates)}
        self._mirrored = np.array([code_of.get(mirror_predicate(name), -1) for name in data.predicates])

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch; the rest of the shuffle is left out."""
        return self._order.steps_per_epoch

    def from_step(self, start: int) -> Iterator[Batch]:
        """Batches `start`, `start + 1`, ...; the next ones are made while one is used."""
        return compute_ahead(self.at, start, self._threads)

    def at(self, step: int) -> Batch:
        """The batch of that step."""
        rng = self._order.random_generator(step)
        options = self._options
        examples, images, mirrors = [], [], []
        for index in self._order.examples(step):
            example = self._data[int(index)]
            mirror = bool(rng.random() < options.mirror)
            short_side = int(rng.choice(options.short_sides))
            images.append(load_image(example, short_side, options.long_side, mirror))
            examples.append(example)
            mirrors.append(mirror)
        predicates = [
            [self._mirror(codes) if mirror else codes for codes in example.predicates]
            for example, mirror in zip(examples, mirrors, strict=True)
        ]
        labels = self._labels.draw(
            [code for example in examples for code in example.categories],
            [code for rows in predicates for codes in rows for code in codes],
            rng,
        )
        targets = [
            make_targets(
                example,
                rows,
                labels,
                mirror=mirror,
                unrelated=min(options.unrelated_pairs, options.max_pairs - len(rows)),
                rng=rng,
            )
            for example, rows, mirror in zip(examples, predicates, mirrors, strict=True)
        ]
        of_images = [
            make_image_targets(example, rows, labels)
            for example, rows in zip(examples, predicates, strict=True)
        ]
        pixels, padding = pad_together(images)
        return Batch(pixels, padding, targets, of_images, labels)

    def _mirror(self, codes: np.ndarray) -> np.ndarray:
        """Codes of the mirrored predicates; one whose mirror image no annotation uses is left out."""
        mirrored = self._mirrored[codes]
        return mirrored[mirrored >= 0]
