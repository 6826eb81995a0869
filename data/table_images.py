"""Between the flat tables of ingest and run folders, and images that hold their boxes and interactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, HoiImage
from relforge.stages.columns import encode, flatten
from relforge.stages.tables import SCHEMAS

Tables = Mapping[str, pa.Table]

SHARD = 4096
"""Images of a shard that `tables_of` gives."""


class Names:
    """Names by code, as they come."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        """Code of every row; new names take the next ones."""
        known = flatten(pc.unique(column))
        codes = [self.codes.setdefault(name, len(self.codes)) for name in known.to_pylist()]
        return np.array(codes, np.int64)[encode(column, known)]


def images_of(shards: Iterable[Tables]) -> HoiData:
    """All images of some shards, with `relations`, or `gold` where there are none, as interactions.

    Classes begin with those that the source lists (`classes`). An image's file name is the source's, or else
    the end of its URI, or its id.
    """
    objects, verbs = Names(), Names()
    images: list[HoiImage] = []
    for tables in shards:
        if "classes" in tables:
            objects.encode(tables["classes"]["category"])
        images += _images(tables, objects, verbs)
    return HoiData(images, list(objects.codes), list(verbs.codes))


def _images(tables: Tables, objects: Names, verbs: Names) -> Iterator[HoiImage]:
    ids = flatten(tables["images"]["image_id"])
    boxes, rows = tables["boxes"], tables.get("relations", tables.get("gold", SCHEMAS["gold"].empty_table()))
    owner = encode(boxes["image_id"], ids)
    order = np.lexsort((boxes["box_id"].to_numpy(), owner))
    numbers = boxes["box_id"].to_numpy()[order]
    classes = objects.encode(boxes["category"])[order]
    x, y, w, h = (boxes[side].to_numpy()[order] for side in "xywh")
    corners = np.stack([x, y, x + w, y + h], 1)
    crowd = np.array(boxes["iscrowd"].to_pylist(), bool)[order]
    starts = np.searchsorted(owner[order], np.arange(len(ids) + 1))
    of_row = encode(rows["image_id"], ids)
    by_image = np.argsort(of_row, kind="stable")
    facts = np.stack(
        [rows["subject_box"].to_numpy(), rows["object_box"].to_numpy(), verbs.encode(rows["predicate"])], 1
    )[by_image]
    row_starts = np.searchsorted(of_row[by_image], np.arange(len(ids) + 1))
    columns = ("file_name", "uri", "width", "height")
    for place, (name, uri, width, height) in enumerate(
        zip(*(tables["images"][column].to_pylist() for column in columns), strict=True)
    ):
        own = slice(starts[place], starts[place + 1])
        found = facts[row_starts[place] : row_starts[place + 1]].astype(np.int64)
        found[:, :2] = np.searchsorted(numbers[own], found[:, :2])
        identity = ids[place].as_py()
        yield HoiImage(
            name or (uri or identity).rsplit("/", 1)[-1],
            corners[own],
            classes[own],
            found,
            (width, height),
            crowd=crowd[own] if crowd[own].any() else None,
            identity=identity,
        )


def tables_of(
    data: HoiData, dataset: str, split: str, uris: Sequence[str | None], left_out: Counter[str]
) -> Iterator[dict[str, pa.Table]]:
    """The tables `images`, `boxes`, `classes` and `gold`, some images at a time.

    Args:
        dataset, split: written to the `images` table.
        uris: of every image.
        left_out: takes what the tables cannot hold: `row_without_object`, `no_size`, `repeated_row`,
            `empty_box` and `row_of_empty_box`.
    """
    names = [name for name in data.objects if name != MISSING]
    blank = {"synonyms": [[] for _ in names], "supercategory": [None] * len(names)}
    numbers = [str(number) for number in range(1, len(names) + 1)]
    listed = pa.table({"category": names, "source_id": numbers} | blank)
    classes = listed.select(SCHEMAS["classes"].names).cast(SCHEMAS["classes"])
    for first in range(0, max(len(data), 1), SHARD):
        chosen = range(first, min(first + SHARD, len(data)))
        rows = _Rows(data, dataset, split)
        for place in chosen:
            rows.add(data.images[place], uris[place], left_out)
        yield rows.tables() | {"classes": classes}


class _Rows:
    """Rows of the tables of one shard."""

    def __init__(self, data: HoiData, dataset: str, split: str) -> None:
        self.data, self.dataset, self.split = data, dataset, split
        self.images: list[dict[str, object]] = []
        self.boxes: list[dict[str, object]] = []
        self.gold: list[dict[str, object]] = []

    def add(self, image: HoiImage, uri: str | None, left_out: Counter[str]) -> None:
        """Append an image."""
        if image.size is None:
            left_out["no_size"] += 1
            return
        identity = image.identity or image.file_name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        row: dict[str, object] = {"image_id": identity, "dataset": self.dataset, "split": self.split}
        row |= {"width": image.size[0], "height": image.size[1], "file_name": image.file_name, "uri": uri}
        self.images.append(row | {"bytes": None, "shared_name": None})
        empty = (image.boxes[:, 2] <= image.boxes[:, 0]) | (image.boxes[:, 3] <= image.boxes[:, 1])
        left_out["empty_box"] += int(empty.sum())
        for number, (box, code) in enumerate(zip(image.boxes.tolist(), image.classes.tolist(), strict=True)):
            if empty[number]:
                continue
            x1, y1, x2, y2 = box
            one = {"image_id": identity, "box_id": number, "category": self.data.objects[code]}
            one |= {"x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1}
            crowd = bool(image.crowd is not None and image.crowd[number])
            self.boxes.append(one | {"iscrowd": crowd, "source_id": str(number)})
        facts = dict.fromkeys(map(tuple, image.interactions.tolist()))
        left_out["repeated_row"] += len(image.interactions) - len(facts)
        for subject, end, verb in facts:
            if end == NO_OBJECT:
                left_out["row_without_object"] += 1
            elif empty[subject] or empty[end]:
                left_out["row_of_empty_box"] += 1
            else:
                ends = {"image_id": identity, "subject_box": subject, "object_box": end}
                self.gold.append(ends | {"predicate": self.data.verbs[verb]})

    def tables(self) -> dict[str, pa.Table]:
        """The three tables."""
        rows = {"images": self.images, "boxes": self.boxes, "gold": self.gold}
        return {name: pa.Table.from_pylist(found, SCHEMAS[name]) for name, found in rows.items()}
