"""Claims of gold relations: what captions that say everything would say, and which pairs they mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.hoi import HoiData
from relforge.stages.columns import encode, flatten, number_rows
from relforge.stages.match.pairs import BoxIndex, Mentions, expand_claims
from relforge.stages.overlap import read_xywh
from relforge.stages.tables import SCHEMAS, conform

MAX_PAIRS = 10_000
"""Of an image; in a crowd the largest boxes are paired."""


def expand_gold(tables: Mapping[str, pa.Table]) -> tuple[pa.Table, np.ndarray]:
    """Candidates of every (subject class, predicate, object class) that the gold has in an image.

    Args:
        tables: `gold`, `boxes`, `images`.

    Returns:
        rows of `candidates` (without evidence), and which of them the gold has (bool).
    """
    gold, boxes = tables["gold"], tables["boxes"]
    images = pc.unique(flatten(tables["images"]["image_id"]))
    classes = pc.unique(flatten(boxes["category"]))
    predicates = pc.unique(flatten(gold["predicate"]))
    box_image, box_class = encode(boxes["image_id"], images), encode(boxes["category"], classes)
    box_id = boxes["box_id"].to_numpy()
    order = np.lexsort((box_id, box_class, box_image))
    usable = order[~boxes["iscrowd"].to_numpy(zero_copy_only=False)[order]]
    count = max(len(classes), 1)
    index = BoxIndex(
        box_image[usable], box_class[usable], box_id[usable], read_xywh(boxes)[usable], classes=count
    )
    span = int(box_id.max(initial=0)) + 1
    by_key = np.argsort(box_image * span + box_id)
    keys = (box_image * span + box_id)[by_key]
    image = encode(gold["image_id"], images)
    ends = [
        box_class[by_key[np.searchsorted(keys, image * span + gold[end].to_numpy())]]
        for end in ("subject_box", "object_box")
    ]
    nothing = np.zeros(gold.num_rows, np.int64)
    number = np.arange(gold.num_rows)
    unknown = nothing - 1
    mentions = Mentions(
        triplet=number,
        image=image,
        subject=ends[0],
        predicate=encode(gold["predicate"], predicates),
        object=ends[1],
        caption=nothing,
        triplet_id=number,
        rule=nothing,
        subject_count=unknown,
        object_count=unknown,
        confidence=np.full(gold.num_rows, np.nan, np.float32),
    )
    found = expand_claims(mentions, index, overlap_prior=False, max_pairs=MAX_PAIRS)
    rows = len(found.image)
    candidates = pa.table(
        {
            "image_id": images.take(pa.array(found.image)),
            "subject_box": found.subject_box.astype(np.int32),
            "object_box": found.object_box.astype(np.int32),
            "predicate": predicates.take(pa.array(found.predicate)),
            "support": np.ones(rows, np.int32),
            "claim_id": found.position.astype(np.int32),
            "alternatives": found.alternatives.astype(np.int32),
            "subject_count": pa.nulls(rows, pa.int32()),
            "object_count": pa.nulls(rows, pa.int32()),
        }
    )
    columns = ("image_id", "subject_box", "object_box", "predicate")
    own, stated = number_rows(*([table[name] for name in columns] for table in (candidates, gold)))
    return candidates, np.isin(own, stated)


def tables_of(data: HoiData) -> dict[str, pa.Table]:
    """`images`, `boxes` and `gold` of a benchmark. An image without a size has that of its boxes."""
    rows: dict[str, list[dict[str, object]]] = {"images": [], "boxes": [], "gold": []}
    names: set[str] = set()
    for place, image in enumerate(data.images):
        if not len(image.boxes):
            continue
        name = image.file_name if image.file_name not in names else f"{image.file_name}#{place}"
        names.add(name)
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        width, height = image.size or np.maximum(np.ceil(image.boxes[:, 2:].max(0)), 1).astype(int).tolist()
        rows["images"].append({"image_id": name, "width": width, "height": height})
        usable = (sides > 0).all(1)
        for box, ((x, y), (w, h)) in enumerate(zip(image.boxes[:, :2].tolist(), sides.tolist(), strict=True)):
            if usable[box]:
                crowd = image.crowd is not None and bool(image.crowd[box])
                own = {"image_id": name, "box_id": box, "category": data.objects[image.classes[box]]}
                rows["boxes"].append(own | {"x": x, "y": y, "w": w, "h": h, "iscrowd": crowd})
        for subject, end, verb in image.interactions.tolist():
            if end >= 0 and subject != end and usable[subject] and usable[end]:
                pair = {"image_id": name, "subject_box": subject, "object_box": end}
                rows["gold"].append(pair | {"predicate": data.verbs[verb]})
    fixed = {"images": {"dataset": "gold", "split": "gold"}, "boxes": {"source_id": ""}, "gold": {}}
    return {
        table: conform(
            table,
            pa.Table.from_pylist(
                [dict.fromkeys(SCHEMAS[table].names) | fixed[table] | row for row in of], SCHEMAS[table]
            ),
        )
        for table, of in rows.items()
    }
