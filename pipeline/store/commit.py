"""The commit protocol: a shard of a stage becomes visible whole, accounted for, or not at all.

1. The account is checked: every input row kept, dropped under a reason, or quarantined.
2. Every file is written beside its final name, flushed and read back.
3. The file of quarantined records is renamed into place, then data files, then sidecars, which record the
   hashes of both. A sidecar is the commit: data without a matching one
   does not count, so a death between any two steps costs one shard's work at most.
4. Of two processes that made the same shard, the second discards its work.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from relforge import __version__
from relforge.pipeline.errors import BrokenInvariant
from relforge.pipeline.store.parquet import check_rows, content_hash, to_bytes
from relforge.pipeline.store.quarantine import quarantine_bytes
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMA_VERSION, TableSpec, conform


@dataclass(frozen=True)
class CommitContext:
    """What a commit needs beside the rows.

    Args:
        stage: name of the stage.
        tables: the tables it writes, in order.
        fingerprint: of the shard.
        inputs: table -> content hash.
        rows_in: rows of the primary input (for ingest: records read).
        seconds: time spent so far on this attempt.
        attempt: 1 for the first.
        forced: replace an equal committed shard instead of keeping it.
        cpu_seconds, gpu_seconds: as in `Sidecar`.
    """

    stage: str
    tables: Mapping[str, TableSpec]
    fingerprint: str
    inputs: Mapping[str, str]
    rows_in: int
    seconds: float
    attempt: int = 1
    forced: bool = False
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0


def check_account(shard: int, result: StageResult, context: CommitContext) -> None:
    """Every record in exactly one place; BrokenInvariant names the difference."""
    dropped, quarantined = sum(result.dropped.values()), len(result.quarantined)
    rows = result.kept + dropped + quarantined
    if rows != context.rows_in or min([result.kept, *result.dropped.values()]) < 0:
        raise BrokenInvariant(
            f"stage {context.stage!r}, shard {shard}: {context.rows_in} rows in, but {result.kept} kept + "
            f"{dropped} dropped + {quarantined} quarantined = {rows}; the stage lost count"
        )
    if set(result.tables) != set(context.tables):
        raise BrokenInvariant(
            f"stage {context.stage!r} returned tables {sorted(result.tables)}, "
            f"it declares {sorted(context.tables)}"
        )


def commit(
    folder: RunFolder, shard: int, result: StageResult, context: CommitContext
) -> tuple[dict[str, Sidecar], bool]:
    """Publish the output of one shard.

    Returns:
        table -> sidecar as committed, and whether it is ours (False: another process was first).

    Raises:
        BrokenInvariant: the account does not add up, or a table does not fit its schema.
        StorageError, OSError: nothing was committed; temporary files are gone.
    """
    check_account(shard, result, context)
    files: dict[str, bytes] = {}
    sidecars: dict[str, Sidecar] = {}
    for table, spec in context.tables.items():
        try:
            rows = conform(table, result.tables[table], spec)
        except ValueError as error:
            raise BrokenInvariant(f"stage {context.stage!r}, shard {shard}: {error}") from error
        files[table] = to_bytes(rows, _metadata(table, shard, rows.num_rows, context))
        sidecars[table] = _sidecar(table, shard, files[table], rows, result, context)

    storage = folder.storage
    with ExitStack() as undo:
        data, accounts = [], []
        path = folder.quarantine_path(context.stage, shard)
        aside, quarantine = quarantine_bytes(context.stage, shard, result.quarantined, context.attempt)
        if aside:
            data.append(storage.stage(path, aside, partial(check_rows, rows=len(result.quarantined))))
            undo.callback(data[-1].discard)
            quarantine = replace(quarantine, modified=data[-1].modified)
        for table in context.tables:
            check = partial(check_rows, rows=sidecars[table].rows_out)
            data.append(storage.stage(folder.data_path(table, shard), files[table], check))
            undo.callback(data[-1].discard)
            sidecars[table] = replace(sidecars[table], modified=data[-1].modified, quarantine=quarantine)
            accounts.append(storage.stage(folder.sidecar_path(table, shard), sidecars[table].to_bytes()))
            undo.callback(accounts[-1].discard)
        with storage.lock(f"logs/locks/{context.stage}"):
            committed = folder.committed(context.tables, shard, context.fingerprint)
            if committed and not context.forced:
                return committed, False
            for table in context.tables:
                # a death before the new sidecar is there must not leave the old one beside new data
                folder.delete_sidecar(table, shard)
            if not aside:
                storage.delete(path)
            for pending in (*data, *accounts):
                pending.publish()
            undo.pop_all()
    return sidecars, True


def _metadata(table: str, shard: int, rows: int, context: CommitContext) -> dict[str, str]:
    facts = {
        "stage": context.stage,
        "table": table,
        "shard": shard,
        "schema_version": SCHEMA_VERSION,
        "fingerprint": context.fingerprint,
        "inputs": json.dumps(dict(context.inputs), sort_keys=True),
        "rows_in": context.rows_in,
        "rows_out": rows,
        "code_version": __version__,
    }
    return {f"relforge.{name}": str(value) for name, value in facts.items()}


def _sidecar(
    table: str, shard: int, data: bytes, rows: pa.Table, result: StageResult, context: CommitContext
) -> Sidecar:
    return Sidecar(
        stage=context.stage,
        table=table,
        shard=shard,
        fingerprint=context.fingerprint,
        inputs=dict(context.inputs),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        content=content_hash(data, context.tables[table].schema, rows.num_rows),
        rows_in=context.rows_in,
        rows_out=rows.num_rows,
        kept=result.kept,
        dropped={reason: count for reason, count in sorted(result.dropped.items()) if count},
        quarantined=dict(sorted(Counter(item.reason for item in result.quarantined).items())),
        notes=result.notes,
        seconds=round(context.seconds, 4),
        cpu_seconds=round(context.cpu_seconds, 4),
        gpu_seconds=round(context.gpu_seconds, 4),
        finished=round(time.time(), 3),
        attempt=context.attempt,
        host=socket.gethostname(),
        pid=os.getpid(),
        code_version=__version__,
    )
