"""Writes the manifests of a folder's tables."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from relforge.pipeline.errors import StorageError
from relforge.pipeline.store.manifest import Row, mark, read_manifest, shorten, write_manifest
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.pipeline.store.storage import Stat

MIN_LOOSE = 1000
"""A table with fewer sidecars that its manifest does not hold is read quickly enough as it is."""
_RACY_SECONDS = 2.0
"""A file so young could be edited in the clock tick of the listing, which the next would not show."""


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
    known, now = read_manifest(folder.storage, table), time.time()
    held = {s for s, row in known.items() if s in state and row.sidecar == mark(state[s])}
    old, loose = known.keys() - held, (state.keys() & data.keys()) - held
    if max(len(loose), len(old)) < MIN_LOOSE:
        return
    found = folder.for_each(
        sorted(s for s in loose if not _is_young(state[s], now) and not _is_young(data[s], now)),
        lambda shard: _read(folder, table, shard, state[shard], data[shard]),
    )
    new = {shard: row for shard, row in found.items() if row}
    if not new and not old:
        return
    write_manifest(folder.storage, table, {shard: known[shard] for shard in held} | new)


def _read(folder: RunFolder, table: str, shard: int, sidecar: Stat, data: Stat) -> Row | None:
    """The row of a shard; None where its two files do not belong together."""
    try:
        content = folder.storage.read(folder.sidecar_path(table, shard))
        account = Sidecar.from_bytes(content)
        if account.size != data.size or account.modified not in ("", data.modified):
            return None
        return Row(mark(sidecar), mark(data), shorten(content))
    except (FileNotFoundError, ValueError):
        return None


def _is_young(stat: Stat, now: float) -> bool:
    return stat.changed > (now - _RACY_SECONDS) * 1e9
