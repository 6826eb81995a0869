"""Pairs of boxes with a relation, detected or annotated, as parallel arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from relforge.data.relations import RelationData
from relforge.stages.class_names import spell_as

Kind = tuple[str, str, str]
"""(subject class, predicate, object class)."""


@dataclass(frozen=True)
class Pairs:
    """n pairs. Boxes carry coordinates of their own, so detected and annotated pairs need not share boxes.

    Args:
        image: n image ids.
        subject, predicate, object: n names each.
        subject_box, object_box: n x 4 xyxy, pixels.
        score: n; ones where the pairs are annotated.
        parts: n x 3 probabilities of subject class, relation and object class, where a model gave them.
    """

    image: np.ndarray
    subject: np.ndarray
    predicate: np.ndarray
    object: np.ndarray
    subject_box: np.ndarray
    object_box: np.ndarray
    score: np.ndarray
    parts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: np.ndarray) -> Pairs:
        """Only these rows: indices or a mask."""
        columns = [getattr(self, f.name) for f in fields(self)]
        taken: list[Any] = [None if values is None else values[rows] for values in columns]
        return Pairs(*taken)

    def kinds(self) -> list[Kind]:
        """Kind of every row."""
        return list(zip(self.subject.tolist(), self.predicate.tolist(), self.object.tolist(), strict=True))


def join(parts: Sequence[Pairs]) -> Pairs:
    """All rows, in order."""
    if not parts:
        names, boxes = np.zeros(0, object), np.zeros((0, 4))
        return Pairs(names, names, names, names, boxes, boxes, np.zeros(0))
    columns: list[list[Any]] = [[getattr(part, f.name) for part in parts] for f in fields(Pairs)]
    whole: list[Any] = [
        None if any(one is None for one in every) else np.concatenate(every) for every in columns
    ]
    return Pairs(*whole)


def gold_pairs(data: RelationData) -> Pairs:
    """Every relation of a data set with its boxes' coordinates."""
    parts = []
    for index in range(len(data)):
        example = data[index]
        counts = [len(codes) for codes in example.predicates]
        ends = np.repeat(example.pairs.reshape(-1, 2), counts, axis=0)
        xyxy = np.concatenate([example.boxes[:, :2], example.boxes[:, :2] + example.boxes[:, 2:]], 1)
        classes = np.array(data.categories, object)[example.categories]
        predicates = np.concatenate([np.zeros(0, int), *example.predicates])
        parts.append(
            Pairs(
                image=np.full(len(ends), data.images["image_id"][index].as_py(), object),
                subject=classes[ends[:, 0]],
                predicate=np.array(data.predicates, object)[predicates],
                object=classes[ends[:, 1]],
                subject_box=xyxy[ends[:, 0]].astype(float),
                object_box=xyxy[ends[:, 1]].astype(float),
                score=np.ones(len(ends)),
            )
        )
    return join(parts)


def spell_classes(pairs: Pairs, subjects: Iterable[str], objects: Iterable[str]) -> Pairs:
    """The pairs with the classes of either end spelt as in these names, where they mean the same
    (`class_names`): a detected `Person` is an annotated `person`."""
    ends = {}
    for end, known in (("subject", subjects), ("object", objects)):
        names = getattr(pairs, end)
        spelling = spell_as(set(names.tolist()), known)
        ends[end] = np.array([spelling[name] for name in names.tolist()], object)
    return replace(pairs, **ends)
