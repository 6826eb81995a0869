"""Where training data comes from: a run folder's Parquet, or a dataset through its ingest adapter."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from relforge.data.exclude import without_images
from relforge.data.few_shot import few_images
from relforge.data.hoi_sources import HOI_FORMATS, load_hoi
from relforge.data.relation_tables import MAX_PAIRS, from_tables
from relforge.data.relations import RelationData, concatenate
from relforge.data.source_tables import read_corrections, read_source
from relforge.data.zero_shot import read_unseen, without_interactions
from relforge.images import MAX_PIXELS
from relforge.models.fetched import resolve_pinned
from relforge.stages.run_tables import open_filesystem
from relforge.stages.tables import SCHEMAS

RUN_OPTIONS = {"run", "relations", "threshold", "limit"}
"""Keys of an entry that reads a run folder."""

SUBSETS = ("few_shot", "unseen", "exclude")
"""Keys of every entry: a few of its images, all relations but those of some interactions, and all images but
those of a list."""


def load_relations(
    parts: Sequence[Mapping[str, Any]],
    *,
    max_pairs: int = MAX_PAIRS,
    first_rows: bool = False,
    keep_empty: bool = False,
) -> RelationData:
    """Load and concatenate the `data` list of a recipe.

    Args:
        parts: each either `{run: FOLDER, relations: relations|gold, threshold: 0.2}`, or
            `{format: visual_genome, ...}` with the options of that ingest adapter, or `{format: hico, ...}`,
            `vcoco` or `open_images` with those of `hoi_sources`; `limit: N` takes the first N images.
            `few_shot` leaves a share of the images (`data.few_shot`), `unseen` leaves out the relations of
            some interactions (`data.zero_shot`), `exclude` the images of a list (`data.exclude`). Files
            may be pinned names (`models.fetched`).
        max_pairs, first_rows, keep_empty: see `relation_tables.from_tables`.

    Raises:
        ValueError: an entry that is neither, or that has no relations.
        FileNotFoundError: a pinned name that has not been fetched.
    """
    if not parts or not isinstance(parts, Sequence) or not all(isinstance(part, Mapping) for part in parts):
        raise ValueError(f"data: give a list of entries with `run` or `format`, found {parts!r}")
    loaded = []
    for given in parts:
        part = {name: resolve_pinned(value) for name, value in given.items() if name not in SUBSETS}
        reasons: Counter[str] = Counter()
        if "run" in part:
            if unknown := sorted(set(part) - RUN_OPTIONS):
                choices = ", ".join(sorted(RUN_OPTIONS))
                raise ValueError(f"data: {part['run']}: unknown option {unknown[0]}; choose from {choices}")
            tables = _read_run(part["run"], part.get("relations", "relations"), part.get("threshold"))
            written = read_dataset(part["run"])
        elif part.get("format") in HOI_FORMATS:
            found = load_hoi(part, max_pairs=max_pairs)
            if not len(found):
                raise ValueError(
                    f"data: {part['format']}: no image can be used; left out: {dict(found.reasons)}"
                )
            loaded.append(_subset(found, given))
            continue
        elif "format" in part:
            adapter = {k: v for k, v in part.items() if k not in {"format", "limit"}}
            tables = _read_source(part["format"], adapter, reasons)
            written = adapter
        else:
            raise ValueError(f"data: an entry needs `run` or `format`, found {sorted(part)}")
        images, boxes, relations = tables
        if "limit" in part:
            images = images.slice(0, part["limit"])
            relations = relations.filter(pc.is_in(relations["image_id"], images["image_id"].combine_chunks()))
        data = from_tables(
            images,
            boxes,
            relations,
            max_pairs=max_pairs,
            first_rows=first_rows,
            keep_empty=keep_empty,
            orientation=written.get("orientation"),
            max_pixels=written.get("max_pixels", MAX_PIXELS),
        )
        if not len(data):
            raise ValueError(f"data: {part.get('run') or part.get('format')} has no image with relations")
        loaded.append(_subset(replace(data, reasons=reasons), given))
    return concatenate(loaded)


def _subset(data: RelationData, options: Mapping[str, Any]) -> RelationData:
    """What the options `exclude`, `few_shot` and `unseen` of an entry leave."""
    if "exclude" in options:
        data = without_images(data, options["exclude"])
    if "few_shot" in options:
        data = few_images(data, options["few_shot"])
    if "unseen" in options:
        data = without_interactions(data, *read_unseen(options["unseen"]))
    return data


def _read_run(folder: str, name: str, threshold: float | None) -> tuple[pa.Table, pa.Table, pa.Table]:
    if name not in {"relations", "gold"}:
        raise ValueError(f"data.relations: {name!r} is not `relations` or `gold`")
    tables = [read_table(folder, table) for table in ("images", "boxes", name)]
    if name == "relations" and (corrections := read_corrections(folder)) is not None:
        tables[1:] = corrections.apply(*tables)
    if threshold is not None and name == "relations":
        tables[2] = tables[2].filter(pc.greater_equal(tables[2]["score"], threshold))
    return tables[0], tables[1], tables[2]


def read_dataset(folder: str) -> Mapping[str, Any]:
    """The section `dataset` of a run's config; empty where the folder has tables alone."""
    filesystem, path = open_filesystem(folder)
    try:
        with filesystem.open_input_stream(f"{path}/run.json") as file:
            written: Mapping[str, Any] = json.loads(file.read())["job"]["config"].get("dataset", {})
    except (FileNotFoundError, KeyError):
        return {}
    return written


def read_table(
    folder: str, table: str, schema: pa.Schema | None = None, without: Collection[str] = ()
) -> pa.Table:
    """All shards of one table of a run folder (a path or URI).

    Args:
        schema: of a table that is not built in.
        without: columns that are not read: lists and pixels take most of the memory.

    Raises:
        ValueError: it has none.
    """
    filesystem, path = open_filesystem(folder)
    selector = fs.FileSelector(f"{path}/{table}", allow_not_found=True)
    parts = sorted(f.path for f in filesystem.get_file_info(selector) if f.path.endswith(".parquet"))
    if not parts:
        raise ValueError(f"{folder} has no shards of table `{table}`; run the pipeline first")
    schema = schema or SCHEMAS[table]
    columns = [name for name in schema.names if name not in without]
    return ds.dataset(parts, schema=schema, filesystem=filesystem).to_table(columns=columns)


def _read_source(
    adapter: str, options: Mapping[str, Any], reasons: Counter[str]
) -> tuple[pa.Table, pa.Table, pa.Table]:
    shards = list(read_source(adapter, options, reasons))
    images, boxes, gold = (
        pa.concat_tables([tables[name] for tables in shards] or [SCHEMAS[name].empty_table()])
        for name in ("images", "boxes", "gold")
    )
    return images, boxes, gold
