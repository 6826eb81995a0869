"""Tables of a run folder, or loose Parquet files, as Arrow datasets: only committed shards count."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.store.run_folder import DAMAGED_SIDECAR, RUN_FILE, RunFolder
from relforge.stages.corrections.corrections import FILES, SCHEMAS

Datasets = dict[str, ds.Dataset]


def open_datasets(uri: str) -> tuple[Datasets, str | None]:
    """Open the tables at a path.

    Args:
        uri: a run folder, one of its table folders, one of its shards, or any Parquet file or folder.

    Returns:
        table name -> dataset (every table of the run around the path, where there is a run), and the
        name of the table the path points at (None for a whole run folder).

    Raises:
        RunError: nothing readable is there.
    """
    uri = uri.rstrip("/") if "://" in uri else os.path.abspath(uri)
    files, path = fsspec.core.url_to_fs(uri)
    if not files.exists(path):
        raise RunError(f"{uri}: no such file or folder")
    if files.isfile(path):
        if not path.endswith(".parquet"):
            raise RunError(f"{uri}: not a Parquet file; give a run folder, a table folder or a .parquet file")
        table, tables = _around(files, uri, levels=2)
        name = table or "data"
        schema = tables[name].schema if name in tables else None
        return {**tables, name: _dataset(files, [path], schema, uri)}, name
    if files.exists(f"{path}/{RUN_FILE}"):
        return _of_run(files, uri), None
    table, tables = _around(files, uri, levels=1)
    if table:
        return tables, table
    parts = sorted(name for name in files.ls(path, detail=False) if name.endswith(".parquet"))
    if not parts:
        raise RunError(f"{uri}: neither a run folder (no {RUN_FILE}) nor a folder of Parquet files")
    return {"data": _dataset(files, parts, None, uri)}, "data"


def find_left_out(uri: str) -> list[str]:
    """One sentence for each shard that `open_datasets` leaves out because its sidecar is damaged."""
    uri = uri.rstrip("/") if "://" in uri else os.path.abspath(uri)
    for _ in range(3):  # a run folder, a table folder, a shard
        files, path = fsspec.core.url_to_fs(uri)
        if files.exists(f"{path}/{RUN_FILE}"):
            folder = RunFolder(uri)
            return [
                f"{table} shard {shard} is left out: {entry.problem}; the same `relforge run` makes it again"
                for table in load_plan(folder).tables
                for shard, entry in folder.survey(table).items()
                if entry.problem and entry.problem.startswith(DAMAGED_SIDECAR)
            ]
        uri = uri.rpartition("/")[0] or "/"
    return []


def _of_run(files: AbstractFileSystem, uri: str) -> Datasets:
    """Tables in the order in which the run's stages write them, and those of corrections."""
    folder = RunFolder(uri)
    plan = load_plan(folder)
    root = files._strip_protocol(uri)
    found = {}
    for table in plan.tables:
        committed = [shard for shard, entry in folder.survey(table).items() if entry.problem is None]
        paths = [f"{root}/{folder.data_path(table, shard)}" for shard in committed]
        if paths:
            found[table] = _dataset(files, paths, plan.spec(table).schema, uri)
    for name, file in FILES.items():
        if files.exists(f"{root}/{file}"):
            found[name] = _dataset(files, [f"{root}/{file}"], SCHEMAS[name], uri)
    return found


def _around(files: AbstractFileSystem, uri: str, levels: int) -> tuple[str | None, Datasets]:
    """The run that a table folder (1 level down) or a shard (2 levels down) belongs to, if any."""
    head, _, _ = uri.rpartition("/") if levels == 1 else uri.rpartition("/")[0].rpartition("/")
    name = PurePosixPath(uri.split("://")[-1]).parts[-levels:][0]
    head = head or "."
    if not files.exists(f"{files._strip_protocol(head)}/{RUN_FILE}"):
        return None, {}
    tables = load_plan(RunFolder(head)).tables
    return (name, _of_run(files, head)) if name in tables else (None, {})


def _dataset(files: AbstractFileSystem, paths: list[str], schema: pa.Schema | None, uri: str) -> ds.Dataset:
    """Files under one schema: by default, that of the first file."""
    try:
        if schema is None:
            with files.open(paths[0], "rb") as first:
                schema = pq.read_schema(first).remove_metadata()
        return ds.dataset(paths, schema=schema, filesystem=files, format="parquet")
    except (pa.ArrowInvalid, OSError) as error:
        raise RunError(f"{uri}: cannot be read as Parquet: {error}") from error
