"""Any format that is read into any that is written, where the information allows.

Read are the benchmarks' files (`data.formats.READERS`), what ingest reads (`stages.registry.SOURCES`) and run
folders (`run`). Written are the benchmarks' files (`data.formats.WRITERS`) and what `relforge export` writes
(`stages.export.TARGETS`); where both know a name, the benchmark's files are meant.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pyarrow as pa

from relforge.contracts import WrongKind
from relforge.data.formats import READERS, WRITERS
from relforge.data.hoi import HoiData, Written
from relforge.data.hoi_relations import read_sizes
from relforge.data.source_tables import read_run, read_source
from relforge.data.table_images import images_of, tables_of
from relforge.registry import Registry
from relforge.stages.export import TARGETS, export
from relforge.stages.export.publish import publish
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.registry import SOURCES

RUN = "run"
INPUTS = (*READERS, *(name for name in SOURCES if name not in READERS), RUN)
OUTPUTS = (*WRITERS, *(name for name in TARGETS if name not in (*WRITERS, "open-images")))

_PATH_OPTIONS = {"openimages": "relations", "parquet": "root"}
"""Ingest format -> the option that takes the path; `annotations` for the others."""


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote.

    Args:
        counts: `images`, `boxes`, `relations` that were written.
        left_out: what was read and not written, reason -> how many.
    """

    counts: dict[str, int]
    left_out: dict[str, int]


def convert(source: str, path: str, target: str, out: str, options: Mapping[str, Any]) -> Converted:
    """Read `path` and write `out`, which appears whole or not at all.

    Args:
        source: one of `INPUTS`, or `package.module:NAME`.
        target: one of `OUTPUTS`, or `package.module:write`.
        options: of either side, by name; one that both have goes to both. `images`, a folder or pattern of
            the image files, also serves to read the sizes that the annotation lacks, and `dataset` and
            `split` name the data where the target has a place for that.

    Raises:
        ValueError: an unknown format or option, files of another form, or data that the target cannot hold.
        OSError: a file cannot be read or written.
    """
    read, of_read = _reader(source)
    write, of_write = _writer(target)
    common = ("images", "dataset", "split")
    known = dict.fromkeys([*of_read, *of_write, *common])
    if unknown := [name for name in options if name not in known]:
        raise ValueError(
            f"neither {source} nor {target} has an option {unknown[0]}; choose from {', '.join(known)}"
        )
    reasons: Counter[str] = Counter()
    data = read(path, {name: value for name, value in options.items() if name in of_read}, reasons)
    if isinstance(data, HoiData):
        reasons.update(data.reasons)
        data = _with_sizes(data, options.get("images"))
    given = {name: value for name, value in options.items() if name in of_write}
    counts = write(data, out, given, options, reasons)
    return Converted(counts, dict(+reasons))


Shards = Iterator[dict[str, pa.Table]]
Read = Callable[[str, Mapping[str, Any], Counter[str]], "HoiData | Shards"]
Write = Callable[
    ["HoiData | Shards", str, Mapping[str, Any], Mapping[str, Any], Counter[str]], dict[str, int]
]


def _reader(name: str) -> tuple[Read, list[str]]:
    """How a format is read, and its options."""
    if name == RUN:
        return lambda path, options, _: read_run(path, **options), ["relations", "threshold"]
    if _belongs(name, SOURCES, READERS):
        load = READERS.load(name)
        return lambda path, options, _: load(path, **options), list(inspect.signature(load).parameters)[1:]
    if name not in SOURCES and ":" not in name:
        raise ValueError(f"unknown input format {name!r}; choose one of {', '.join(INPUTS)}")
    place = _PATH_OPTIONS.get(name, "annotations")
    known = [one for one in inspect.signature(SOURCES.load(name)).parameters if one != place]
    return lambda path, options, reasons: read_source(name, {place: path, **options}, reasons), known


def _writer(name: str) -> tuple[Write, list[str]]:
    """How a format is written, and its options."""
    if _belongs(name, TARGETS, WRITERS):
        load = WRITERS.load(name)
        return _write_images(load), list(inspect.signature(load).parameters)[2:]
    if name not in TARGETS and ":" not in name:
        raise ValueError(f"unknown output format {name!r}; choose one of {', '.join(OUTPUTS)}")
    return _write_tables(name), list(inspect.signature(TARGETS.load(name)).parameters)[2:]


def _belongs(name: str, tables: Registry, images: Registry) -> bool:
    """Whether a name is one of `images`; of a user's own code, whether it does not satisfy `tables`."""
    if name in images or ":" not in name:
        return name in images
    try:
        tables.load(name)
    except WrongKind:
        return True
    return False


def _write_images(write: Callable[..., Written]) -> Write:
    def written(
        data: HoiData | Shards,
        out: str,
        given: Mapping[str, Any],
        _: Mapping[str, Any],
        reasons: Counter[str],
    ) -> dict[str, int]:
        images = data if isinstance(data, HoiData) else images_of(data)
        if not len(images):
            raise ValueError(f"there is no image to write; left out: {dict(+reasons) or 'none'}")
        with publish(out) as path:
            done = write(images, path, **given)
        reasons.update(done.left_out)
        boxes = sum(len(image.boxes) for image in done.data.images) - done.left_out["box_without_row"]
        rows = sum(len(image.interactions) for image in done.data.images)
        return {"images": len(done.data), "boxes": boxes, "relations": rows}

    return written


def _write_tables(name: str) -> Write:
    def written(
        data: HoiData | Shards,
        out: str,
        given: Mapping[str, Any],
        options: Mapping[str, Any],
        reasons: Counter[str],
    ) -> dict[str, int]:
        if isinstance(data, HoiData):
            names = (str(options.get("dataset", "converted")), str(options.get("split", "all")))
            data = tables_of(data, *names, _uris(data, options.get("images")), reasons)
        first = next(data, None)
        if first is None:
            raise ValueError("there is no image to write")
        counts = export(name, chain([first], data), out, **given)
        reasons["left_out_by_the_format"] += counts.pop("left_out", 0)
        return counts

    return written


def _uris(data: HoiData, images: Any) -> list[str | None]:
    names = pa.array([image.file_name for image in data.images], pa.string())
    found: list[str | None] = ImageFiles(images).uris(names, names, "").to_pylist()
    return found


def _with_sizes(data: HoiData, images: Any) -> HoiData:
    """The data with the sizes of the image files where the annotation has none."""
    if images is None or all(image.size is not None for image in data.images):
        return data
    sizes = read_sizes(data.images, _uris(data, images))
    found = [replace(image, size=size) for image, size in zip(data.images, sizes, strict=True)]
    return replace(data, images=found)
