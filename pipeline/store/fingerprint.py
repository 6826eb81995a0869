"""Fingerprints: equal when, and only when, a shard would come out the same.

A stage has one key for the whole run (its name, version, options and files); a shard's fingerprint adds
the content of its input shards. So `status` needs `run.json` and sidecars alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from relforge.stages.tables import SCHEMA_VERSION, TableSpec


def stage_key(
    name: str,
    version: int,
    backend: str,
    options: Mapping[str, Any],
    file_hashes: Mapping[str, str],
    neutral: Sequence[str] = (),
    schemas: Mapping[str, TableSpec] | None = None,
) -> str:
    """The part of the fingerprint that all shards of a stage share.

    Args:
        name, version, backend: as in the stage.
        options: its resolved options. A value that is the path of one of `file_hashes` counts by the
            file's content, so that a run continues after its files moved.
        file_hashes: path -> content hash, in the order of `Stage.files`.
        neutral: options that cannot change the output (batch size, device), left out.
        schemas: tables that the stage declares itself; the built-in ones count by `SCHEMA_VERSION`.
    """
    payload = {
        "schema": SCHEMA_VERSION,
        "stage": name,
        "version": version,
        "backend": backend,
        "options": {k: _by_content(v, file_hashes) for k, v in options.items() if k not in neutral},
        "files": list(file_hashes.values()),
    }
    if schemas:
        payload["tables"] = {name: spec.to_record() for name, spec in schemas.items()}
    return _digest(payload)


def shard_fingerprint(key: str, inputs: Mapping[str, str]) -> str:
    """Fingerprint of one shard of a stage, from the stage's key and table -> content hash."""
    return _digest({"key": key, "inputs": dict(inputs)})


def ingest_fingerprint(key: str, shard: int) -> str:
    """Fingerprint of one ingested shard: the source's key and the position in its stream."""
    return _digest({"key": key, "shard": shard})


def dataset_hash(contents: Mapping[str, Mapping[int, str]]) -> str:
    """One hash for all data of a run: table -> shard -> content hash."""
    return _digest({table: sorted(shards.items()) for table, shards in contents.items()})


def _by_content(value: object, file_hashes: Mapping[str, str]) -> object:
    if isinstance(value, str) and value in file_hashes:
        return f"content:{file_hashes[value]}"
    if isinstance(value, Mapping):
        return {k: _by_content(v, file_hashes) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_by_content(v, file_hashes) for v in value]
    return value


def _digest(payload: object) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()
