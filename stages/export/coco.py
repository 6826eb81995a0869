"""COCO detection JSON with a `relations` list."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa

from relforge.stages.export.numbers import Categories
from relforge.stages.export.scenes import Scene, as_number_or_text, read_scenes

Attributes = Mapping[int, Mapping[str, Any]]
"""Box id -> fields of its annotation."""


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """`images`, `annotations`, `relations` and `categories`; COCO readers ignore unknown fields.

    Annotations are numbered from 1, and have `source_id` (the id in the dataset relforge read) and
    `box_id`. A relation has id, image_id, subject_id and object_id (annotation ids), predicate and, where
    it was scored, all further columns of the `relations` table. `categories` are those of the source's own
    list, with its ids and supercategories and whether or not a box has them; a class in no list gets the
    next number.
    """
    return write_coco(tables, path)


def write_coco(
    tables: Iterable[Mapping[str, pa.Table]],
    path: Path,
    of_boxes: Callable[[Scene], Attributes] | None = None,
) -> dict[str, int]:
    """`write`, with more fields.

    Args:
        of_boxes: an image -> box id -> further fields of its annotation. Images then have the path of their
            file as `file_name`, where they have one.
    """
    counts = Counter(images=0, boxes=0, relations=0)
    with ExitStack() as stack:
        parts = {
            name: stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
            for name in ("images", "annotations", "relations")
        }
        writer = _Writer(parts, counts, of_boxes)
        for shard in tables:
            writer.categories.add(shard.get("classes"))
            for scene in read_scenes(shard, counts):
                writer.add(scene)
        with path.open("wb") as out:
            out.write(b'{"info": {"description": "relforge"}')
            for name, part in parts.items():
                out.write(f',\n"{name}": ['.encode())
                part.seek(0)
                while piece := part.read(1 << 20):
                    out.write(piece)
                out.write(b"\n]")
            categories = writer.categories.rows()
            out.write(b',\n"categories": ' + msgspec.json.encode(categories) + b"}\n")
    return dict(counts)


class _Writer:
    def __init__(
        self,
        parts: Mapping[str, IO[bytes]],
        counts: Counter[str],
        of_boxes: Callable[[Scene], Attributes] | None,
    ) -> None:
        self._parts = parts
        self._of_boxes = of_boxes
        self._counts = counts
        self._encode = msgspec.json.Encoder().encode
        self.categories = Categories()

    def add(self, scene: Scene) -> None:
        image = scene.image
        image_id = as_number_or_text(image["image_id"])
        uri = image["uri"]
        row = {"id": image_id, "width": image["width"], "height": image["height"]}
        row |= {"dataset": image["dataset"], "split": image["split"]}
        row |= {} if scene.file_name is None else {"file_name": scene.file_name}
        row |= {"uri": uri} if uri else {}
        if self._of_boxes is not None and uri:
            row["file_name"] = uri if "://" in uri else os.path.abspath(uri)
        attributes = {} if self._of_boxes is None else self._of_boxes(scene)
        self._append("images", "images", row)
        annotation = {}
        for box in scene.boxes:
            annotation[box["box_id"]] = self._counts["boxes"] + 1
            category = self.categories.number(box["category"])
            row = {"id": annotation[box["box_id"]], "image_id": image_id, "category_id": category}
            row |= {"bbox": [box["x"], box["y"], box["w"], box["h"]], "area": box["w"] * box["h"]}
            row |= {"iscrowd": int(box["iscrowd"]), "box_id": box["box_id"], "source_id": box["source_id"]}
            row |= attributes.get(box["box_id"], {})
            self._append("annotations", "boxes", row)
        for relation in scene.relations:
            ends = {
                "subject_id": annotation[relation["subject_box"]],
                "object_id": annotation[relation["object_box"]],
            }
            rest = {k: v for k, v in relation.items() if k not in ("subject_box", "object_box")}
            row = {"id": self._counts["relations"] + 1, "image_id": image_id, **ends, **rest}
            self._append("relations", "relations", row)

    def _append(self, part: str, counted: str, row: dict[str, Any]) -> None:
        self._parts[part].write((b",\n" if self._counts[counted] else b"\n") + self._encode(row))
        self._counts[counted] += 1
