"""Telling transient errors from defects, and keeping a record of each defect under `logs/failed`."""

from __future__ import annotations

import errno
import socket
import time
import traceback
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.pipeline.errors import BrokenInvariant, StageFailed
from relforge.pipeline.run.marks import Failure, read_mark
from relforge.pipeline.store.run_folder import FAILED, RunFolder
from relforge.redaction import redact
from relforge.stages.contract import Stage

_TRANSIENT = {
    errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ESTALE, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ENETRESET, errno.ECONNABORTED, errno.ECONNRESET, errno.ETIMEDOUT, errno.ECONNREFUSED,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EPIPE, errno.EMFILE, errno.ENFILE,
}  # fmt: skip
_CLIENTS = ("botocore.", "aiobotocore.", "aiohttp.", "s3fs.", "gcsfs.", "urllib3.")


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: network, storage or memory, but not the code or a missing file."""
    if isinstance(error, ConnectionError | TimeoutError | MemoryError):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT:
        return True
    return f"{type(error).__module__}.".startswith(_CLIENTS)


def write_failure(
    folder: RunFolder,
    stage_name: str,
    shard: int,
    attempt: int,
    error: Exception,
    stage: Stage | None = None,
    tables: Mapping[str, pa.Table] | None = None,
) -> StageFailed:
    """Store shard, record and traceback under `logs/failed`; returns the exception to raise.

    Args:
        stage, tables: when both are given, the record is searched by running the stage on ever smaller
            parts of the shard.
    """
    record = find_record(stage, tables) if stage and tables else None
    what = redact(f"{type(error).__name__}: {error}")
    value = {
        "stage": stage_name,
        "shard": shard,
        "attempt": attempt,
        "error": type(error).__name__,
        "message": redact(str(error)),
        "record": record,
        "traceback": redact("".join(traceback.format_exception(error))),
        "host": socket.gethostname(),
        "when": time.time(),
    }
    path = folder.failed_path(stage_name, shard)
    folder.write_json(path, value)
    folder.storage.delete(folder.running_path(stage_name, shard))
    where = f", image {record['image_id']}" if record else ""
    advice = f"see {folder.uri}/{path}, correct it and give the same command again"
    if isinstance(error, BrokenInvariant):
        return StageFailed(redact(f"{error}; {advice}"))
    return StageFailed(f"stage {stage_name!r} failed on shard {shard}{where} ({what}); {advice}")


def failures(uri: str) -> list[Failure]:
    """The failed attempts on record: stage, shard, attempt, error, message, record, traceback, host, when.

    Raises:
        RunError: not a run folder, or a damaged record, which it names.
    """
    folder = RunFolder(uri)
    folder.record()
    names = sorted(folder.storage.listing(FAILED))
    found = (read_mark(folder, f"{FAILED}/{name}", Failure) for name in names)
    return [one for one in found if one]


def find_record(stage: Stage, tables: Mapping[str, pa.Table]) -> dict[str, Any] | None:
    """The first image that makes the stage raise alone, with its primary rows; None when no single one
    does. Halving the shard costs about as much as one more pass over it."""
    primary = stage.inputs[0]
    images = pc.unique(tables[primary]["image_id"]).to_pylist()
    while len(images) > 1:
        half = images[: len(images) // 2]
        if not _raises(stage, tables, half):
            half = images[len(images) // 2 :]
            if not _raises(stage, tables, half):
                return None
        images = half
    if not images or not _raises(stage, tables, images):
        return None
    rows = tables[primary].filter(pc.is_in(tables[primary]["image_id"], pa.array(images)))
    shown = [
        name
        for name, kind in zip(rows.schema.names, rows.schema.types, strict=True)
        if not pa.types.is_binary(kind)
    ]
    return {"image_id": images[0], "rows": rows.select(shown).slice(0, 20).to_pylist()}


def _raises(stage: Stage, tables: Mapping[str, pa.Table], images: list[str]) -> bool:
    wanted = pa.array(images, pa.string())
    part = {
        name: rows.filter(pc.is_in(rows["image_id"], wanted)) if "image_id" in rows.column_names else rows
        for name, rows in tables.items()
    }
    try:
        stage.process(part)
    except Exception:
        return True
    return False
