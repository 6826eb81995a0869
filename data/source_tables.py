"""The tables of a dataset that ingest reads, and of a run folder, a shard at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from relforge.stages.corrections.corrections import FILES, Corrections
from relforge.stages.corrections.corrections import SCHEMAS as CORRECTIONS
from relforge.stages.registry import build_source
from relforge.stages.run_tables import open_filesystem
from relforge.stages.tables import SCHEMAS

_SHARD = 4096


def read_source(
    adapter: str, options: Mapping[str, Any], reasons: Counter[str]
) -> Iterator[dict[str, pa.Table]]:
    """The shards of a dataset.

    Args:
        adapter: a name of `stages.registry.SOURCES`, or `package.module:Class`.
        options: of the adapter.
        reasons: takes what ingest drops and sets aside, by reason.
    """
    for result in build_source(adapter, **options).shards(_SHARD):
        reasons.update(result.dropped)
        reasons.update(one.reason for one in result.quarantined)
        blank = {name: SCHEMAS[name].empty_table() for name in ("images", "boxes", "gold")}
        yield blank | result.tables


def read_run(
    folder: str, relations: str = "relations", threshold: float | None = None
) -> Iterator[dict[str, pa.Table]]:
    """The shards of a run folder (a path or URI) that have images, boxes and these relations.

    Args:
        relations: `relations`, as people corrected them and their boxes, or `gold`.
        threshold: leave out relations that score lower.

    Raises:
        ValueError: another name, or there are no shards.
    """
    if relations not in ("relations", "gold"):
        raise ValueError(f"relations: {relations!r} is not `relations` or `gold`")
    filesystem, path = open_filesystem(folder)
    selector = fs.FileSelector(f"{path}/images", allow_not_found=True)
    parts = sorted(
        PurePosixPath(one.path).name
        for one in filesystem.get_file_info(selector)
        if one.path.endswith(".parquet")
    )
    corrections = read_corrections(folder) if relations == "relations" else None
    found = False
    for part in parts:
        tables = {}
        for name in ("images", "boxes", relations, "classes"):
            if filesystem.get_file_info(f"{path}/{name}/{part}").type == fs.FileType.NotFound:
                continue
            tables[name] = pq.read_table(f"{path}/{name}/{part}", filesystem=filesystem, schema=SCHEMAS[name])
        if not {"images", "boxes", relations} <= tables.keys():
            continue
        found = True
        if corrections is not None:
            tables["boxes"], tables[relations] = corrections.apply(
                tables["images"], tables["boxes"], tables[relations]
            )
        if threshold is not None and relations == "relations":
            tables[relations] = tables[relations].filter(
                pc.greater_equal(tables[relations]["score"], threshold)
            )
        yield tables
    if not found:
        raise ValueError(f"{folder} has no shards of table `{relations}`; run the pipeline first")


def is_run(folder: str) -> bool:
    """Whether a path or URI is a run folder."""
    if "{" in folder:
        return False  # a pattern of files
    filesystem, path = open_filesystem(folder)
    return bool(filesystem.get_file_info(f"{path}/run.json").type == fs.FileType.File)


def count_rows(folder: str, table: str) -> int:
    """Rows of a table of a run folder; 0 where it has none."""
    filesystem, path = open_filesystem(folder)
    selector = fs.FileSelector(f"{path}/{table}", allow_not_found=True)
    parts = [one.path for one in filesystem.get_file_info(selector) if one.path.endswith(".parquet")]
    return sum(pq.read_metadata(part, filesystem=filesystem).num_rows for part in parts)


def read_corrections(folder: str) -> Corrections | None:
    """What people said of a run's relations and boxes; None where they said nothing."""
    filesystem, path = open_filesystem(folder)
    there = {
        name: f"{path}/{file}"
        for name, file in FILES.items()
        if filesystem.get_file_info(f"{path}/{file}").type == fs.FileType.File
    }
    return Corrections.of(
        {
            name: pq.read_table(file, filesystem=filesystem, schema=CORRECTIONS[name])
            for name, file in there.items()
        }
    )
