"""Scene graphs from tables: boxes and relations of a run folder, a folder of predictions, or a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.relations import RelationData
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.scene_graphs import SceneGraphs, starts
from relforge.stages.class_names import spell_as
from relforge.stages.closed_labels import ClosedLabels


@dataclass(frozen=True)
class Names:
    """What images, classes and predicates are numbered by.

    Args:
        images: image ids.
        classes, predicates: names.
        labels: the closed list that names are mapped to; None: names are compared as they are.
        left_out: takes what has no number, reason -> how many.
    """

    images: Sequence[str]
    classes: Sequence[str]
    predicates: Sequence[str]
    labels: ClosedLabels | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def code_images(self, column: pa.ChunkedArray | np.ndarray) -> np.ndarray:
        """Numbers of image ids; -1 for others."""
        return _codes(column, self.images, None)

    def code_classes(self, column: pa.ChunkedArray | np.ndarray) -> np.ndarray:
        """Numbers of class names, in any spelling that means the same; -1 for others."""
        if self.labels is not None:
            return _codes(column, self.classes, self.labels.class_name)
        spelling = spell_as(pc.unique(_texts(column)).to_pylist(), self.classes)
        return _codes(column, self.classes, spelling.get)

    def code_predicates(self, column: pa.ChunkedArray | np.ndarray) -> np.ndarray:
        """Numbers of predicates; -1 for others."""
        return _codes(column, self.predicates, self.labels.predicate_name if self.labels else None)


def of_tables(boxes: pa.Table, relations: pa.Table, names: Names) -> SceneGraphs:
    """Join boxes and relations by image and box id.

    Args:
        boxes: `image_id`, `box_id`, `category`, `x`, `y`, `w`, `h`, and `score` where boxes are predicted.
        relations: `image_id`, `subject_box`, `object_box`, `predicate`; ranked by `score` where there is
            one, else in their order; `predicate_scores` (lists) where every predicate has a score.

    Returns:
        Scene graphs of `names.images`. Relations of other images are counted in `names.left_out`.

    Raises:
        ValueError: a relation names a box that is not there, or lists of another length.
    """
    image = names.code_images(boxes["image_id"])
    order = np.lexsort((boxes["box_id"].to_numpy(), image))
    order = order[image[order] >= 0]
    boxes, image = boxes.take(pa.array(order)), image[order]
    box_id = boxes["box_id"].to_numpy().astype(np.int64)
    x, y, w, h = (boxes[side].to_numpy() for side in "xywh")
    owner = names.code_images(relations["image_id"])
    if unknown := int((owner < 0).sum()):
        names.left_out["predictions of other images"] += unknown
    rank = np.arange(relations.num_rows)
    if "score" in relations.column_names:
        rank = np.lexsort((rank, -relations["score"].to_numpy()))
        rank = np.argsort(rank)
    rows = np.lexsort((rank, owner))
    rows = rows[owner[rows] >= 0]
    relations, owner = relations.take(pa.array(rows)), owner[rows]
    span = int(box_id.max(initial=0)) + 1
    ends = [_find(relations, end, owner, image * span + box_id, span) for end in ("subject", "object")]
    count = len(names.images)
    return SceneGraphs(
        box_start=np.searchsorted(image, np.arange(count + 1)),
        boxes=np.stack([x, y, x + w, y + h], 1).astype(np.float32),
        labels=names.code_classes(boxes["category"]),
        relation_start=np.searchsorted(owner, np.arange(count + 1)),
        pairs=np.stack(ends, 1),
        predicates=names.code_predicates(relations["predicate"]),
        box_scores=boxes["score"].to_numpy().astype(np.float32) if "score" in boxes.column_names else None,
        probabilities=_predicate_scores(relations, len(names.predicates)),
    )


def _find(relations: pa.Table, end: str, owner: np.ndarray, keys: np.ndarray, span: int) -> np.ndarray:
    """Row of the box of every relation's end; `keys` are sorted."""
    number = relations[f"{end}_box"].to_numpy().astype(np.int64)
    wanted = owner * span + number
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    known = (number >= 0) & (number < span) & (keys[place] == wanted if len(keys) else False)
    if not known.all():
        row = relations.slice(int(np.flatnonzero(~known)[0]), 1).to_pylist()[0]
        raise ValueError(f"image {row['image_id']}: {end}_box {row[f'{end}_box']} is not among its boxes")
    return place


