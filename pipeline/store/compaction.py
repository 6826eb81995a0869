"""Writes the manifests of a folder's tables."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa

from relforge.pipeline.errors import StorageError
from relforge.pipeline.store.manifest import (
    SCHEMA,
    Row,
    find_unchanged,
    make_rows,
    read_manifest,
    write_manifest,
)
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.pipeline.store.storage import Stat

MIN_LOOSE = 1000
"""A table with fewer sidecars that its manifest does not hold is read quickly enough as it is."""
_RACY_SECONDS = 2.0
"""A file so young could be edited in the clock tick of the listing, which the next would not show."""
_BATCH = 10_000


def compact(folder: RunFolder, tables: Iterable[str]) -> None:
    """Bring the manifests up to date where that saves reading many files.

    Another driver may do the same at the same moment: each row says which sidecar it was made from, so
    whichever manifest stays is right. A storage that takes no writes leaves the old ones.
    """
    for table in tables:
        with suppress(OSError, StorageError):
            _compact(folder, table)


def _compact(folder: RunFolder, table: str) -> None:
    # listed before the sidecars are read: one that is replaced meanwhile differs from what its row says
    state, data = folder.sidecar_files(table), folder.data_files(table)
    known, now = read_manifest(folder.storage, table, SCHEMA.names), time.time()
    same = find_unchanged(known, state, data)
    held = known.filter(pa.array(same))
    loose = np.setdiff1d(np.intersect1d(state.shards, data.shards), held["shard"].to_numpy())
    old = known.num_rows - held.num_rows
    if max(len(loose), old) < MIN_LOOSE:
        return
    state, data = state.only(loose), data.only(loose)
    old_enough = (now - _RACY_SECONDS) * 1e9
    files = data.stats
    settled = [
        shard for shard, stat in state.stats.items() if max(stat.changed, files[shard].changed) <= old_enough
    ]
    pairs = zip(state.marks.to_pylist(), data.marks.to_pylist(), strict=True)
    marks = dict(zip(loose.tolist(), pairs, strict=True))
    parts = [held]
    # some thousands at a time: the content of all would be gigabytes
    for first in range(0, len(settled), _BATCH):
        found = folder.for_each(
            settled[first : first + _BATCH],
            lambda shard: _read(folder, table, shard, files[shard], marks[shard]),
        )
        parts.append(make_rows([row for row in found.values() if row]))
    rows = pa.concat_tables(parts)
    if rows.num_rows > held.num_rows or old:
        write_manifest(folder.storage, table, rows)


def _read(folder: RunFolder, table: str, shard: int, data: Stat, marks: tuple[str, str]) -> Row | None:
    """The row of a shard; None where its two files do not belong together."""
    try:
        content = folder.storage.read(folder.sidecar_path(table, shard))
        account = Sidecar.from_bytes(content)
    except (FileNotFoundError, ValueError):
        return None
    whole = account.size == data.size and account.modified in ("", data.modified)
    # a sidecar under another shard's name is found by its fingerprint
    return Row(*marks, content, replace(account, shard=shard)) if whole else None
