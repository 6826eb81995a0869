"""Images with labelled pairs, as flat arrays: a few hundred bytes an image, no Python objects per pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import encode, flatten

MAX_PAIRS = 100
"""Maximum number of labelled pairs of an image (N_Q of the published models)."""


@dataclass(frozen=True)
class Example:
    """One image's annotation.

    Args:
        uri, data: where the encoded image is, or its bytes.
        size: (width, height), pixels.
        boxes: n x 4 xywh, pixels.
        categories: n codes into `RelationData.categories`.
        pairs: m x 2 rows of `boxes` (subject, object), distinct.
        predicates: m lists of codes into `RelationData.predicates`.
    """

    uri: str | None
    data: bytes | None
    size: tuple[int, int]
    boxes: np.ndarray
    categories: np.ndarray
    pairs: np.ndarray
    predicates: list[np.ndarray]


@dataclass
class RelationData:
    """A training set. `*_start` arrays have one entry more than there are images (or pairs).

    Args:
        images: table of image_id, uri, width, height, bytes.
        boxes, box_category: all boxes (xywh, pixels) and their category codes.
        pairs, pair_start: rows of the image's boxes.
        relations, relation_start: predicate codes of every pair.
        categories, predicates: names by code.
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

    def __len__(self) -> int:
        return self.images.num_rows

    def __getitem__(self, index: int) -> Example:
        row = {name: self.images[name][index].as_py() for name in ("uri", "bytes", "width", "height")}
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
        )

    def category_counts(self) -> np.ndarray:
        """Boxes per category."""
        return np.bincount(self.box_category, minlength=len(self.categories))

    def predicate_counts(self) -> np.ndarray:
        """Relations per predicate."""
        return np.bincount(self.relations, minlength=len(self.predicates))


def from_tables(
    images: pa.Table,
    boxes: pa.Table,
    relations: pa.Table,
    *,
    max_pairs: int = MAX_PAIRS,
    first_rows: bool = False,
    keep_empty: bool = False,
) -> RelationData:
    """Join the run folder's tables.

    Args:
        images, boxes: as in `stages.tables`.
        relations: `relations` or `gold` rows. Equal (subject, predicate, object) count once.
        max_pairs: maximum number of rows of an image.
        first_rows: of an image with more rows keep the first ones in file order,
            duplicates counted, as the published loader does; else the best by score.
        keep_empty: keep images without a relation.

    Raises:
        ValueError: a relation names a box that is not there.
    """
    ids = flatten(images["image_id"])
    boxes = boxes.filter(pa.array(encode(boxes["image_id"], ids) >= 0))
    box_image = encode(boxes["image_id"], ids)
    order = np.lexsort((boxes["box_id"].to_numpy(), box_image))
    box_image, boxes = box_image[order], boxes.take(pa.array(order))
    box_start = np.searchsorted(box_image, np.arange(len(ids) + 1))

    image = encode(relations["image_id"], ids)
    if (image < 0).any():
        missing = relations["image_id"][int(np.flatnonzero(image < 0)[0])].as_py()
        raise ValueError(f"relations name image {missing!r}, which is not in the images table")
    box_id = boxes["box_id"].to_numpy()
    span = int(box_id.max(initial=0)) + 1
    box_key = box_image * span + box_id
    ends = [
        _box_rows(relations, end, image, span, box_key) - box_start[image]
        for end in ("subject_box", "object_box")
    ]
    predicates = pc.unique(flatten(relations["predicate"]))
    predicate = encode(relations["predicate"], predicates)
    score = (
        relations["score"].to_numpy()
        if "score" in relations.column_names
        else np.ones(len(image), np.float32)
    )
    rows = _cap_rows(image, ends[0], ends[1], predicate, score, max_pairs, first_rows)
    image, subject, object_, predicate = (a[rows] for a in (image, ends[0], ends[1], predicate))

    first = np.ones(len(image), bool)
    first[1:] = (image[1:] != image[:-1]) | (subject[1:] != subject[:-1]) | (object_[1:] != object_[:-1])
    relation_start = np.append(np.flatnonzero(first), len(image))
    pair_image = image[first]
    data = RelationData(
        images=images.select(["image_id", "uri", "width", "height", "bytes"]),
        boxes=np.stack([boxes[c].to_numpy() for c in "xywh"], 1).astype(np.float32),
        box_category=encode(boxes["category"], pc.unique(flatten(boxes["category"]))),
        box_start=box_start,
        pairs=np.stack([subject[first], object_[first]], 1),
        pair_start=np.searchsorted(pair_image, np.arange(len(ids) + 1)),
        relations=predicate,
        relation_start=relation_start,
        categories=pc.unique(flatten(boxes["category"])).to_pylist(),
        predicates=predicates.to_pylist(),
    )
    return data if keep_empty else take(data, np.flatnonzero(np.diff(data.pair_start) > 0))


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
    )


def _box_rows(relations: pa.Table, end: str, image: np.ndarray, span: int, box_key: np.ndarray) -> np.ndarray:
    """Row of the box table of every relation's `end`; `box_key` is image * span + box id, sorted."""
    number = relations[end].to_numpy().astype(np.int64)
    wanted = image * span + number
    at = np.minimum(np.searchsorted(box_key, wanted), max(len(box_key) - 1, 0))
    known = (box_key[at] == wanted) & (number < span) if len(box_key) else np.zeros(len(wanted), bool)
    if not known.all():
        row = relations.slice(int(np.flatnonzero(~known)[0]), 1).to_pylist()[0]
        raise ValueError(f"image {row['image_id']}: {end} {row[end]} is not among its boxes")
    return at


def _cap_rows(
    image: np.ndarray,
    subject: np.ndarray,
    object_: np.ndarray,
    predicate: np.ndarray,
    score: np.ndarray,
    max_pairs: int,
    first_rows: bool,
) -> np.ndarray:
    """Rows to keep, at most `max_pairs` per image, sorted by image and pair, without repeats."""
    position = np.arange(len(image))
    if first_rows:
        order = np.lexsort((position, image))
    else:
        best = np.lexsort((-score, predicate, object_, subject, image))
        best = best[_first_of_equal(best, image, subject, object_, predicate)]
        order = best[np.lexsort((position[best], -score[best], image[best]))]
    starts = np.searchsorted(image[order], image[order], "left")
    order = order[np.arange(len(order)) - starts < max_pairs]
    order = order[np.lexsort((position[order], object_[order], subject[order], image[order]))]
    by_fact = order[
        np.lexsort((position[order], predicate[order], object_[order], subject[order], image[order]))
    ]
    kept = np.zeros(len(image), bool)
    kept[by_fact[_first_of_equal(by_fact, image, subject, object_, predicate)]] = True
    return order[kept[order]]


def _first_of_equal(order: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Whether each row, in that order, differs from the one before it."""
    first = np.ones(len(order), bool)
    if len(order):
        first[1:] = np.any([c[order][1:] != c[order][:-1] for c in columns], axis=0)
    return first


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
