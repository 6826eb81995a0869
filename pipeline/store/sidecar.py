"""The account of a data file, which makes it count as committed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True)
class QuarantineFile:
    """What a sidecar records about its shard's file of quarantined records.

    Args:
        size: its bytes; 0 when the shard has none.
        sha256: of every byte.
        content: hash of the records without the number of the attempt, so that the same records count as
            equal whenever they were set aside.
        modified: as in `Sidecar`.
    """

    size: int = 0
    sha256: str = ""
    content: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Sidecar:
    """What `part-00042.json` records about `part-00042.parquet`.

    Args:
        stage, table, shard: whose output it is.
        fingerprint: of everything that decided the content (`fingerprint.shard_fingerprint`).
        inputs: table -> content hash of the shards it was made from.
        sha256, size: of the data file, every byte.
        content: hash of rows and schema alone (`parquet.content_hash`).
        rows_in: rows of the primary input.
        rows_out: rows of this table.
        kept, dropped, quarantined: where the input rows went; the last two by reason.
        notes: facts the stage wanted to keep.
        seconds: reading, processing and writing. The commit itself is not in it.
        cpu_seconds: of the worker's process, all threads, in that time; 0 by earlier versions.
        gpu_seconds: `seconds` times the GPUs that the stage reserves for a worker.
        finished: seconds since the epoch.
        attempt: 1 for the first try in its run.
        host, pid, code_version: the writer.
        modified: the data file's `Stat.modified`; empty where it was not known, or by earlier versions.
        quarantine: the file of quarantined records; None by earlier versions, which did not record it.
    """

    stage: str
    table: str
    shard: int
    fingerprint: str
    inputs: dict[str, str]
    sha256: str
    size: int
    content: str
    rows_in: int
    rows_out: int
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    finished: float = 0.0
    attempt: int = 1
    host: str = ""
    pid: int = 0
    code_version: str = ""
    modified: str = ""
    quarantine: QuarantineFile | None = None

    def to_bytes(self) -> bytes:
        """The file's content."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Sidecar:
        """Read a sidecar; ValueError when it is not one."""
        try:
            return _DECODER.decode(data)
        except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors that name the field
            raise ValueError(f"not a sidecar ({error})") from error


_DECODER = msgspec.json.Decoder(Sidecar)
