"""Records that a stage set aside: a file of the shard's commit, checked like its data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import pyarrow as pa

from relforge.pipeline.errors import RunError
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
