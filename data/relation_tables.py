"""Images, boxes and relations as tables -> `RelationData`: joined, capped, without repeats."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.relations import RelationData, take
from relforge.images import MAX_PIXELS
from relforge.stages.columns import encode, flatten

MAX_PAIRS = 100
"""Maximum number of labelled pairs of an image (N_Q of the published models)."""


def from_tables(
    images: pa.Table,
    boxes: pa.Table,
    relations: pa.Table,
    *,
    max_pairs: int = MAX_PAIRS,
    first_rows: bool = False,
    keep_empty: bool = False,
    orientation: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> RelationData:
    """Join the run folder's tables.

    Args:
        images, boxes: as in `stages.tables`.
        relations: `relations` or `gold` rows. Equal (subject, predicate, object) count once.
        max_pairs: maximum number of rows of an image.
        first_rows: of an image with more rows keep the first ones in file order,
            duplicates counted, as the published loader does; else the best by score.
        keep_empty: keep images without a relation.
        orientation, max_pixels: of the images, see `images.decode_oriented`.

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
        images=images.select(["image_id", "uri", "width", "height", "bytes"])
        .append_column("orientation", pa.repeat(pa.scalar(orientation, pa.string()), len(ids)))
        .append_column("max_pixels", pa.repeat(pa.scalar(max_pixels, pa.int64()), len(ids))),
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
