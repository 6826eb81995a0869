"""The `annotations` array of a COCO file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.json_stream import JsonStream, decode_lenient
from relforge.stages.ingest.scan import Scanned, load_scanner
from relforge.stages.ingest.spill import BOX
from relforge.stages.ingest.values import as_box_id, as_flag, as_id, is_number


class Annotation(msgspec.Struct, gc=False):
    """An annotation record, its box in pixels from the top-left corner."""

    image_id: int | str
    category_id: int | str
    bbox: tuple[float, float, float, float]
    id: int | str | None = None
    iscrowd: int | bool = 0
    box_id: int = -1  # the last two are written by `relforge export --to coco`
    source_id: str | None = None


_MALFORMED = -(2**40)
"""A `box_id` that no file means."""
_ANNOTATIONS = msgspec.json.Decoder(list[Annotation])

_POLYGONS = b'"segmentation"'
_SHORT = 32
"""Values of fewer bytes are left for the parser."""


def read_boxes(stream: JsonStream, ids: Ids) -> Iterator[np.ndarray]:
    """The records of the current array as `BOX` rows, in their order.

    Args:
        stream: at the array.
        ids: take the ids of images, categories and annotations.
    """
    start = 0
    for batch in stream.elements(decode_annotations, load_scanner("boxes", decode_annotations)):
        if isinstance(batch, Scanned):
            rows = batch.rows
            if len(batch.irregular):
                rows[batch.irregular] = _rows(batch.decoded, ids, start + batch.irregular)
        else:
            rows = _rows(batch, ids, np.arange(start, start + len(batch)))
        start += len(rows)
        yield rows


def decode_annotations(array: bytes) -> list[Annotation]:
    """The general reader: whatever a record holds, its usable fields are kept. Polygons are not read.

    Raises:
        ValueError: the text is not one JSON array.
    """
    for text in (cut_polygons(array), array):
        try:
            return _ANNOTATIONS.decode(text)
        except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            break
        except msgspec.DecodeError:
            continue
    return [_lenient(record) for record in decode_lenient(array)]


def _lenient(record: Any) -> Annotation:
    """A record that does not fit, with what is usable of it; `box_id` marks a missing needed one."""
    record = record if isinstance(record, dict) else {}
    box = record.get("bbox")
    box = box if isinstance(box, list) else []
    numbers = len(box) == 4 and all(map(is_number, box))
    image, category = as_id(record.get("image_id")), as_id(record.get("category_id"))
    crowd = as_flag(record.get("iscrowd"))
    whole = numbers and image is not None and category is not None and crowd is not None
    source = as_id(record.get("source_id"))
    return Annotation(
        image,  # type: ignore[arg-type]
        category,  # type: ignore[arg-type]
        tuple(box) if numbers else (np.nan,) * 4,
        as_id(record.get("id")),
        bool(crowd),
        as_box_id(record.get("box_id")) if whole else _MALFORMED,
        None if source is None else str(source),
    )


def _rows(annotations: list[Annotation], ids: Ids, places: np.ndarray) -> np.ndarray:
    """Annotations as rows; an annotation without id is called by its place in the file."""
    rows = np.empty(len(annotations), BOX)
    rows["image"] = ids.codes([r.image_id for r in annotations])
    rows["category"] = ids.codes([r.category_id for r in annotations])
    rows["annotation"] = ids.codes([r.id for r in annotations])
    rows["xywh"] = np.fromiter(
        chain.from_iterable([r.bbox for r in annotations]), np.float64, 4 * len(annotations)
    ).reshape(-1, 4)
    rows["crowd"] = np.array([r.iscrowd for r in annotations], bool)
    rows["malformed"] = [r.box_id == _MALFORMED for r in annotations]
    # a number that the column cannot hold is not relforge's: the box gets its place
    rows["box_id"] = [r.box_id if 0 <= r.box_id < 2**31 else -1 for r in annotations]
    rows["source"] = np.where(rows["annotation"] == NONE, places, rows["annotation"])
    sources = [r.source_id for r in annotations]
    for k in np.flatnonzero([s is not None for s in sources]).tolist() if any(sources) else ():
        rows["source"][k] = ids.code(sources[k])
    return rows


def cut_polygons(array: bytes) -> bytes:
    """The same JSON with `[]` for every long polygon list under a `segmentation` key.

    Polygons are four fifths of a COCO file. They are found without parsing: in text without backslashes,
    everything between two neighbouring quotation marks is outside strings or one whole string. A stretch
    that follows `"segmentation"`, starts with `: [` and ends with `]],` before the next quotation mark is one
    value, or (lists three levels deep, with strings) becomes invalid JSON and the caller parses the original.
    The numbers inside are not checked. Files with other white space around the lists come back as they are.

    Args:
        array: a JSON array of annotation records, in bytes.
    """
    if b"\\" in array or _POLYGONS not in array:
        return array
    text = np.frombuffer(array, np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    wide = np.flatnonzero(np.diff(quotes) > _SHORT)
    starts, ends = quotes[wide] + 1, quotes[wide + 1]
    after_key = starts >= len(_POLYGONS)
    for back, byte in enumerate(reversed(_POLYGONS), 1):
        after_key &= text[starts - back] == byte
    opens = (text[starts] == ord(":")) & (
        (text[starts + 1] == ord("[")) | ((text[starts + 1] == ord(" ")) & (text[starts + 2] == ord("[")))
    )
    comma = ends - 1 - (text[ends - 1] == ord(" "))
    closes = (text[comma] == ord(",")) & (text[comma - 1] == ord("]")) & (text[comma - 2] == ord("]"))
    found = np.flatnonzero(after_key & opens & closes)
    begin = [0, *ends[found].tolist()]
    end = [*starts[found].tolist(), len(array)]
    return b":[],".join([array[a:b] for a, b in zip(begin, end, strict=True)])
