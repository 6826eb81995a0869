"""The labels that a batch is scored against: open (drawn for each batch) or closed (fixed)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relforge.data.relations import RelationData
from relforge.models.blocks.text import NO_OBJECTS
from relforge.stages.class_names import spell_as


@dataclass(frozen=True)
class LabelList:
    """Labels of one forward pass.

    Args:
        objects: O object names; `NO_OBJECTS` is the last.
        relations: R relation names.
        object_index, relation_index: data set code -> index here, -1 where the name is not in the list.
        interactions: I (predicate, object) pairs of names that whole images are labelled with, as HICO's 600
            classes; none in open lists.
    """

    objects: list[str]
    relations: list[str]
    object_index: np.ndarray
    relation_index: np.ndarray
    interactions: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> list[str]:
        """Input of the text encoder: objects, then relations."""
        return [*self.objects, *self.relations]


class LabelSource(Protocol):
    """Where the label list of each batch comes from."""

    def draw(self, objects: Iterable[int], relations: Iterable[int], rng: np.random.Generator) -> LabelList:
        """The label list of a batch.

        Args:
            objects, relations: data set codes of the batch's own labels, in order, repeats included.
            rng: of the batch.
        """


class OpenLabels:
    """The batch's own names first, then negatives drawn by frequency (Label Sequence Extension, RLIP, §3.2).

    Args:
        data: the training set.
        objects, relations: length of the lists, negatives included. A batch with more names keeps them all.
    """

    def __init__(self, data: RelationData, objects: int, relations: int) -> None:
        self._categories, self._predicates = data.categories, data.predicates
        self._category_counts, self._predicate_counts = data.category_counts(), data.predicate_counts()
        self._objects, self._relations = objects, relations

    def draw(self, objects: Iterable[int], relations: Iterable[int], rng: np.random.Generator) -> LabelList:
        return build_label_list(
            extend(objects, self._category_counts, self._objects, rng),
            extend(relations, self._predicate_counts, self._relations, rng),
            self._categories,
            self._predicates,
        )


class ClosedLabels:
    """The same names in the same order for every batch, as HICO-DET and V-COCO have them.

    Args:
        data: the training set.
        objects, relations: names; those of the data set by default.
        interactions: (predicate, object) pairs of these names that whole images are labelled with.

    Raises:
        ValueError: the data set, or an interaction, uses a name that is not in the lists, or one is repeated.
    """

    def __init__(
        self,
        data: RelationData,
        objects: Sequence[str] | None = None,
        relations: Sequence[str] | None = None,
        interactions: Sequence[tuple[str, str]] = (),
    ) -> None:
        objects = data.categories if objects is None else list(objects)
        relations = data.predicates if relations is None else list(relations)
        object_index = index_of(data.categories, objects, "class")
        relation_index = index_of(data.predicates, relations, "predicate")
        index_of([name for _, name in interactions], objects, "class")
        index_of([name for name, _ in interactions], relations, "predicate")
        self._labels = LabelList(
            [*objects, NO_OBJECTS], list(relations), object_index, relation_index, tuple(interactions)
        )

    def draw(self, objects: Iterable[int], relations: Iterable[int], rng: np.random.Generator) -> LabelList:
        return self._labels


def extend(own: Iterable[int], counts: np.ndarray, length: int, rng: np.random.Generator) -> list[int]:
    """Codes of the batch in first-seen order, then negatives drawn by frequency up to `length`.

    Drawn without replacement by Gumbel keys, so it neither scans nor loops, and a vocabulary smaller than
    `length` is taken whole.
    """
    chosen = list(dict.fromkeys(int(code) for code in own))
    rest = np.setdiff1d(np.flatnonzero(counts > 0), chosen)
    missing = min(length - len(chosen), len(rest))
    if missing > 0:
        keys = np.log(counts[rest]) + rng.gumbel(size=len(rest))
        chosen += rest[np.argsort(-keys, kind="stable")[:missing]].tolist()
    return chosen


def build_label_list(
    objects: Sequence[int], relations: Sequence[int], categories: list[str], predicates: list[str]
) -> LabelList:
    """Names and indices of the chosen codes."""
    object_index = np.full(len(categories), -1, np.int64)
    relation_index = np.full(len(predicates), -1, np.int64)
    object_index[list(objects)] = np.arange(len(objects))
    relation_index[list(relations)] = np.arange(len(relations))
    return LabelList(
        [*(categories[c] for c in objects), NO_OBJECTS],
        [predicates[c] for c in relations],
        object_index,
        relation_index,
    )


def index_of(names: Sequence[str], closed: Sequence[str], kind: str) -> np.ndarray:
    """Index in the closed list of every name.

    Args:
        kind: `class` or `predicate`.

    Raises:
        ValueError: a name that is not in the list, or one that is repeated there.
    """
    index = {name: place for place, name in enumerate(closed)}
    if len(index) != len(closed):
        repeated = next(name for name in closed if list(closed).count(name) > 1)
        raise ValueError(f"closed labels: {kind} {repeated!r} is in the list twice")
    if kind == "class":  # the data set may spell a class its own way
        spelling = spell_as(names, closed)
        names = [spelling[name] for name in names]
    if unknown := [name for name in names if name not in index]:
        raise ValueError(
            f"closed labels: {kind} {unknown[0]!r} is not in the list of {len(closed)}; "
            "add it, or leave out the data that uses it"
        )
    return np.array([index[name] for name in names], np.int64)
