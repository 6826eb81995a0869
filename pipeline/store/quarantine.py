"""Records that a stage set aside: written with the shard's commit, read back for people."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from relforge.pipeline.errors import RunError
from relforge.pipeline.store.parquet import to_bytes
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.storage import Storage
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


def write_quarantine(
    folder: RunFolder, stage: str, shard: int, records: Sequence[Quarantined], attempt: int
) -> None:
    """Replace a shard's file of quarantined records; without any, the file is deleted."""
    path = folder.quarantine_path(stage, shard)
    if not records:
        folder.storage.delete(path)
        return
    rows = [
        {
            "stage": stage,
            "shard": shard,
            "image_id": None if (image := item.record.get("image_id")) is None else str(image),
            "record": json.dumps(dict(item.record), sort_keys=True, default=str),
            "reason": item.reason,
            "detail": item.detail,
            "attempt": attempt,
        }
        for item in records
    ]
    table = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
    folder.storage.write(path, to_bytes(table, {"relforge.stage": stage}))


def quarantined(uri: str, stage: str | None = None, storage: Storage | None = None) -> pa.Table:
    """Every quarantined record of a run (or one stage), in `QUARANTINE_SCHEMA`.

    Raises:
        RunError: not a run folder, or no such stage.
    """
    folder = RunFolder(uri, storage)
    names = [step["name"] for step in folder.record()["steps"]]
    if stage is not None and stage not in names:
        raise RunError(f"this run has no stage {stage!r}; it has {', '.join(names)}")
    parts = [QUARANTINE_SCHEMA.empty_table()]
    for name in names if stage is None else [stage]:
        for file in sorted(folder.storage.listing(f"quarantine/{name}")):
            data = folder.storage.read(f"quarantine/{name}/{file}")
            parts.append(pq.read_table(pa.BufferReader(data)).replace_schema_metadata(None))
    return pa.concat_tables(parts)
