"""The gold of scene-graph detection: VG150's files, a run folder, or any data set that ingest reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relforge.data.relations import RelationData
from relforge.data.sources import load_relations, read_table
from relforge.evaluation.scene_graph_prior import TripletCounts, count_triplets
from relforge.evaluation.scene_graph_tables import Names, drop_unknown, of_relation_data, of_tables
from relforge.evaluation.scene_graphs import SceneGraphs, starts
from relforge.stages.closed_labels import ClosedLabels
from relforge.stages.ingest.values import as_pixels
from relforge.stages.ingest.vg150_file import Vg150, read_vg150

_ALL = 10**6


@dataclass(frozen=True)
class SceneGraphGold:
    """Annotated images.

    Args:
        graphs: what predictions are compared with.
        names: of images, classes and predicates.
        training: triplets of the training set; None without one.
        source: entry of a recipe's `data` that reads the same images, for models that detect; None: there is
            none.
    """

    graphs: SceneGraphs
    names: Names
    training: TripletCounts | None = None
    source: Mapping[str, Any] | None = None

    def data(self) -> RelationData:
        """The images, for a model."""
        return load_relations([dict(self.source or {})], keep_empty=True, max_pairs=_ALL)


def of_vg150(
    annotations: str,
    dictionary: str,
    image_data: str,
    *,
    split: str,
    val_images: int,
    last_pixel: bool,
    labels: ClosedLabels | None,
) -> SceneGraphGold:
    """A split of VG150, boxes clipped to their images, with the triplets of its training rows.

    A relation that is annotated twice is there twice.

    Args:
        annotations, dictionary, image_data: the three files, see `vg150_file`.
        split, val_images: see `Vg150.rows`; images without relations are left out.
        last_pixel: clip to the last pixel instead of the edge of the image.
        labels: map names to this list.

    Raises:
        ValueError: the split has no image, or a relation names a box of another image.
    """
    data = read_vg150(annotations, dictionary, image_data)
    classes = labels.classes if labels and labels.classes else data.classes
    predicates = labels.predicates if labels else data.predicates
    rows = data.rows(split, val_images, keep_empty=False)
    if not len(rows):
        raise ValueError(f"{annotations}: the split {split!r} has no image with relations")
    names = Names(_image_ids(data, rows), classes, predicates, labels)
    graphs = drop_unknown(_graphs(data, rows, names, last_pixel, annotations), names)
    training = None
    if split != "all":
        shown = data.rows("train", 0 if split == "test" else val_images, keep_empty=False)
        of_training = _graphs(data, shown, replace(names, left_out=Counter()), last_pixel, annotations)
        training = count_triplets(of_training)
    source: dict[str, Any] = {"format": "vg150", "annotations": annotations, "dictionary": dictionary}
    source |= {"image_data": image_data, "split": split, "val_images": val_images, "keep_empty": False}
    return SceneGraphGold(graphs, names, training, source)


def _image_ids(data: Vg150, rows: np.ndarray) -> list[str]:
    return [str(data.records[row].get("image_id")) for row in rows.tolist()]


def _graphs(data: Vg150, rows: np.ndarray, names: Names, last_pixel: bool, file: str) -> SceneGraphs:
    box_rows, box_start = _gather(data.box_first[rows], data.box_last[rows])
    relation_rows, relation_start = _gather(data.relation_first[rows], data.relation_last[rows])
    image = np.repeat(np.arange(len(rows)), np.diff(relation_start))
    pairs = data.pairs[relation_rows]
    low, high = data.box_first[rows][image], data.box_last[rows][image]
    outside = ((pairs < low[:, None]) | (pairs > high[:, None])).any(1)
    if outside.any():
        where = names.images[int(image[outside][0])] if len(names.images) == len(rows) else "?"
        raise ValueError(f"{file}: a relation of image {where} names a box of another image")
    x, y, w, h = data.boxes[box_rows].T
    sizes = [
        (as_pixels(r.get("width")), as_pixels(r.get("height"))) for r in map(data.records.__getitem__, rows)
    ]
    limits = np.array(sizes, float).reshape(-1, 2) - last_pixel
    limit = np.tile(np.repeat(limits, np.diff(box_start), axis=0), (1, 2))
    corners = np.clip(np.stack([x, y, x + w, y + h], 1), 0, limit)
    # numbers outside the dictionary have no name
    class_codes = np.append(names.code_classes(np.array(data.classes, object)), -1)
    predicate_codes = np.append(names.code_predicates(np.array(data.predicates, object)), -1)
    labels, relations = data.labels[box_rows] - 1, data.relations[relation_rows] - 1
    labels = np.where((labels >= 0) & (labels < len(data.classes)), labels, -1)
    relations = np.where((relations >= 0) & (relations < len(data.predicates)), relations, -1)
    return SceneGraphs(
        box_start=box_start,
        boxes=corners.astype(np.float32),
        labels=class_codes[labels],
        relation_start=relation_start,
        pairs=pairs - low[:, None] + box_start[image][:, None],
        predicates=predicate_codes[relations],
    )


def _gather(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ranges whose end is included, -1 for none, and where each begins among them."""
    counts = np.where(first >= 0, last - first + 1, 0)
    start = starts(counts)
    return np.repeat(first - start[:-1], counts) + np.arange(start[-1]), start


def of_source(
    source: Mapping[str, Any], training: Mapping[str, Any] | None, labels: ClosedLabels | None
) -> SceneGraphGold:
    """A data set that ingest reads.

    Args:
        source: entry of a recipe's `data`.
        training: entry that reads the training set; None: there is none.
        labels: map names to this list.
    """
    data = load_relations([source], keep_empty=True, max_pairs=_ALL)
    shown = load_relations([training], keep_empty=True, max_pairs=_ALL) if training else None
    parts = [data] if shown is None else [data, shown]
    names = Names(
        data.images["image_id"].to_pylist(),
        labels.classes
        if labels and labels.classes
        else sorted({name for part in parts for name in part.categories}),
        labels.predicates if labels else sorted({name for part in parts for name in part.predicates}),
        labels,
    )
    graphs = drop_unknown(of_relation_data(data, names), names)
    counts = None if shown is None else count_triplets(of_relation_data(shown, names))
    return SceneGraphGold(graphs, names, counts, source)


def of_run(folder: str, labels: ClosedLabels | None) -> SceneGraphGold:
    """The gold that the source of a run has.

    Raises:
        ValueError: it has none.
    """
    gold, boxes = read_table(folder, "gold"), read_table(folder, "boxes")
    if not gold.num_rows:
        raise ValueError(f"{folder}: its source has no gold relations to compare with")
    names = Names(
        read_table(folder, "images", without=("bytes",))["image_id"].to_pylist(),
        labels.classes if labels and labels.classes else sorted(set(boxes["category"].to_pylist())),
        labels.predicates if labels else sorted(set(gold["predicate"].to_pylist())),
        labels,
    )
    return SceneGraphGold(drop_unknown(of_tables(boxes, gold, names), names), names)
