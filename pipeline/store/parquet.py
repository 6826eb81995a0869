"""Shards as Parquet bytes that are the same whenever the rows are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

_TAIL = 8  # footer length (4 bytes, little endian) and the magic PAR1

_HARDLY_REPEAT = {"image_id", "source_id", "relation_id", "uri", "text"}
"""Text whose dictionary would be as long as the column, and read as a whole before the first row."""

_PAGE = 64 << 10
"""Bytes of a column that are unpacked for its first rows."""


def to_bytes(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """One Parquet file, with `metadata` as its key-value metadata. Nothing in it depends on time."""
    sink = pa.BufferOutputStream()
    plain = table.replace_schema_metadata(dict(metadata)).combine_chunks()
    words = [f.name for f in plain.schema if pa.types.is_string(f.type) and f.name not in _HARDLY_REPEAT]
    layout = {"use_dictionary": words, "data_page_size": _PAGE}
    pq.write_table(plain, sink, compression="zstd", version="2.6", **layout)
    return sink.getvalue().to_pybytes()


def content_hash(data: bytes, schema: pa.Schema, rows: int) -> str:
    """SHA-256 over rows and schema, without the footer.

    The footer carries fingerprints and the code version; two shards with equal rows must count as
    equal whatever made them, so that what descends from them need not be redone.
    """
    footer = int.from_bytes(data[-_TAIL:-4], "little")
    digest = hashlib.sha256(memoryview(data)[: len(data) - _TAIL - footer])
    digest.update(f"{rows}\n{schema.to_string()}".encode())
    return digest.hexdigest()


def check_rows(data: bytes, rows: int) -> None:
    """Read the footer of a file, of which `data` may be the end alone.

    Raises:
        ValueError: it is not that of a Parquet file of so many rows.
    """
    try:
        found = pq.ParquetFile(pa.BufferReader(data)).metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not readable as Parquet: {error}") from error
    if found != rows:
        raise ValueError(f"{found} rows instead of {rows}")


def footer_size(tail: bytes) -> int:
    """Bytes of the footer of a file that ends in `tail`, its length and magic included.

    Raises:
        ValueError: it does not end as a Parquet file does.
    """
    if len(tail) < _TAIL or tail[-4:] != b"PAR1":
        raise ValueError("it does not end as a Parquet file does")
    return int.from_bytes(tail[-_TAIL:-4], "little") + _TAIL


def from_bytes(data: bytes, schema: pa.Schema) -> pa.Table:
    """The rows of a shard whose table has that schema.

    Raises:
        ValueError: not Parquet, a short column, or a schema of another version.
    """
    try:
        # a worker has about one CPU: handing columns to a thread pool only costs
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not readable as Parquet ({error})") from error
    if not table.schema.equals(schema):
        raise ValueError(f"its columns are {table.schema.names}, expected {schema.names}")
    return table