def _predicate_scores(relations: pa.Table, count: int) -> np.ndarray | None:
    if "predicate_scores" not in relations.column_names:
        return None
    column = relations["predicate_scores"].combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if (lengths != count).any():
        raise ValueError(
            f"predicate_scores: a relation has {int(lengths[lengths != count][0])} scores, the gold has "
            f"{count} predicates; give one for each, in the order of the gold's list"
        )
    flat: np.ndarray = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(-1, count)


def of_pairs(pairs: Pairs, names: Names) -> SceneGraphs:
    """From detections that carry their boxes' coordinates; equal boxes of a class are one box."""
    image = names.code_images(pairs.image)
    if unknown := int((image < 0).sum()):
        names.left_out["predictions of other images"] += unknown
    order = np.lexsort((-pairs.score, image))
    order = order[image[order] >= 0]
    image, pairs = image[order], pairs.take(order)
    both = np.concatenate([pairs.subject_box, pairs.object_box])
    owner = np.concatenate([image, image])
    label = names.code_classes(np.concatenate([pairs.subject, pairs.object]))
    table, rows = np.unique(np.column_stack([owner, label, both]), axis=0, return_inverse=True)
    count = len(names.images)
    return SceneGraphs(
        box_start=np.searchsorted(table[:, 0], np.arange(count + 1)),
        boxes=table[:, 2:].astype(np.float32),
        labels=table[:, 1].astype(np.int64),
        relation_start=np.searchsorted(image, np.arange(count + 1)),
        pairs=rows.reshape(2, -1).T.astype(np.int64),
        predicates=names.code_predicates(pairs.predicate),
    )


def of_relation_data(data: RelationData, names: Names) -> SceneGraphs:
    """The annotation of a data set that ingest reads, in the order of its images."""
    pair_image = np.repeat(np.arange(len(data)), np.diff(data.pair_start))
    pairs = data.pairs + data.box_start[pair_image][:, None]
    counts = np.diff(data.relation_start)
    x, y, w, h = data.boxes.T
    classes = names.code_classes(np.array(data.categories, object))
    predicates = names.code_predicates(np.array(data.predicates, object))
    return SceneGraphs(
        box_start=data.box_start,
        boxes=np.stack([x, y, x + w, y + h], 1).astype(np.float32),
        labels=classes[data.box_category] if len(data.box_category) else data.box_category,
        relation_start=data.relation_start[data.pair_start],
        pairs=np.repeat(pairs, counts, axis=0),
        predicates=predicates[data.relations] if len(data.relations) else data.relations,
    )


def drop_unknown(gold: SceneGraphs, names: Names) -> SceneGraphs:
    """Gold without relations of a class or predicate that has no number; they are counted."""
    kept = (gold.triplets() >= 0).all(1)
    if not kept.all():
        names.left_out["gold relations of other classes or predicates"] += int((~kept).sum())
    counts = np.bincount(gold.images[kept], minlength=len(gold))
    return SceneGraphs(
        gold.box_start, gold.boxes, gold.labels, starts(counts), gold.pairs[kept], gold.predicates[kept]
    )


def _texts(column: pa.ChunkedArray | np.ndarray) -> pa.Array:
    return pa.array(column, pa.string()) if isinstance(column, np.ndarray) else column


def _codes(
    column: pa.ChunkedArray | np.ndarray, known: Sequence[str], meaning: Callable[[str], str | None] | None
) -> np.ndarray:
    texts = _texts(column)
    distinct = pc.unique(texts)
    places = {name: code for code, name in enumerate(known)}
    codes = np.array(
        [places.get(name if meaning is None else meaning(name) or "", -1) for name in distinct.to_pylist()],
        np.int64,
    )
    index: np.ndarray = pc.index_in(texts, distinct).to_numpy().astype(np.int64)
    return codes[index] if len(codes) else index
