"""From named triplets to candidate (pair, predicate) rows, without a Python loop per pair.

A *mention*: in this image, a caption relates class A to class B by this predicate. All mentions of one
(image, A, predicate, B) become one *claim*, and a claim becomes a row for every ordered pair of an A box
and a B box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from relforge.stages.match.pair_limit import limit_claims, rank_by_area
from relforge.stages.overlap import do_overlap
from relforge.stages.tables import TRIPLET_KEY


@dataclass(frozen=True)
class BoxIndex:
    """Boxes grouped by (image, class).

    Args:
        image, category: codes, one per box, sorted by (image, category, box_id).
        box_id: ids, in that order.
        xywh: N x 4 pixels, in that order.
    """

    image: np.ndarray
    category: np.ndarray
    box_id: np.ndarray
    xywh: np.ndarray
    classes: int

    def find(self, image: np.ndarray, category: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start and count of the boxes of each (image, class)."""
        keys = self.image * self.classes + self.category
        wanted = image * self.classes + category
        start = np.searchsorted(keys, wanted, "left")
        return start, np.searchsorted(keys, wanted, "right") - start


@dataclass
class Mentions:
    """Parallel arrays, one entry per (triplet, subject class, object class).

    Args:
        triplet: row of the triplets table, ascending.
        image, subject, predicate, object: codes.
        caption: caption_id.
        triplet_id: of the triplet, within its caption.
        rule: code of the matching rule.
        subject_count, object_count: things that the phrases speak of (`counts.read_count`).
        confidence: the parser's, float32; NaN where it gives none.
    """

    triplet: np.ndarray
    image: np.ndarray
    subject: np.ndarray
    predicate: np.ndarray
    object: np.ndarray
    caption: np.ndarray
    triplet_id: np.ndarray
    rule: np.ndarray
    subject_count: np.ndarray
    object_count: np.ndarray
    confidence: np.ndarray

    def take(self, rows: np.ndarray) -> Mentions:
        return Mentions(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Candidates:
    """Columns of the candidates table with codes for image and predicate, and what was used.

    `caption_ids` and `triplet_ids` have one list per claim; `claim` is the index of a row's list.
    """

    image: np.ndarray
    subject_box: np.ndarray
    object_box: np.ndarray
    predicate: np.ndarray
    position: np.ndarray
    support: np.ndarray
    claim: np.ndarray
    caption_ids: pa.Array
    triplet_ids: pa.Array
    rule: np.ndarray
    alternatives: np.ndarray
    """Rows of the same claim."""
    subject_count: np.ndarray
    object_count: np.ndarray
    confidence: np.ndarray
    """Of the likeliest triplet; NaN where the parser gives none."""
    mention_has_pair: np.ndarray
    """bool per mention: it led to at least one row."""
    mention_beyond_limit: np.ndarray
    """bool per mention: the limit left no pair for it."""
    pairs_beyond_limit: int
    """Pairs that the limit left out, before any overlap prior; a box with itself is none."""


def expand_claims(
    mentions: Mentions, boxes: BoxIndex, overlap_prior: bool, max_pairs: int | None = None
) -> Candidates:
    """Claims of all mentions, expanded to box pairs; those of the largest boxes, where an image would have
    more than `max_pairs`."""
    claim, first, order = _group_mentions(mentions)
    count = len(first)
    claims = mentions.take(first)

    # evidence of each claim: its triplets, and its distinct captions, whose number is the support
    by_claim = np.lexsort((mentions.triplet_id, mentions.caption, claim))
    of_claim, caption = claim[by_claim], mentions.caption[by_claim]
    triplet_ids = _to_lists(
        np.bincount(claim, minlength=count), TRIPLET_KEY, caption, mentions.triplet_id[by_claim]
    )
    fresh = np.ones(len(of_claim), bool)
    fresh[1:] = (of_claim[1:] != of_claim[:-1]) | (caption[1:] != caption[:-1])
    support = np.bincount(of_claim[fresh], minlength=count)
    caption_ids = _to_lists(support, pa.int32(), caption[fresh])

    subject_start, subject_count = boxes.find(claims.image, claims.subject)
    object_start, object_count = boxes.find(claims.image, claims.object)
    used_subjects, used_objects = limit_claims(claims.image, order, subject_count, object_count, max_pairs)
    sizes = used_subjects * used_objects
    same = claims.subject == claims.object
    beyond = subject_count * object_count - same * subject_count
    beyond = beyond - (sizes - same * np.minimum(used_subjects, used_objects))
    cut = beyond > 0
    row_claim = np.repeat(np.arange(count), sizes)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    width = np.maximum(used_objects[row_claim], 1)
    subject_row = subject_start[row_claim] + within // width
    object_row = object_start[row_claim] + within % width
    if cut.any():
        ranked = rank_by_area(boxes.image, boxes.category, boxes.xywh)
        subject_row = np.where(cut[row_claim], ranked[subject_row], subject_row)
        object_row = np.where(cut[row_claim], ranked[object_row], object_row)

    keep = subject_row != object_row
    if overlap_prior:
        keep &= do_overlap(boxes.xywh[subject_row], boxes.xywh[object_row])
    row_claim, subject_row, object_row = row_claim[keep], subject_row[keep], object_row[keep]
    used = np.zeros(count, bool)
    used[row_claim] = True
    return Candidates(
        image=claims.image[row_claim],
        subject_box=boxes.box_id[subject_row],
        object_box=boxes.box_id[object_row],
        predicate=claims.predicate[row_claim],
        position=order[row_claim],
        support=support[row_claim],
        claim=row_claim,
        caption_ids=caption_ids,
        triplet_ids=triplet_ids,
        rule=claims.rule[row_claim],
        alternatives=np.bincount(row_claim, minlength=count)[row_claim],
        subject_count=_commonest(claim, mentions.subject_count, count)[row_claim],
        object_count=_commonest(claim, mentions.object_count, count)[row_claim],
        confidence=_largest(claim, mentions.confidence, count)[row_claim],
        mention_has_pair=used[claim],
        mention_beyond_limit=(cut & ~used)[claim],
        pairs_beyond_limit=int(beyond.sum()),
    )


def _commonest(claim: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The value that most mentions of each claim have, of equally common ones the first; -1 where none has
    one. Negative values are none."""
    found = np.full(count, -1, np.int64)
    known = np.flatnonzero(values >= 0)
    if not len(known):
        return found
    keys = claim[known] * (int(values.max()) + 1) + values[known]
    _, first, times = np.unique(keys, return_index=True, return_counts=True)
    rows = known[first]
    order = np.lexsort((rows, -times, claim[rows]))[::-1]  # the last to be written stays
    found[claim[rows[order]]] = values[rows[order]]
    return found


def _largest(claim: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The largest value of each claim that is a number; NaN where none is."""
    found = np.full(count, -np.inf, np.float32)
    known = ~np.isnan(values)
    np.maximum.at(found, claim[known], values[known])
    return np.where(np.isinf(found), np.float32(np.nan), found)


def _to_lists(sizes: np.ndarray, kind: pa.DataType, *columns: np.ndarray) -> pa.ListArray:
    """Values laid end to end, cut into lists of the given sizes; several columns become structs."""
    arrays = [pa.array(column.astype(np.int32)) for column in columns]
    values = pa.StructArray.from_arrays(arrays, fields=list(kind)) if pa.types.is_struct(kind) else arrays[0]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=pa.list_(kind))


def _group_mentions(mentions: Mentions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Claim of each mention; first mention of each claim; rank of that first mention in its image."""
    columns = (mentions.object, mentions.predicate, mentions.subject, mentions.image)
    if not len(mentions.image):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    by_key = np.lexsort(columns)  # stable: mentions of a claim stay in caption order
    fresh = np.zeros(len(by_key), bool)
    fresh[0] = True
    for column in columns:
        ordered = column[by_key]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    claim = np.empty(len(by_key), np.int64)
    claim[by_key] = np.cumsum(fresh) - 1
    first = by_key[fresh]
    appearance = np.lexsort((first, mentions.image[first]))
    image = mentions.image[first][appearance]
    starts = np.searchsorted(image, image, "left")
    order = np.empty(len(first), np.int64)
    order[appearance] = np.arange(len(first)) - starts
    return claim, first, order
