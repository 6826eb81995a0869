"""Training targets of one image against a label list: of its pairs, of its boxes, of the image as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from relforge.data.hoi import NO_OBJECT
from relforge.data.label_lists import LabelList
from relforge.data.relations import Example
from relforge.models.training.box_targets import BoxTargets
from relforge.models.training.image_targets import ImageTargets
from relforge.models.training.targets import Targets


def make_targets(
    example: Example,
    predicates: Sequence[np.ndarray],
    labels: LabelList,
    *,
    unrelated: int = 0,
    rng: np.random.Generator | None = None,
) -> Targets:
    """Targets of an image's pairs.

    Args:
        predicates: data set codes of every pair of `example.pairs`.
        unrelated: pairs without a relation to add, drawn with `rng`; all pairs are shuffled then.

    Raises:
        ValueError: `unrelated` without `rng`.
    """
    boxes = _cxcywh(example)
    pairs = example.pairs.reshape(-1, 2)
    if unrelated:
        if rng is None:
            raise ValueError("unrelated pairs are drawn at random: give `rng`")
        pairs = np.concatenate([pairs, _draw_unrelated(len(boxes), pairs, unrelated, rng)])
    relations = np.zeros((len(pairs), len(labels.relations)), np.float32)
    for row, codes in enumerate(predicates):
        relations[row, labels.relation_index[codes]] = 1
    if unrelated and rng is not None:
        # the R-Tagger learns content for every query: with the related pairs first it would learn places
        order = rng.permutation(len(pairs))
        pairs, relations = pairs[order], relations[order]
    classes = np.append(example.categories, -1 if example.missing is None else example.missing)
    classes = torch.from_numpy(labels.object_index[classes])
    cxcywh = torch.from_numpy(np.concatenate([boxes, np.zeros((1, 4))]).astype(np.float32)).clamp(0, 1)
    subject, object_ = torch.from_numpy(pairs[:, 0].copy()), torch.from_numpy(pairs[:, 1].copy())
    return Targets(  # the last box and class stand for no object, and are what `NO_OBJECT` points at
        cxcywh[subject], cxcywh[object_], classes[subject], classes[object_], torch.from_numpy(relations)
    )


def make_box_targets(example: Example, labels: LabelList) -> BoxTargets:
    """Targets of all boxes of an image."""
    boxes = torch.from_numpy(_cxcywh(example).astype(np.float32)).clamp(0, 1)
    return BoxTargets(boxes, torch.from_numpy(labels.object_index[example.categories]))


def _cxcywh(example: Example) -> np.ndarray:
    """n x 4 in shares of the image."""
    width, height = example.size
    x, y, w, h = example.boxes.T
    return np.stack([x + w / 2, y + h / 2, w, h], 1) / np.array([width, height, width, height])


def make_image_targets(example: Example, predicates: Sequence[np.ndarray], labels: LabelList) -> ImageTargets:
    """Targets of the whole image; arguments as in `make_targets`."""
    objects = np.zeros(len(labels.objects), np.float32)
    objects[labels.object_index[example.categories]] = 1
    relations = np.zeros(len(labels.relations), np.float32)
    interactions = np.zeros(len(labels.interactions), np.float32)
    index = {names: place for place, names in enumerate(labels.interactions)}
    for object_, codes in zip(example.object_categories, predicates, strict=True):
        name = labels.objects[labels.object_index[object_]]
        for code in labels.relation_index[codes]:
            relations[code] = 1
            place = index.get((labels.relations[code], name))
            if place is not None:
                interactions[place] = 1
    return ImageTargets(
        torch.from_numpy(objects), torch.from_numpy(relations), torch.from_numpy(interactions)
    )


def _draw_unrelated(count: int, related: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `limit` ordered pairs of `count` boxes that are not among `related`."""
    free = np.ones((count, count), bool)
    np.fill_diagonal(free, False)
    with_object = related[related[:, 1] != NO_OBJECT]
    free[with_object[:, 0], with_object[:, 1]] = False
    rows = np.argwhere(free)
    return rows[rng.permutation(len(rows))[: min(limit, len(rows))]]
