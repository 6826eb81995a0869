"""The commit protocol: a shard of a stage becomes visible whole, accounted for, or not at all.

1. The account is checked: every input row kept, dropped under a reason, or quarantined.
2. Every file is written beside its final name, flushed and read back.
3. Data files are renamed into place, then sidecars. A sidecar is the commit: what lies there without a
   matching one does not count, so a death between any two steps costs one shard's work at most.
4. Whoever comes second and finds the same shard committed throws its own work away.
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
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from relforge import __version__
from relforge.pipeline.errors import BrokenInvariant
from relforge.pipeline.run.plan import StagePlan
from relforge.pipeline.store.parquet import check_rows, content_hash, to_bytes
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMA_VERSION, SCHEMAS, conform

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


@dataclass(frozen=True)
class Circumstances:
    """What the sidecar tells about the making of a shard beyond its content.

    Args:
        fingerprint: of the shard.
        inputs: table -> content hash.
        rows_in: rows of the primary input (for ingest: records read).
        seconds: time spent so far on this attempt.
        attempt: 1 for the first.
        forced: replace an equal committed shard instead of yielding to it.
    """

    fingerprint: str
    inputs: Mapping[str, str]
    rows_in: int
    seconds: float
    attempt: int = 1
    forced: bool = False


def check_account(stage: StagePlan, shard: int, result: StageResult, rows_in: int) -> None:
    """Every record in exactly one place; BrokenInvariant names the difference."""
    dropped, quarantined = sum(result.dropped.values()), len(result.quarantined)
    rows = result.kept + dropped + quarantined
    if rows != rows_in or min([result.kept, *result.dropped.values()]) < 0:
        raise BrokenInvariant(
            f"stage {stage.name!r}, shard {shard}: {rows_in} rows in, but {result.kept} kept + {dropped} "
            f"dropped + {quarantined} quarantined = {rows}; the stage lost count"
        )
    if set(result.tables) != set(stage.outputs):
        raise BrokenInvariant(
            f"stage {stage.name!r} returned tables {sorted(result.tables)}, "
            f"it declares {sorted(stage.outputs)}"
        )


def commit(
    folder: RunFolder, stage: StagePlan, shard: int, result: StageResult, about: Circumstances
) -> tuple[dict[str, Sidecar], bool]:
    """Publish the output of one shard.

    Returns:
        table -> sidecar as committed, and whether it is ours (False: another process was first).

    Raises:
        BrokenInvariant: the account does not add up, or a table does not fit its schema.
        StorageError, OSError: nothing was committed; temporary files are gone.
    """
    check_account(stage, shard, result, about.rows_in)
    files: dict[str, bytes] = {}
    sidecars: dict[str, Sidecar] = {}
    for table in stage.outputs:
        try:
            rows = conform(table, result.tables[table])
        except ValueError as error:
            raise BrokenInvariant(f"stage {stage.name!r}, shard {shard}: {error}") from error
        files[table] = to_bytes(rows, _metadata(stage, table, shard, rows.num_rows, about))
        sidecars[table] = _sidecar(stage, table, shard, files[table], rows, result, about)

    storage = folder.storage
    with ExitStack() as undo:
        data, accounts = [], []
        for table in stage.outputs:
            check = partial(check_rows, rows=sidecars[table].rows_out)
            data.append(storage.stage(folder.data_path(table, shard), files[table], check))
            undo.callback(data[-1].discard)
            accounts.append(storage.stage(folder.sidecar_path(table, shard), sidecars[table].to_bytes()))
            undo.callback(accounts[-1].discard)
        with storage.lock(f"logs/locks/{stage.name}"):
            committed = folder.committed(stage.outputs, shard, about.fingerprint)
            if committed and not about.forced:
                return committed, False
            _publish_quarantine(folder, stage, shard, result, about.attempt)
            for table in stage.outputs:
                # a death before the new sidecar must not leave the old one vouching for new data
                storage.delete(folder.sidecar_path(table, shard))
            for pending in (*data, *accounts):
                pending.publish()
            undo.pop_all()
    return sidecars, True


def _metadata(stage: StagePlan, table: str, shard: int, rows: int, about: Circumstances) -> dict[str, str]:
    facts = {
        "stage": stage.name,
        "table": table,
        "shard": shard,
        "schema_version": SCHEMA_VERSION,
        "fingerprint": about.fingerprint,
        "inputs": json.dumps(dict(about.inputs), sort_keys=True),
        "rows_in": about.rows_in,
        "rows_out": rows,
        "code_version": __version__,
    }
    return {f"relforge.{name}": str(value) for name, value in facts.items()}


def _sidecar(
    stage: StagePlan,
    table: str,
    shard: int,
    data: bytes,
    rows: pa.Table,
    result: StageResult,
    about: Circumstances,
) -> Sidecar:
    return Sidecar(
        stage=stage.name,
        table=table,
        shard=shard,
        fingerprint=about.fingerprint,
        inputs=dict(about.inputs),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        content=content_hash(data, SCHEMAS[table], rows.num_rows),
        rows_in=about.rows_in,
        rows_out=rows.num_rows,
        kept=result.kept,
        dropped={reason: count for reason, count in sorted(result.dropped.items()) if count},
        quarantined=dict(sorted(Counter(item.reason for item in result.quarantined).items())),
        notes=result.notes,
        seconds=round(about.seconds, 4),
        finished=round(time.time(), 3),
        attempt=about.attempt,
        host=socket.gethostname(),
        pid=os.getpid(),
        code_version=__version__,
    )


def _publish_quarantine(
    folder: RunFolder, stage: StagePlan, shard: int, result: StageResult, attempt: int
) -> None:
    path = folder.quarantine_path(stage.name, shard)
    if not result.quarantined:
        folder.storage.delete(path)
        return
    rows = [
        {
            "stage": stage.name,
            "shard": shard,
            "image_id": None if (image := item.record.get("image_id")) is None else str(image),
            "record": json.dumps(dict(item.record), sort_keys=True, default=str),
            "reason": item.reason,
            "detail": item.detail,
            "attempt": attempt,
        }
        for item in result.quarantined
    ]
    table = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
    folder.storage.write(path, to_bytes(table, {"relforge.stage": stage.name}))
