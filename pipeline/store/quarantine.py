"""Reading what was set aside and what failed."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relforge.pipeline.run.plan import Plan
from relforge.pipeline.store.commit import QUARANTINE_SCHEMA
from relforge.pipeline.store.run_folder import FAILED, RunFolder
from relforge.pipeline.store.storage import Storage


def quarantined(uri: str, stage: str | None = None, storage: Storage | None = None) -> pa.Table:
    """Every quarantined record of a run (or one stage), in `commit.QUARANTINE_SCHEMA`.

    Raises:
        RunError: not a run folder, or no such stage.
    """
    folder = RunFolder(uri, storage)
    plan = Plan.from_record(folder.record())
    names = [plan.step(stage).name] if stage else [step.name for step in plan.steps]
    parts = [QUARANTINE_SCHEMA.empty_table()]
    for name in names:
        for file in sorted(folder.storage.listing(f"quarantine/{name}")):
            data = folder.storage.read(f"quarantine/{name}/{file}")
            parts.append(pq.read_table(pa.BufferReader(data)).replace_schema_metadata(None))
    return pa.concat_tables(parts)


def failures(uri: str, storage: Storage | None = None) -> list[dict[str, Any]]:
    """The failed attempts on record: stage, shard, attempt, error, message, record, traceback, host, when.

    Raises:
        RunError: not a run folder.
    """
    folder = RunFolder(uri, storage)
    folder.record()
    return [
        json.loads(folder.storage.read(f"{FAILED}/{name}")) for name in sorted(folder.storage.listing(FAILED))
    ]
