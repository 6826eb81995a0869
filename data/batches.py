"""Batches that depend on (seed, step, rank) alone, so that a resumed run continues exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relforge.data.labels import LabelList, extended, label_list
from relforge.data.order import Order, ahead
from relforge.data.relations import Example, RelationData
from relforge.data.transforms import load_picture, mirrored_predicate, stack
from relforge.models.training.targets import Targets


@dataclass(frozen=True)
class Batch:
    """One step's input.

    Args:
        images: B x 3 x H x W normalised; padding: B x H x W, True = padded, or None.
        targets: per picture.
        labels: what the pictures are asked about.
    """

    images: Tensor
    padding: Tensor | None
    targets: list[Targets]
    labels: LabelList

    def to(self, device: torch.device) -> Batch:
        """The same batch on that device."""
        padding = None if self.padding is None else self.padding.to(device)
        return Batch(self.images.to(device), padding, [t.to(device) for t in self.targets], self.labels)


@dataclass(frozen=True)
class BatchOptions:
    """How batches are made.

    Args:
        size: pictures per process and step.
        short_sides: sizes of the short side in pixels, one is drawn per picture.
        longest: upper bound of the long side in pixels.
        mirror: probability of mirroring; left and right change places in the predicates.
        objects, relations: quotas of the label list (published: 333 and 167).
        unrelated_pairs: pairs of a picture that stand in no relation, added as pairs with no positive
            label. Only where the gold is complete; published: 0.
        max_pairs: pair slots of the model.
    """

    size: int = 8
    short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    longest: int = 1333
    mirror: float = 0.5
    objects: int = 333
    relations: int = 167
    unrelated_pairs: int = 0
    max_pairs: int = 100


class Batches:
    """Endless shuffled batches.

    Args:
        data: the training set.
        options: how batches are made.
        seed: of the run.
        rank, world: this process among how many; they share each epoch's shuffle.
        threads: that decode pictures ahead.
    """

    def __init__(
        self,
        data: RelationData,
        options: BatchOptions,
        seed: int,
        rank: int = 0,
        world: int = 1,
        threads: int = 2,
    ) -> None:
        self._order = Order(len(data), options.size, seed, rank, world)
        self._data, self._options, self._threads = data, options, threads
        self._category_counts, self._predicate_counts = data.category_counts(), data.predicate_counts()
        where = {name: code for code, name in enumerate(data.predicates)}
        self._mirrored = np.array([where.get(mirrored_predicate(name), -1) for name in data.predicates])

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch; the rest of the shuffle is left out."""
        return self._order.steps_per_epoch

    def from_step(self, start: int) -> Iterator[Batch]:
        """Batches `start`, `start + 1`, ...; the next ones are made while one is used."""
        return ahead(self.at, start, self._threads)

    def at(self, step: int) -> Batch:
        """The batch of that step."""
        rng = self._order.draws(step)
        options = self._options
        examples, pictures, mirrors = [], [], []
        for index in self._order.examples(step):
            example = self._data[int(index)]
            mirror = bool(rng.random() < options.mirror)
            short = int(rng.choice(options.short_sides))
            pictures.append(load_picture(example, short, options.longest, mirror))
            examples.append(example)
            mirrors.append(mirror)
        predicates = [
            [self._in_mirror(p) if m else p for p in e.predicates]
            for e, m in zip(examples, mirrors, strict=True)
        ]
        own_objects = [c for e in examples for c in e.categories]
        own_relations = [c for rows in predicates for row in rows for c in row]
        labels = label_list(
            extended(own_objects, self._category_counts, options.objects, rng),
            extended(own_relations, self._predicate_counts, options.relations, rng),
            self._data.categories,
            self._data.predicates,
        )
        targets = [
            make_targets(
                e,
                rows,
                labels,
                mirror=m,
                unrelated=min(options.unrelated_pairs, options.max_pairs - len(rows)),
                rng=rng,
            )
            for e, rows, m in zip(examples, predicates, mirrors, strict=True)
        ]
        images, padding = stack(pictures)
        return Batch(images, padding, targets, labels)

    def _in_mirror(self, codes: np.ndarray) -> np.ndarray:
        """Codes of the mirrored predicates; one whose mirror image no annotation uses is left out."""
        mirrored = self._mirrored[codes]
        return mirrored[mirrored >= 0]


def make_targets(
    example: Example,
    predicates: list[np.ndarray],
    labels: LabelList,
    *,
    mirror: bool = False,
    unrelated: int = 0,
    rng: np.random.Generator | None = None,
) -> Targets:
    """Targets of one picture against a label list.

    Args:
        predicates: data set codes per pair of `example.pairs`.
        mirror: the picture is mirrored.
        unrelated: pairs without a relation to add, drawn with `rng`.
    """
    width, height = example.size
    x, y, w, h = example.boxes.T
    boxes = np.stack([x + w / 2, y + h / 2, w, h], 1) / np.array([width, height, width, height])
    if mirror:
        boxes[:, 0] = 1 - boxes[:, 0]
    pairs = example.pairs.reshape(-1, 2)
    if unrelated:
        assert rng is not None
        pairs = np.concatenate([pairs, _unrelated(len(boxes), pairs, unrelated, rng)])
    relations = np.zeros((len(pairs), len(labels.relations)), np.float32)
    for row, held in enumerate(predicates):
        relations[row, labels.relation_index[held]] = 1
    kinds = labels.object_index[example.categories]
    cxcywh = torch.from_numpy(boxes.astype(np.float32)).clamp(0, 1)
    names = torch.from_numpy(kinds)
    subject, object_ = torch.from_numpy(pairs[:, 0].copy()), torch.from_numpy(pairs[:, 1].copy())
    return Targets(
        cxcywh[subject], cxcywh[object_], names[subject], names[object_], torch.from_numpy(relations)
    )


def _unrelated(count: int, related: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    free = np.ones((count, count), bool)
    np.fill_diagonal(free, False)
    free[related[:, 0], related[:, 1]] = False
    rows = np.argwhere(free)
    return rows[rng.permutation(len(rows))[: min(most, len(rows))]]
