"""Pairs into decoder passes and label lists into one padded layout.

Slots of one pass read each other, so a score depends on the company its pair keeps. Packing therefore
looks at nothing but the picture's own candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.pair_queries import PairBatch, pad_pairs
from relforge.tagger.question import NO_OBJECTS, Candidate, Question

Pair = tuple[int, int]


def passes_of(candidates: Sequence[Candidate], slots: int) -> list[list[Pair]]:
    """The distinct pairs of a picture, those with most candidates first, cut into passes of `slots`."""
    count = Counter((subject, object_) for subject, object_, _ in candidates)
    order = sorted(count, key=lambda pair: (-count[pair], pair))
    return [order[i : i + slots] for i in range(0, len(order), slots)]


@dataclass
class Layout:
    """Label features of several pictures side by side: object labels, then relation labels, both padded.

    Args:
        features: B x (O + R) x width.
        padding: B x (O + R), True where a picture has no such label; None where all lists are full.
        objects: O, the room for object labels.
        relations: per picture, relation text -> its column after the object labels.
    """

    features: Tensor
    padding: Tensor | None
    objects: int
    relations: list[dict[str, int]]


def relation_texts(question: Question) -> list[str]:
    """The distinct relation texts of a picture, sorted so that the order of candidates does not matter."""
    return sorted({text for _, _, text in question.candidates})


def lay_out(
    questions: Sequence[Question], texts: Sequence[Sequence[str]], feature: dict[str, Tensor]
) -> Layout:
    """Arrange the labels of a batch.

    Args:
        questions: the pictures.
        texts: relation texts of each picture.
        feature: label -> width vector, for every name that occurs.
    """
    classes = [[*question.classes, NO_OBJECTS] for question in questions]
    objects = max(len(names) for names in classes)
    total = objects + max(len(own) for own in texts)
    some = feature[NO_OBJECTS]
    features = some.new_zeros(len(questions), total, len(some))
    padding = torch.ones(len(questions), total, dtype=torch.bool, device=some.device)
    for i, (names, own) in enumerate(zip(classes, texts, strict=True)):
        features[i, : len(names)] = torch.stack([feature[name] for name in names])
        padding[i, : len(names)] = False
        if own:
            features[i, objects : objects + len(own)] = torch.stack([feature[text] for text in own])
            padding[i, objects : objects + len(own)] = False
    columns = [{text: column for column, text in enumerate(own)} for own in texts]
    return Layout(features, padding if bool(padding.any()) else None, objects, columns)


def given_pairs(
    questions: Sequence[Question], rows: Sequence[Sequence[Sequence[Pair]]], device: torch.device
) -> PairBatch:
    """Slots of a decoder call: for every picture the same number of passes, some of them blank.

    Args:
        questions: B pictures.
        rows: per picture its passes of this call.
        device: of the result.
    """
    passes = max(len(own) for own in rows)
    width = max((len(pairs) for own in rows for pairs in own), default=1)
    boxes, labels = [], []
    for question, own in zip(questions, rows, strict=True):
        index = {name: i for i, name in enumerate(question.classes)}
        label = torch.tensor([index[name] for name in question.labels], dtype=torch.long)
        for number in range(passes):
            pairs = torch.tensor(own[number] if number < len(own) else [], dtype=torch.long).reshape(-1, 2)
            boxes.append(question.boxes[pairs])
            labels.append(label[pairs])
    given = pad_pairs(boxes, labels, width)
    return PairBatch(given.boxes.to(device), given.labels.to(device), given.empty.to(device))
