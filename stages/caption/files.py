"""Caption files: JSON and JSON lines of every layout, one bad record costing one record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import fsspec

ID_FIELDS = ("image_id", "file_name", "image")
"""What a record may name its image by; the first that is there counts."""
TEXT_FIELDS = ("caption", "captions", "text")

_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Entry(NamedTuple):
    """One caption of a file. `text` is None where the file has something that is no text (`fault` names it):
    `null_caption` or `not_text`."""

    key: str
    text: str | None
    fault: str = ""


@dataclass
class CaptionFile:
    """What a caption file holds.

    Args:
        entries: captions in file order.
        faults: reason -> records that name no image (`no_image`) or are no record (`not_a_record`), and keys
            that the file has more than once (`repeated_key`, all of whose captions count).
    """

    entries: list[Entry] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)


class _Pairs(list[tuple[str, Any]]):
    """An object with every member it has, equal names included."""


def read_caption_file(path: str, layout: str, expected: str) -> CaptionFile:
    """Read one file.

    Args:
        path: path or URI.
        layout: `coco`: an object with a list `annotations`; `any`: that, a list of records, an object of
            key -> captions, or one record per line.
        expected: what the file should hold, for the sentence.

    Raises:
        ValueError: not UTF-8 (or UTF-16 with its mark), not JSON, another layout, or not one usable record;
            names the file and the place.
    """
    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    data = _parse(path, _decode(path, content), expected)
    found = CaptionFile()
    if isinstance(data, _Pairs):
        members = dict(data)
        rows = members.get("annotations")
        if isinstance(rows, list) and not isinstance(rows, _Pairs):
            _add_rows(found, rows)
        elif layout == "any" and any(name in members for name in TEXT_FIELDS):
            _add_rows(found, [data])  # JSON lines of one line
        elif layout == "any":
            _add_members(found, data)
        else:
            raise ValueError(f"{path}: not a {expected}")
    elif isinstance(data, list) and layout == "any":
        _add_rows(found, data)
    else:
        raise ValueError(f"{path}: not a {expected}")
    usable = any(entry.fault != "not_text" for entry in found.entries)
    if not usable and (found.entries or found.faults):
        raise ValueError(f"{path}: not a {expected}; none of its {max(len(found.entries), 1)} records fits")
    return found


def _decode(path: str, content: bytes) -> str:
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: not UTF-8: byte 0x{content[error.start]:02x} at {error.start} (line {line}); save "
            f"the file as UTF-8, e.g. `iconv -f latin1 -t utf-8 {path}`"
        ) from error


def _parse(path: str, text: str, expected: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply to be a {expected}") from error
    except ValueError as error:
        if not _starts_with_record(text):
            raise ValueError(f"{path}: not a {expected} ({error})") from error
    rows: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line, object_pairs_hook=_Pairs))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}: line {number}: not JSON ({error}); not a {expected}") from error
    return rows


def _starts_with_record(text: str) -> bool:
    """Whether the first line is an object of its own, as in JSON lines."""
    first, _, rest = text.lstrip().partition("\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _add_rows(found: CaptionFile, rows: Sequence[Any]) -> None:
    for row in rows:
        if not isinstance(row, _Pairs):
            found.faults["not_a_record"] += 1
            continue
        record = dict(row)
        key = next((k for name in ID_FIELDS if (k := as_key(record.get(name))) is not None), None)
        if key is None:
            found.faults["no_image"] += 1
        else:
            _add(found, key, _first(record, TEXT_FIELDS))


def _add_members(found: CaptionFile, members: _Pairs) -> None:
    times = Counter(name for name, _ in members)
    found.faults["repeated_key"] += sum(count > 1 for count in times.values())
    found.faults = +found.faults
    for name, captions in members:
        key = as_key(name)
        if key is None:
            found.faults["no_image"] += 1
        else:
            _add(found, key, captions)


def _add(found: CaptionFile, key: str, captions: Any) -> None:
    several = isinstance(captions, list) and not isinstance(captions, _Pairs)
    for caption in captions if several else [captions]:
        if isinstance(caption, str):
            found.entries.append(Entry(key, caption))
        else:
            found.entries.append(Entry(key, None, "null_caption" if caption is None else "not_text"))


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((record[name] for name in names if name in record), None)


def as_key(value: object) -> str | None:
    """An image id or file name as text: 7, 7.0 and "7" are one id. None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else None
    if isinstance(value, int | str):
        text = str(value).strip()
        return text if text and not any("\ud800" <= c <= "\udfff" for c in text) else None
    return None
