"""The accounts of many shards of a table in one file, so that a large folder is read in few requests.

The sidecar stays the commit; this is a copy, made for speed. A row counts only while a listing shows the very
sidecar that it was made from: same size, same time of last change and inode, or the store's ETag. What was
changed, deleted or added since is read from its own file. A manifest that is absent, damaged or of another
version holds no rows: nothing but time is lost.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from relforge.pipeline.store.sidecar import Sidecar
from relforge.pipeline.store.storage import Stat, Storage

_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("sidecar", pa.string(), nullable=False),  # `mark` of the file
        pa.field("data", pa.string(), nullable=False),
        pa.field("account", pa.binary(), nullable=False),
    ],
    {b"relforge.manifest": b"1"},
)


class Row(NamedTuple):
    """A shard as it was when the manifest was written.

    Attributes:
        sidecar, data: `mark` of the two files; the second is that of a file which its sidecar describes.
        account: the sidecar, without white space and without fields that have their default.
    """

    sidecar: str
    data: str
    account: bytes


def manifest_path(table: str) -> str:
    """Where a table's manifest is: beside the folder of its sidecars, so that no listing of them has it."""
    return f"_state/{table}.parquet"


def mark(stat: Stat) -> str:
    """What has to be equal for a file to count as unchanged."""
    return f"{stat.size} {stat.modified} {stat.changed}"


def shorten(sidecar: bytes) -> bytes:
    """A sidecar in fewer bytes that `Sidecar.from_bytes` reads alike; ValueError when it is none."""
    Sidecar.from_bytes(sidecar)
    fields = json.loads(sidecar)
    kept = {name: value for name, value in fields.items() if value or name not in _EMPTY_BY_DEFAULT}
    return json.dumps(kept, separators=(",", ":")).encode()


def read_manifest(storage: Storage, table: str) -> dict[int, Row]:
    """shard -> row; empty when there is no manifest that can be read."""
    try:
        data = storage.read(manifest_path(table))
        rows = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return {}
    if not rows.schema.equals(_SCHEMA, check_metadata=False) or rows.schema.metadata != _SCHEMA.metadata:
        return {}
    shards, *columns = (column.to_numpy().tolist() for column in rows.columns)
    return dict(zip(shards, map(Row, *columns), strict=True))


def write_manifest(storage: Storage, table: str, rows: Mapping[int, Row]) -> None:
    """Publish the manifest of a table atomically."""
    shards = sorted(rows)
    columns = [[rows[shard][field] for shard in shards] for field in range(3)]
    arrays = [pa.array(values, field.type) for values, field in zip([shards, *columns], _SCHEMA, strict=True)]
    file = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=_SCHEMA),
        file,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
    )
    storage.write(manifest_path(table), file.getvalue())


_EMPTY_BY_DEFAULT = {
    "dropped", "quarantined", "notes", "seconds", "cpu_seconds", "gpu_seconds", "finished", "host", "pid",
    "code_version", "modified", "quarantine",
}  # fmt: skip
