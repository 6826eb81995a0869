"""Fingerprints: equal when, and only when, a shard would come out the same.

A stage has one key for the whole run (its name, version, options and files); a shard's fingerprint adds
the content of its input shards. So `status` needs `run.json` and sidecars alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Any

from relforge.stages.tables import SCHEMA_VERSION, TableSpec

_PIECE = 10_000


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


def shard_fingerprints(key: str, inputs: Mapping[str, Sequence[str | None]]) -> list[str]:
    """`shard_fingerprint` of many shards, without an object for each.

    Args:
        inputs: table -> content hash of each shard; None, where it has none, gives no fingerprint of use.
    """
    tables = sorted(inputs)
    end = f'}}, "key": {json.dumps(key)}}}'
    if len(tables) == 1:
        start = f'{{"inputs": {{{json.dumps(tables[0])}: '
        texts = (start + encode_basestring_ascii(content or "") + end for content in inputs[tables[0]])
    else:
        form = ", ".join(f"{json.dumps(table).replace('%', '%%')}: %s" for table in tables)
        quoted = ([encode_basestring_ascii(content or "") for content in inputs[table]] for table in tables)
        texts = ('{"inputs": {' + form % contents + end for contents in zip(*quoted, strict=True))
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def ingest_fingerprints(key: str, count: int) -> list[str]:
    """`ingest_fingerprint` of the shards 0 to `count` - 1."""
    start = f'{{"key": {json.dumps(key)}, "shard": '
    return [hashlib.sha256(f"{start}{shard}}}".encode()).hexdigest() for shard in range(count)]


def dataset_hash(contents: Mapping[str, Callable[[], Iterable[tuple[int, str]]]]) -> str:
    """One hash for all data of a run.

    Args:
        contents: table -> pairs of shard and content hash, by shard; one table's are in memory at a time.
    """
    # in pieces, since the text is long: that of `_digest` of a dictionary of lists of pairs
    digest = hashlib.sha256(b"{")
    for number, table in enumerate(sorted(contents)):
        digest.update(f"{', ' if number else ''}{json.dumps(table)}: [".encode())
        between = ""
        pairs = iter(contents[table]())
        while piece := list(islice(pairs, _PIECE)):
            digest.update((between + json.dumps(piece)[1:-1]).encode())
            between = ", "
        digest.update(b"]")
    digest.update(b"}")
    return digest.hexdigest()


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
