"""Images with labelled pairs, as flat arrays: a few hundred bytes an image, no Python objects per pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from relforge.data.hoi import MISSING, NO_OBJECT
from relforge.images import MAX_PIXELS


@dataclass(frozen=True)
class Example:
    """One image's annotation.

    Args:
        uri, data: where the encoded image is, or its bytes.
        orientation, max_pixels: of the data set, see `images.decode_oriented`.
        size: (width, height), pixels.
        boxes: n x 4 xywh, pixels.
        categories: n codes into `RelationData.categories`.
        pairs: m x 2 rows of `boxes` (subject, object or `NO_OBJECT`), distinct.
        predicates: m lists of codes into `RelationData.predicates`.
        missing: code of the class that stands for no object (V-COCO); None where the data has no such class.
    """

    uri: str | None
    data: bytes | None
    size: tuple[int, int]
    boxes: np.ndarray
    categories: np.ndarray
    pairs: np.ndarray
    predicates: list[np.ndarray]
    orientation: str | None = None
    max_pixels: int = MAX_PIXELS
    missing: int | None = None

    @property
    def object_categories(self) -> np.ndarray:
        """m codes: the class of each pair's object, `missing` where it has none."""
        categories = np.append(self.categories, -1 if self.missing is None else self.missing)
        return categories[self.pairs.reshape(-1, 2)[:, 1]]

    @property
    def named_categories(self) -> list[int]:
        """The classes that a label list must have: those of the boxes, and `missing` where a pair has no
        object."""
        without = [self.missing] if self.missing is not None and (self.pairs == NO_OBJECT).any() else []
        return [*self.categories.tolist(), *without]


@dataclass
class RelationData:
    """A training set. `*_start` arrays have one entry more than there are images (or pairs).

    Args:
        images: table of image_id, uri, width, height, bytes, orientation, max_pixels.
        boxes, box_category: all boxes (xywh, pixels) and their category codes.
        pairs, pair_start: rows of the image's boxes; `NO_OBJECT` in place of an object's box that is not
            there.
        relations, relation_start: predicate codes of every pair.
        categories, predicates: names by code.
        reasons: what was left out while reading, reason -> how many.
    """

    images: pa.Table
    boxes: np.ndarray
    box_category: np.ndarray
    box_start: np.ndarray
    pairs: np.ndarray
    pair_start: np.ndarray
    relations: np.ndarray
    relation_start: np.ndarray
    categories: list[str]
    predicates: list[str]
    reasons: Counter[str] = field(default_factory=Counter)

    @cached_property
    def missing(self) -> int | None:
        """Code of the class that stands for no object; None where there is none."""
        return self.categories.index(MISSING) if MISSING in self.categories else None

    def __len__(self) -> int:
        return self.images.num_rows

    def __getitem__(self, index: int) -> Example:
        row = {name: self.images[name][index].as_py() for name in self.images.column_names}
        boxes = slice(self.box_start[index], self.box_start[index + 1])
        first, last = self.pair_start[index], self.pair_start[index + 1]
        starts = self.relation_start
        return Example(
            uri=row["uri"],
            data=row["bytes"],
            size=(row["width"], row["height"]),
            boxes=self.boxes[boxes],
            categories=self.box_category[boxes],
            pairs=self.pairs[first:last],
            predicates=[self.relations[starts[p] : starts[p + 1]] for p in range(first, last)],
            orientation=row.get("orientation"),
            max_pixels=row.get("max_pixels", MAX_PIXELS),
            missing=self.missing,
        )

    def object_categories(self) -> np.ndarray:
        """Code of the class of every pair's object, `missing` where it has none."""
        image = np.repeat(np.arange(len(self)), np.diff(self.pair_start))  # of every pair
        at = np.where(
            self.pairs[:, 1] == NO_OBJECT, len(self.box_category), self.box_start[image] + self.pairs[:, 1]
        )
        return np.append(self.box_category, -1 if self.missing is None else self.missing)[at]

    def aspects(self) -> np.ndarray:
        """Width / height of every image."""
        width, height = (self.images[name].to_numpy().astype(np.float64) for name in ("width", "height"))
        return width / np.maximum(height, 1)

    def category_counts(self) -> np.ndarray:
        """Boxes per category."""
        return np.bincount(self.box_category, minlength=len(self.categories))

    def predicate_counts(self) -> np.ndarray:
        """Relations per predicate."""
        return np.bincount(self.relations, minlength=len(self.predicates))


def take(data: RelationData, rows: np.ndarray) -> RelationData:
    """Only these images, in this order."""
    box_rows, box_start = _ranges(data.box_start, rows)
    pair_rows, pair_start = _ranges(data.pair_start, rows)
    relation_rows, relation_start = _ranges(data.relation_start, pair_rows)
    return RelationData(
        images=data.images.take(pa.array(rows)),
        boxes=data.boxes[box_rows],
        box_category=data.box_category[box_rows],
        box_start=box_start,
        pairs=data.pairs[pair_rows],
        pair_start=pair_start,
        relations=data.relations[relation_rows],
        relation_start=relation_start,
        categories=data.categories,
        predicates=data.predicates,
        reasons=data.reasons,
    )


def concatenate(parts: Sequence[RelationData]) -> RelationData:
    """Several data sets as one, names merged in first-seen order (published: Objects365, VG, COCO)."""
    categories = list(dict.fromkeys(name for part in parts for name in part.categories))
    predicates = list(dict.fromkeys(name for part in parts for name in part.predicates))

    def renamed(values: np.ndarray, old: list[str], new: list[str]) -> np.ndarray:
        where: Mapping[str, int] = {name: code for code, name in enumerate(new)}
        return np.array([where[name] for name in old], np.int64)[values] if len(values) else values

    return RelationData(
        images=pa.concat_tables([part.images for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        box_category=np.concatenate([renamed(p.box_category, p.categories, categories) for p in parts]),
        box_start=_joined([part.box_start for part in parts]),
        pairs=np.concatenate([part.pairs for part in parts]),
        pair_start=_joined([part.pair_start for part in parts]),
        relations=np.concatenate([renamed(p.relations, p.predicates, predicates) for p in parts]),
        relation_start=_joined([part.relation_start for part in parts]),
        categories=categories,
        predicates=predicates,
        reasons=sum((part.reasons for part in parts), Counter()),
    )


def _ranges(start: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat rows of the chosen ranges, and where each begins among them."""
    counts = start[rows + 1] - start[rows]
    new_start = np.concatenate([[0], np.cumsum(counts)])
    return np.repeat(start[rows] - new_start[:-1], counts) + np.arange(new_start[-1]), new_start


def _joined(starts: list[np.ndarray]) -> np.ndarray:
    joined = [starts[0]]
    for start in starts[1:]:
        joined.append(start[1:] + joined[-1][-1])
    return np.concatenate(joined)
