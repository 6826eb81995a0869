"""The images of a set, of a benchmark's test set or of one's own: names, and files where there are any.

A set is a run folder, a folder of image files, or a list: one id or file name a line (`.txt`, `.ids`), JSON
as COCO, V-COCO, HICO-DET and Visual Genome have it, a CSV with `ImageID` (Open Images), HICO's
`anno_bbox.mat` or VG150's HDF5 file beside the other two.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relforge.data.audit.identity import NUMBERED, identities
from relforge.data.hoi_json import load_json
from relforge.data.sources import load_relations, read_dataset, read_table

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
FORMATS = (*NUMBERED, "hico", "open_images")
"""Names of sets that say what their numbers mean."""

_TEST = 2
"""`split` of VG150's test images."""


@dataclass(frozen=True)
class Listed:
    """One image.

    Args:
        name: as its set calls it.
        known: see `identity.identities`.
        uri, data: its file or its bytes; None where the set is a list alone.
    """

    name: str
    known: frozenset[str]
    uri: str | None = None
    data: bytes | None = None


def read_set(format: str, paths: Sequence[str], coco_ids: Mapping[int, int] | None = None) -> list[Listed]:
    """The images of a set that is given by one or several paths.

    Args:
        format: one of `FORMATS`, or empty.
        paths: where there are lists and folders of image files, the lists say which files count.
        coco_ids: numbers of COCO by those of Visual Genome.

    Raises:
        ValueError: a path that is none of these, or no image.
        OSError: it cannot be read.
    """
    listed: list[Listed] = []
    files: list[Listed] = []
    for path in paths:
        folder = Path(path)
        of_run = any((folder / "images").glob("*.parquet"))
        if folder.is_dir() and not of_run:
            files += [
                Listed(str(one.relative_to(folder)), identities(one.name, format, "", coco_ids), str(one))
                for one in sorted(folder.rglob("*"))
                if one.suffix.lower() in IMAGE_SUFFIXES
            ]
        elif of_run or "://" in path:
            listed += read_run(path, coco_ids)
        else:
            listed += [
                Listed(name or number, identities(name, format, number, coco_ids))
                for name, number in _names(folder, format)
            ]
    if not listed:
        listed = files
    elif files:
        listed = _with_files(listed, files)
    if not listed:
        raise ValueError(f"{', '.join(paths)}: no image is listed there")
    return listed


def read_run(folder: str, coco_ids: Mapping[int, int] | None = None) -> list[Listed]:
    """The images of a run folder.

    Raises:
        ValueError: it has no table of images.
    """
    images = read_table(folder, "images")
    format = str(read_dataset(folder).get("format", ""))
    names = images["file_name"].to_pylist() if "file_name" in images.column_names else [None] * len(images)
    rows = zip(*(images[name].to_pylist() for name in ("image_id", "uri", "bytes")), names, strict=True)
    return [
        Listed(key, identities(name or uri or "", format, key, coco_ids), uri, data)
        for key, uri, data, name in rows
    ]


def read_entry(part: Mapping[str, Any], coco_ids: Mapping[int, int] | None = None) -> list[Listed]:
    """The images of an entry of a recipe's `data`.

    Raises:
        ValueError: no such entry, or no image.
    """
    if "run" in part:
        return read_run(str(part["run"]), coco_ids)
    data = load_relations([part], keep_empty=True, max_pairs=1)
    format = str(part.get("format", ""))
    rows = zip(*(data.images[name].to_pylist() for name in ("image_id", "uri", "bytes")), strict=True)
    return [Listed(key, identities(uri or "", format, key, coco_ids), uri, held) for key, uri, held in rows]


def read_coco_ids(path: str) -> dict[int, int]:
    """Numbers of COCO by those of Visual Genome, from its `image_data.json`.

    Raises:
        ValueError: the file is another one.
    """
    try:
        return {
            int(one.get("image_id", one.get("id"))): int(one["coco_id"])
            for one in load_json(path)
            if one.get("coco_id") is not None
        }
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: expected Visual Genome's image_data.json, a list with image_id and coco_id"
        ) from error


def _with_files(listed: Sequence[Listed], files: Sequence[Listed]) -> list[Listed]:
    """Listed images with the files that are theirs."""
    place = {known: one.uri for one in files for known in one.known}
    return [
        Listed(
            one.name, one.known, next((place[known] for known in sorted(one.known) if known in place), None)
        )
        for one in listed
    ]


def _names(path: Path, format: str) -> Iterator[tuple[str, str]]:
    """(file name, id) of every image that a file lists; one of them may be empty."""
    kind = path.suffix.lower()
    if kind in {".txt", ".ids"}:
        lines = path.read_text(encoding="utf-8").split()
        yield from (("", line) if line.isdecimal() else (line, "") for line in lines)
    elif kind == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if "ImageID" not in (rows.fieldnames or ()):
                raise ValueError(f"{path}: no column ImageID; give a list of images")
            yield from ((name, "") for name in dict.fromkeys(row["ImageID"] for row in rows))
    elif kind == ".mat":
        from relforge.data.formats import hico

        yield from ((one.file_name, "") for one in hico.read(str(path), half="test").images)
    elif kind in {".h5", ".hdf5"}:
        yield from _vg150(path)
    elif kind == ".json":
        yield from _json(path, load_json(str(path)))
    else:
        raise ValueError(
            f"{path}: not a folder, a run or a list of images (.txt, .ids, .json, .csv, .mat, .h5)"
        )


def _json(path: Path, content: Any) -> Iterator[tuple[str, str]]:
    records = content.get("images", content.get("files_test")) if isinstance(content, dict) else content
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path}: no list of images; expected `images`, or a list of names, ids or records")
    seen = set()
    for record in records:
        if isinstance(record, dict):
            name = str(record.get("file_name") or "")
            number = record.get("id", record.get("image_id", ""))
        else:
            name, number = (str(record), "") if not str(record).isdecimal() else ("", record)
        key = (name, "" if number is None else str(number))
        if key == ("", ""):
            raise ValueError(f"{path}: a record has neither file_name nor id: {json.dumps(record)[:80]}")
        if key not in seen:
            seen.add(key)
            yield key


def _vg150(path: Path) -> Iterator[tuple[str, str]]:
    from relforge.stages.ingest.vg150_file import read_vg150

    files = (path.with_name(name) for name in ("VG-SGG-dicts-with-attri.json", "image_data.json"))
    data = read_vg150(str(path), *map(str, files))
    for record, part in zip(data.records, data.split.tolist(), strict=True):
        if part == _TEST:
            yield "", str(record["image_id"])
