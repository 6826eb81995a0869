"""Pairs into decoder batches, and label lists into one padded layout.

The queries of one decoder batch attend to each other, so a score depends on which other pairs are in it.
Packing therefore reads nothing but the image's own candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.pair_queries import PairBatch, pad_pairs
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.gpu import upload
from relforge.tagger.request import Candidate, Request

Pair = tuple[int, int]


def decoder_batches_of(candidates: Sequence[Candidate], max_pairs: int) -> list[list[Pair]]:
    """The distinct pairs of an image, those with most candidates first, cut into batches of `max_pairs`."""
    count = Counter((subject, object_) for subject, object_, _ in candidates)
    order = sorted(count, key=lambda pair: (-count[pair], pair))
    return [order[i : i + max_pairs] for i in range(0, len(order), max_pairs)]


@dataclass
class Layout:
    """Label features of several images side by side: object labels, then relation labels, both padded.

    Args:
        features: B x (O + R) x width.
        padding: B x (O + R), True where an image has no such label; None where all lists are full.
        objects: O, columns of object labels.
        relations: per image, relation text -> its column after the object labels.
    """

    features: Tensor
    padding: Tensor | None
    objects: int
    relations: list[dict[str, int]]


def relation_texts(request: Request) -> list[str]:
    """The distinct relation texts of an image, sorted so that the order of candidates does not matter."""
    return sorted({text for _, _, text in request.candidates})


def lay_out(
    requests: Sequence[Request],
    texts: Sequence[Sequence[str]],
    names: Sequence[str],
    features: Tensor,
    multiple: int = 1,
) -> Layout:
    """Arrange the labels of a batch. They are arranged on the CPU and copied to the features' device at once.

    Args:
        requests: the images.
        texts: relation texts of each image.
        names: every label that occurs.
        features: len(names) x width.
        multiple: of which the numbers of columns and of object columns are; with more than 1 there is always
            a padding, so that neither depends on which images share the batch.
    """
    place = {name: row for row, name in enumerate(names)}
    classes = [[*request.classes, NO_OBJECTS] for request in requests]
    objects = -(-max(len(own) for own in classes) // multiple) * multiple
    total = objects + max(len(own) for own in texts)
    total = -(-total // multiple) * multiple
    index = torch.full((len(requests), total), len(names))  # a row of zeros
    for i, (known, own) in enumerate(zip(classes, texts, strict=True)):
        index[i, : len(known)] = torch.tensor([place[name] for name in known])
        index[i, objects : objects + len(own)] = torch.tensor([place[text] for text in own], dtype=torch.long)
    padding = index == len(names)
    padded = multiple > 1 or bool(padding.any())
    rows, mask = upload(features.device, index, padding)
    table = torch.cat([features, features.new_zeros(1, features.shape[1])])
    columns = [{text: column for column, text in enumerate(own)} for own in texts]
    return Layout(table[rows], mask if padded else None, objects, columns)


def pad_requests(
    requests: Sequence[Request],
    pairs: Sequence[Sequence[Sequence[Pair]]],
    count: int | None = None,
    width: int | None = None,
) -> PairBatch:
    """Queries of a decoder call: for every image the same number of decoder batches, some of them empty.

    Args:
        requests: B images.
        pairs: per image its decoder batches of this call.
        count: decoder batches of an image; None: the most that one has.
        width: queries of a decoder batch; None: the most pairs that one has.
    """
    count = max(len(own) for own in pairs) if count is None else count
    if width is None:
        width = max((len(batch) for own in pairs for batch in own), default=1)
    boxes, labels = [], []
    for request, own in zip(requests, pairs, strict=True):
        index = {name: i for i, name in enumerate(request.classes)}
        label = torch.tensor([index[name] for name in request.labels], dtype=torch.long)
        for number in range(count):
            rows = torch.tensor(own[number] if number < len(own) else [], dtype=torch.long).reshape(-1, 2)
            boxes.append(request.boxes[rows])
            labels.append(label[rows])
    return pad_pairs(boxes, labels, width)
