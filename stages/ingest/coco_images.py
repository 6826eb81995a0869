"""The `images` array of a COCO file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.json_stream import JsonStream, decode_lenient
from relforge.stages.ingest.records import ImageColumns
from relforge.stages.ingest.scan import Scanned, load_scanner
from relforge.stages.ingest.values import as_file_name, as_id, as_pixels

_Size = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]


class Image(msgspec.Struct, gc=False):
    """An image record; what is not usable is None, or 0 for a size."""

    id: int | str
    width: _Size
    height: _Size
    file_name: str | None = None


_IMAGES = msgspec.json.Decoder(list[Image])


def read_images(stream: JsonStream, ids: Ids, file_name: Callable[[str], str]) -> ImageColumns:
    """The records of the current array.

    Args:
        stream: at the array.
        ids: take the images' ids.
        file_name: what the tables have for a record's `file_name`.
    """
    codes, sizes, names = [], [], []
    for batch in stream.elements(decode_images, load_scanner("images", decode_images)):
        found = _scanned(batch, ids) if isinstance(batch, Scanned) else _columns(batch, ids)
        codes.append(found.codes)
        sizes.append(found.sizes)
        names.append(found.file_names)
    if not codes:
        return ImageColumns()
    files = pa.concat_arrays(names)
    if file_name is not str:
        files = pa.array([None if f is None else file_name(f) for f in files.to_pylist()], pa.string())
    return ImageColumns(np.concatenate(codes), np.concatenate(sizes), files)


def decode_images(array: bytes) -> list[Image]:
    """The general reader: whatever a record holds, its usable fields are kept.

    Raises:
        ValueError: the text is not one JSON array.
    """
    try:
        return _IMAGES.decode(array)
    except (ValueError, RecursionError):
        return [_lenient(record) for record in decode_lenient(array)]


def _lenient(record: Any) -> Image:
    """A record that does not fit, with what is usable of it."""
    record = record if isinstance(record, dict) else {}
    return Image(
        as_id(record.get("id")),  # type: ignore[arg-type]
        as_pixels(record.get("width")),
        as_pixels(record.get("height")),
        as_file_name(record.get("file_name")),
    )


def _columns(records: list[Image], ids: Ids) -> ImageColumns:
    sizes = np.array([(r.width, r.height) for r in records], np.int32)
    files = pa.array([as_file_name(r.file_name) for r in records], pa.string())
    return ImageColumns(ids.codes([r.id for r in records]), sizes, files)


def _scanned(batch: Scanned[Image], ids: Ids) -> ImageColumns:
    rows = batch.rows
    ends = np.concatenate([[0], rows["name_end"]]).astype(np.int32)
    files = pa.StringArray.from_buffers(len(rows), pa.py_buffer(ends), pa.py_buffer(batch.names))
    found = ImageColumns(rows["id"], np.stack([rows["width"], rows["height"]], axis=1), files)
    if len(batch.irregular):
        decoded = _columns(batch.decoded, ids)
        found.codes[batch.irregular], found.sizes[batch.irregular] = decoded.codes, decoded.sizes
        irregular = np.zeros(len(rows), bool)
        irregular[batch.irregular] = True
        found.file_names = pc.replace_with_mask(files, irregular, decoded.file_names)
    return found
