"""Annotation records that all look alike, read as columns without a Python object per record.

Written by programs, the records of a detection file have the same keys in the same order, and only their
numbers differ. Text whose numbers are taken out is then one pattern repeated, which proves its structure by
comparison; the numbers alone are a CSV file, which Arrow reads. Whatever differs anywhere is left to the
careful reader, so nothing is decided here that it would decide otherwise.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

_NUMBER = b"0123456789.-"
_TO_LINES = bytes.maketrans(b"}", b"\n")
_NOT_CSV = bytes(set(range(256)) - set(_NUMBER + b',}"'))
_POLYGONS = re.compile(rb'"segmentation":\s*\[')
# an uncompressed mask, as COCO has for crowds
_MASK = re.compile(rb'"segmentation":\s*\{"counts":\s*\[[0-9, ]*\],\s*"size":\s*\[\d+,\s*\d+\]\}')
# what is left of a record: keys, and nothing or three commas in brackets for their numbers
_VALUE = rb"(?:\[\s*,\s*,\s*,\s*\])?"
_MEMBER = rb'\s*(?:\],\s*)?"[A-Za-z_]+":\s*' + _VALUE + rb"\s*"
_RECORD = re.compile(rb"\{" + _MEMBER + rb"(?:," + _MEMBER + rb")*\}")
_KEY = re.compile(rb'(\],\s*)?"([A-Za-z_]+)":\s*(\[[^\]]*\])?')
_BETWEEN = re.compile(rb"\s*,\s*")
_USED = {"id", "image_id", "category_id", "bbox"}
_CAREFUL = {"box_id", "source_id"}
_LARGE = 1e15
"""A coordinate beyond is left to the careful reader, which says where a number ends to be one."""


def uniform_columns(array: bytes) -> dict[str, np.ndarray] | None:
    """`id`, `image_id`, `category_id` (N int64), `bbox` (N x 4 float64, pixels) and `iscrowd` (N bool).

    The numbers of polygons and masks are not looked at.

    Args:
        array: a JSON array of annotation records, in bytes.

    Returns:
        None where the records are not all alike, or hold anything but numbers.
    """
    if b"\\" in array:
        return None
    text = _without_polygons(array)
    shape = _shape(text)
    if shape is None and b'"counts"' in text:
        text = _without_polygons(_MASK.sub(b'"segmentation":[]', text))
        shape = _shape(text)
    if shape is None:
        return None
    keys, count = shape
    return _numbers(text, keys, count)


def _without_polygons(array: bytes) -> bytes:
    """The text without its `"segmentation": [...`, up to the bracket before the next quotation mark.

    The bracket stays: if the list ended anywhere else, what is left is no record.
    """
    token = _POLYGONS.search(array)
    if token is None:
        return array
    key, skip, find = token[0], len(token[0]), array.find
    parts, at, found = [], 0, token.start()
    while found >= 0:
        parts.append(array[at:found])
        at = find(b'"', found + skip)
        if at < 0:
            return array
        at -= 3 if array[at - 1] == 0x20 else 2
        found = find(key, at)
    parts.append(array[at:])
    return b"".join(parts)


def _shape(text: bytes) -> tuple[list[str], int] | None:
    """The keys of every record, with one entry per number, and how many records there are."""
    outline = text.translate(None, _NUMBER)
    start = outline.find(b"{")
    record = _RECORD.match(outline, start)
    count = outline.count(b"{")
    if record is None or outline[:start].strip() != b"[":
        return None
    between = _BETWEEN.match(outline, record.end())
    pattern = record[0] + (between[0] if between else b"")
    last = len(between[0]) if between else 0
    whole = outline[start : outline.rfind(b"}") + 1]
    repeated = pattern * count
    if whole != repeated[: len(repeated) - last] or outline[start + len(whole) :].strip() != b"]":
        return None
    found = [(bool(cut), key.decode(), bool(bracket)) for cut, key, bracket in _KEY.findall(record[0])]
    keys = [key for _, key, _ in found]
    if len(set(keys)) < len(keys) or not set(keys) >= _USED or set(keys) & _CAREFUL:
        return None
    if any(is_list != (key == "bbox") for _, key, is_list in found if key in _USED | {"iscrowd"}):
        return None
    columns: list[str] = []
    for cut, key, is_list in found:
        # the comma behind a list that was cut out is an empty column
        columns += ["segmentation"] * cut + ([f"{key}{k}" for k in range(4)] if is_list else [key])
    return columns, count


def _numbers(text: bytes, keys: list[str], count: int) -> dict[str, np.ndarray] | None:
    quoted = text.translate(_TO_LINES, _NOT_CSV)
    unquoted = quoted.translate(None, b'"')
    # the outline of a key with a number in it is that of the key without
    if len(quoted) - len(unquoted) != 2 * quoted.count(b'""'):
        return None
    lines = unquoted.replace(b"\n,", b"\n")
    if not _are_json_numbers(lines):
        return None
    types: dict[str, pa.DataType] = {
        key: pa.int64() for key in ("id", "image_id", "category_id", "iscrowd") if key in keys
    }
    types |= {f"bbox{k}": pa.float64() for k in range(4)}
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(lines),
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=keys, block_size=len(lines) + 1),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(types), column_types=types, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    found = {name: table[name].to_numpy() for name in types}
    xywh = np.stack([found.pop(f"bbox{k}") for k in range(4)], axis=1)
    if table.num_rows != count or any(c.null_count for c in table.columns) or not (abs(xywh) < _LARGE).all():
        return None
    crowd = found["iscrowd"] != 0 if "iscrowd" in found else np.zeros(count, bool)
    return found | {"bbox": xywh, "iscrowd": crowd}


def _are_json_numbers(lines: bytes) -> bool:
    """Whether every point stands between digits, and no number starts with a needless zero.

    Arrow would read those; all else that is no JSON number it refuses.
    """
    text = np.frombuffer(b"\n" + lines + b"\n", np.uint8)
    digit = (text >= 0x30) & (text <= 0x39)
    point = np.flatnonzero(text == 0x2E)
    zero = np.flatnonzero(text[:-1] == 0x30)
    before = text[zero - 1]
    needless = digit[zero + 1] & ((before == 0x2C) | (before == 0x0A) | (before == 0x2D))
    return bool(digit[point - 1].all() and digit[point + 1].all() and not needless.any())
