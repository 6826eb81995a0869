"""Records that a stage set aside: a file of the shard's commit, checked like its data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.pipeline.errors import RunError
from relforge.pipeline.store.entries import Entries
from relforge.pipeline.store.parquet import from_bytes, to_bytes
from relforge.pipeline.store.run_folder import RUN_FILE, RunFolder
from relforge.pipeline.store.sidecar import QuarantineFile
from relforge.pipeline.store.storage import Stat
from relforge.stages.contract import Quarantined

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("image_id", pa.string()),
        pa.field("record", pa.string(), nullable=False),  # JSON identity of the row
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
    ]
)


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""Where an object was in memory, as Python shows it: differs from process to process."""


def quarantine_bytes(
    stage: str, shard: int, records: Sequence[Quarantined], attempt: int
) -> tuple[bytes, QuarantineFile]:
    """The file of a shard's quarantined records, and what its sidecars record about it; no bytes without
    records."""
    if not records:
        return b"", QuarantineFile()
    rows = [
        {
            "stage": stage,
            "shard": shard,
            "image_id": None if (image := item.record.get("image_id")) is None else str(image),
            "record": json.dumps(dict(item.record), sort_keys=True, default=str),
            "reason": item.reason,
            "detail": _ADDRESS.sub("", item.detail),
            "attempt": attempt,
        }
        for item in records
    ]
    table = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
    data = to_bytes(table, {"relforge.stage": stage})
    repeatable = [{name: value for name, value in row.items() if name != "attempt"} for row in rows]
    content = hashlib.sha256(json.dumps(repeatable, sort_keys=True).encode()).hexdigest()
    return data, QuarantineFile(len(data), hashlib.sha256(data).hexdigest(), content)


def find_problem(
    folder: RunFolder,
    stage: str,
    shard: int,
    account: QuarantineFile | None,
    found: Stat | None,
    verify: bool,
) -> str | None:
    """Why a shard's file of quarantined records is not the one that its sidecar records; None when it is.

    Args:
        account: None for a sidecar of an earlier version: nothing is checked.
        found: the file in a listing, None when absent.
        verify: read the file even if it did not change since it was written.
    """
    if account is None:
        return None
    if found is None:
        return "the file is gone" if account.size else None
    if found.size != account.size:
        return f"{found.size} bytes, its sidecar says {account.size}"
    if not verify and account.modified in ("", found.modified):
        return None
    try:
        data = folder.storage.read(folder.quarantine_path(stage, shard))
    except FileNotFoundError:
        return "the file is gone"
    if hashlib.sha256(data).hexdigest() != account.sha256:
        return "its bytes changed since it was written"
    return None


def find_problems(folder: RunFolder, stage: str, entries: Entries, verify: bool) -> dict[int, str]:
    """Shard -> what is wrong with its file of quarantined records, as `find_problem` says.

    Args:
        entries: of the stage's first table.
    """
    files = folder.quarantine_files(stage)
    accounts = {
        shard: facts.quarantine
        for shard, entry in entries.loose.items()
        if not entry.problem and (facts := entry.facts)
    }
    rows = entries.rows
    # most shards have neither such a file nor an account of one
    set_aside = pc.fill_null(pc.greater(rows["quarantine_size"], 0), False).to_numpy()
    set_aside |= files.find(rows["shard"].to_numpy().astype(np.int64))
    rows = rows.filter(pa.array(set_aside & pc.is_valid(rows["quarantine_size"]).to_numpy()))
    columns = (rows[name].to_pylist() for name in ("shard", "quarantine_size", "quarantine_modified"))
    stats = files.only(np.array(sorted({*accounts, *rows["shard"].to_pylist()}), np.int64)).stats
    for shard, size, modified in zip(*columns, strict=True):
        file = stats.get(shard)
        if not file or file.size != size or modified not in ("", file.modified):
            facts = entries[shard].facts
            accounts[shard] = facts.quarantine if facts else None
    found = {}
    for shard in sorted(accounts):
        if problem := find_problem(folder, stage, shard, accounts[shard], stats.get(shard), verify):
            found[shard] = problem
    return found


def list_contents(entries: Entries, shards: np.ndarray) -> dict[int, str]:
    """Shard -> hash of its quarantined records, of those of these shards (a mask) that have any.

    Args:
        entries: of the stage's first table.
    """
    names = ("shard", "quarantine_content")
    rows = entries.rows.filter(pc.field(names[1]) > "")
    found = dict(zip(*(rows[name].to_pylist() for name in names), strict=True))
    for shard, entry in entries.loose.items():
        if (facts := entry.facts) and facts.quarantine and facts.quarantine.content:
            found[shard] = facts.quarantine.content
    return {s: found[s] for s in sorted(found) if s < len(shards) and shards[s]}


def read_quarantine(folder: RunFolder, path: str) -> pa.Table:
    """One file of quarantined records; RunError names it when it is damaged."""
    try:
        return from_bytes(folder.storage.read(path), QUARANTINE_SCHEMA)
    except ValueError as error:
        raise folder.damaged(
            path, str(error), "give the same `relforge run` command again to redo it"
        ) from error


def quarantined(uri: str, stage: str | None = None) -> pa.Table:
    """Every quarantined record of a run (or one stage), in `QUARANTINE_SCHEMA`.

    Raises:
        RunError: not a run folder, or no such stage.
    """
    folder = RunFolder(uri)
    try:
        names = [str(step["name"]) for step in folder.record()["steps"]]
    except (LookupError, TypeError) as error:
        raise folder.damaged(RUN_FILE, "it does not name the steps of a run") from error
    if stage is not None and stage not in names:
        raise RunError(f"this run has no stage {stage!r}; it has {', '.join(names)}")
    parts = [QUARANTINE_SCHEMA.empty_table()]
    for name in names if stage is None else [stage]:
        for file in sorted(folder.storage.listing(f"quarantine/{name}")):
            parts.append(read_quarantine(folder, f"quarantine/{name}/{file}"))
    return pa.concat_tables(parts)
