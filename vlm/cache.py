"""Answers kept by what was asked: the same cache gives the same answers, and nothing is asked twice.

A file of the folder is a segment: JSON lines, written by one worker for one attempt at a shard, flushed every
few answers, so that a worker that dies loses those few. All segments together are the cache; of answers to
one request the first that was written counts.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any, NamedTuple

from relforge.vlm.append import AppendFolder, whole_lines, writer_name
from relforge.vlm.client import Answer, Request, Usage
from relforge.vlm.seed import derive_seed

PROTOCOL = 1
"""Part of every key: raise it when the same request would be sent otherwise."""
FLUSH_EVERY = 8
"""Answers that a death may lose."""
_SEGMENTS_IN_MEMORY = 8


def request_key(request: Request, model: str, server: str, seed: int, schema_mode: str) -> str:
    """Hexadecimal sha256 of all that decides an answer; images by their source and what was made of it.

    Args:
        model: as asked for.
        server: the user's label of who runs it.
        seed: of the run.
        schema_mode: the option `schema`; part of the key where the request has a schema.
    """
    what = {
        "protocol": PROTOCOL,
        "model": model,
        "server": server,
        "role": request.role,
        "system": request.system,
        "views": [[view.source_hash, view.recipe] for view in request.views],
        "text": request.text,
        "sampling": asdict(request.sampling),
        "words": list(request.words),
        "schema": request.schema,
        "schema_mode": schema_mode if request.schema is not None else None,
        "sample": request.sample,
        "seed": derive_seed(seed, request),
    }
    return _hash(what)


def notes_key(model: str, server: str, wanted: Mapping[str, Any]) -> str:
    """Key of what was found of a server when it was looked at for what a stage wants of it."""
    return _hash({"protocol": PROTOCOL, "notes_of": [model, server], "wanted": dict(wanted)})


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()


class _Place(NamedTuple):
    """Where a record is, and what decides whether it counts."""

    failed: bool
    written: float
    segment: str
    start: int
    length: int


class Cache:
    """Args:
    folder: of the segments; shared by all workers, by several runs where the user wants that.
    name: begins the names of this worker's segments.
    """

    def __init__(self, folder: AppendFolder, name: str) -> None:
        self.folder, self._name = folder, name
        self._places: dict[bytes, _Place] = {}
        self._seen: dict[str, int] = {}
        self._texts: OrderedDict[str, bytes] = OrderedDict()
        self._segment = ""
        self._waiting: list[tuple[str, Any, bytes]] = []
        self._lines: dict[bytes, bytes] = {}
        """Own records: (key digest) -> line, until the segment is ended."""

    def refresh(self) -> None:
        """Look at what other workers wrote since the last time."""
        for name, size in sorted(self.folder.listing().items()):
            start = self._seen.get(name, 0)
            if name.endswith(".jsonl") and size > start:
                self._scan(name, start)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key; None where there is none."""
        digest = bytes.fromhex(key)
        if own := self._lines.get(digest):
            return _record(own)
        place = self._places.get(digest)
        if place is None:
            return None
        return _record(self._text(place.segment)[place.start : place.start + place.length])

    def begin(self) -> None:
        """Begin a segment: of one attempt at a shard."""
        self._segment = f"{self._name}-{writer_name()}.jsonl"

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a record; it is on storage after the next flush."""
        record = {"key": key, "time": time.time(), **value}
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        self._waiting.append((key, record, line))
        if len(self._waiting) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self.folder.append(self._segment, b"".join(line for _, _, line in waiting))
            self._lines |= {bytes.fromhex(key): line for key, _, line in waiting}

    def end(self) -> None:
        """Flush, and read from storage from now on."""
        self.flush()
        self._lines.clear()
        self._texts.clear()
        self.refresh()

    def _scan(self, name: str, start: int) -> None:
        data = self.folder.read(name, start)
        place = start
        for line in whole_lines(data):
            if record := _record(line):
                failed = record.get("answer", {}).get("verdict") == "server_error"
                found = _Place(failed, record["time"], name, place, len(line))
                digest = bytes.fromhex(record["key"])
                known = self._places.get(digest)
                # an answer takes the place of a server's fault, whenever it came
                if known is None or found[:3] < known[:3]:
                    self._places[digest] = found
            place += len(line) + 1
        self._seen[name] = place
        self._texts.pop(name, None)

    def _text(self, name: str) -> bytes:
        """A segment; answers of a shard mostly lie in one."""
        if name not in self._texts:
            self._texts[name] = self.folder.read(name)
            if len(self._texts) > _SEGMENTS_IN_MEMORY:
                self._texts.popitem(last=False)
        self._texts.move_to_end(name)
        return self._texts[name]


def to_record(answer: Answer) -> dict[str, Any]:
    """JSON-able form of an answer."""
    record = asdict(answer)
    record["words"] = dict(answer.words)
    record["usage"] = list(answer.usage) if answer.usage else None
    return record


def from_record(record: Mapping[str, Any]) -> Answer:
    """The answer that `to_record` made."""
    usage = record["usage"]
    return Answer(**{**record, "usage": Usage(*usage) if usage else None})


def _record(line: bytes) -> dict[str, Any] | None:
    """A line's record; None where it is none."""
    try:
        record: dict[str, Any] = json.loads(line)
        bytes.fromhex(record["key"])
        float(record["time"])
    except (ValueError, KeyError, TypeError):
        return None
    return record
