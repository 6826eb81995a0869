"""The accounts of many shards of a table in one file, so that a large folder is read in few requests.

The sidecar stays the commit; this is a copy, made for speed. A row counts only while a listing shows the very
files that it was made from: same size, same time of last change and inode, or the store's ETag. What was
changed, deleted or added since is read from its own file. A manifest that is absent, damaged or of another
version holds no rows: nothing but time is lost.

What decides whether a shard is done, and what is added up, are columns: they are compared and summed whole,
without an object a shard. The whole account is there for who asks for it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relforge.pipeline.store.counts import count
from relforge.pipeline.store.files import Parts
from relforge.pipeline.store.sidecar import Sidecar
from relforge.pipeline.store.storage import Storage

SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("sidecar", pa.string(), nullable=False),  # `mark` of the file
        pa.field("data", pa.string(), nullable=False),  # of the file that it describes
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("finished", pa.float64(), nullable=False),
        pa.field("counts", pa.map_(pa.string(), pa.int64()), nullable=False),  # `counts.count`
        pa.field("quarantine_size", pa.int64()),  # null: not recorded, by earlier versions
        pa.field("quarantine_modified", pa.string()),
        pa.field("quarantine_content", pa.string()),
        pa.field("account", pa.binary(), nullable=False),  # the sidecar, without fields of default value
    ],
    {b"relforge.manifest": b"2"},
)
COLUMNS = [name for name in SCHEMA.names if name != "account"]
"""Without the whole accounts, which are most of the bytes."""
_COUNT_NAME = "counts.key_value.key"


@dataclass(frozen=True)
class Row:
    """A shard as it was when the manifest was written.

    Args:
        sidecar, data: `mark` of the two files.
        content: of the sidecar.
        account: the same, read.
    """

    sidecar: str
    data: str
    content: bytes
    account: Sidecar

    def to_values(self) -> tuple[Any, ...]:
        """In the order of `SCHEMA`."""
        account, aside = self.account, self.account.quarantine
        return (
            account.shard,
            self.sidecar,
            self.data,
            account.fingerprint,
            account.content,
            account.finished,
            list(count(account).items()),
            *((aside.size, aside.modified, aside.content) if aside else (None, None, None)),
            _shorten(self.content),
        )


def manifest_path(table: str) -> str:
    """Where a table's manifest is: beside the folder of its sidecars, so that no listing of them has it."""
    return f"_state/{table}.parquet"


def read_manifest(storage: Storage, table: str, columns: list[str] = COLUMNS) -> pa.Table:
    """Its rows, by shard; none when there is no manifest that can be read."""
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    try:
        file = pq.ParquetFile(
            io.BytesIO(storage.read(manifest_path(table))),
            # the same few names in each row; a manifest that is written anew has them as texts
            read_dictionary=[_COUNT_NAME] if "account" not in columns else None,
            page_checksum_verification=True,
        )
        found = file.metadata.schema.to_arrow_schema()
        if not found.equals(SCHEMA, check_metadata=False) or found.metadata != SCHEMA.metadata:
            return schema.empty_table()
        rows = file.read(columns=columns, use_threads=False).combine_chunks()
    except (OSError, pa.ArrowException):
        return schema.empty_table()
    if (np.diff(rows["shard"].to_numpy()) <= 0).any():
        return schema.empty_table()
    return rows.replace_schema_metadata(None)


def make_rows(rows: Sequence[Row]) -> pa.Table:
    """Rows in `SCHEMA`, in this order; those with numbers that no column holds are left out."""
    values = [row.to_values() for row in rows]
    columns = zip(*values, strict=True) if values else [()] * len(SCHEMA)
    try:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    except (OverflowError, pa.ArrowException):
        halves = (rows[: len(rows) // 2], rows[len(rows) // 2 :]) if len(rows) > 1 else ()
        return pa.concat_tables([SCHEMA.empty_table(), *map(make_rows, halves)])
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write_manifest(storage: Storage, table: str, rows: pa.Table) -> None:
    """Publish the manifest of a table atomically.

    Args:
        rows: in `SCHEMA`, in any order.
    """
    file = io.BytesIO()
    pq.write_table(
        rows.sort_by("shard").cast(SCHEMA).replace_schema_metadata(SCHEMA.metadata),
        file,
        compression="zstd",
        use_dictionary=[_COUNT_NAME],
        write_page_checksum=True,
    )
    storage.write(manifest_path(table), file.getvalue())


def find_unchanged(rows: pa.Table, state: Parts, data: Parts) -> np.ndarray:
    """Which rows were made from the very sidecars and data files that are there."""
    shards = rows["shard"].to_numpy().astype(np.int64)
    same = state.agree(shards, rows["sidecar"].combine_chunks())
    return same & data.agree(shards, rows["data"].combine_chunks())


def _shorten(sidecar: bytes) -> bytes:
    """A sidecar in fewer bytes that `Sidecar.from_bytes` reads alike."""
    fields = json.loads(sidecar)
    kept = {name: value for name, value in fields.items() if value or name not in _EMPTY_BY_DEFAULT}
    return json.dumps(kept, separators=(",", ":")).encode()


_EMPTY_BY_DEFAULT = {
    "dropped", "quarantined", "notes", "seconds", "cpu_seconds", "gpu_seconds", "finished", "host", "pid",
    "code_version", "modified", "quarantine",
}  # fmt: skip
