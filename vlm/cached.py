"""A client that asks another one only what nobody was answered before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from relforge.vlm.budget import Ledger
from relforge.vlm.cache import Cache, from_record, notes_key, request_key, to_record
from relforge.vlm.client import Answer, Client, Request, VlmError

_MAX_READY = 64
"""Kept answers that wait, pixels and all, while the other client is still at work on earlier requests."""


class CachedClient:
    """Args:
    client: who answers what is not kept.
    cache: the kept answers.
    ledger: told of every answer that was really asked for.
    model: as asked for.
    server: label of who runs it.
    weights: files of a model in process, whose content is part of the label.
    seed: of the run.
    schema_mode: the option `schema`.
    wanted: what the stage wants of a server; part of the key of what was found there.
    cache_only: never ask; a server's fault that was kept counts too.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        ledger: Ledger,
        *,
        model: str,
        server: str = "",
        weights: Sequence[str] = (),
        seed: int = 0,
        schema_mode: str = "auto",
        wanted: Mapping[str, Any] | None = None,
        cache_only: bool = False,
    ) -> None:
        self._client, self._cache, self._ledger = client, cache, ledger
        self._model, self._server, self._seed, self._schema_mode = model, server, seed, schema_mode
        self._weights, self._wanted = weights, wanted or {}
        self._cache_only = cache_only
        self._notes: Mapping[str, Any] | None = None
        self._is_set_up = False

    def files(self) -> Sequence[str]:
        return self._client.files()

    def setup(self) -> None:
        """Take what is kept of the server; where nothing is, look at the server itself.

        Raises:
            VlmError, ConnectionError: see `Client.setup`.
        """
        if self._weights:
            self._server = " ".join(filter(None, (self._server, _hash_files(self._weights))))
        self._notes_key = notes_key(self._model, self._server, self._wanted)
        self._cache.refresh()
        if kept := self._cache.get(self._notes_key):
            self._notes = kept["notes"]
        elif self._cache_only:
            self._notes = {}
        else:
            self._set_up()

    def notes(self) -> Mapping[str, Any]:
        """What was found of the server when it was first looked at."""
        return self._notes or {}

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        """Kept answers as they are; the others are asked for, and kept before they are given.

        Raises:
            VlmError: with `cache_only`, an answer that is not kept.
            BudgetSpent: `max_cost` was spent before the first request that would cost something.
            ConnectionError: see `Client.ask`.
        """
        self._cache.refresh()
        self._cache.begin()
        source = iter(requests)
        try:
            for request in source:
                key = self._key(request)
                if kept := self._kept(key):
                    yield request, kept
                    continue
                self._may_ask(request)
                yield from self._ask_from(request, source)
        finally:
            self._cache.end()
            self._ledger.flush()

    def _ask_from(self, first: Request, source: Iterator[Request]) -> Iterator[tuple[Request, Answer]]:
        """Hand requests on, from one that is not kept; kept ones between them are answered in passing."""
        ready: list[tuple[Request, Answer]] = []

        def missing() -> Iterator[Request]:
            yield first
            for request in source:
                if kept := self._kept(self._key(request)):
                    ready.append((request, kept))
                    if len(ready) >= _MAX_READY:
                        return
                else:
                    yield request

        for request, answer in self._client.ask(missing()):
            self._cache.put(self._key(request), {"answer": to_record(answer), "server": self._server})
            self._ledger.count(answer.usage)
            yield request, answer
            yield from ready
            ready.clear()
        yield from ready

    def _may_ask(self, request: Request) -> None:
        if self._cache_only:
            raise VlmError(
                f"cache_only: {self._cache.folder.root} has no answer to request {request.request_id!r} of "
                f"image {request.image_id!r}; set cache_only to false to ask for it"
            )
        self._ledger.check()
        if not self._is_set_up:
            self._set_up()

    def _set_up(self) -> None:
        self._client.setup()
        self._is_set_up = True
        self._cache.begin()
        if not self._cache.get(self._notes_key):
            self._cache.put(self._notes_key, {"notes": dict(self._client.notes())})
            self._cache.flush()
        if self._notes is None:
            self._notes = dict(self._client.notes())
        self._ledger.flush()

    def _kept(self, key: str) -> Answer | None:
        record = self._cache.get(key)
        if record is None or "answer" not in record:
            return None
        answer = from_record(record["answer"])
        return None if answer.verdict == "server_error" and not self._cache_only else answer

    def _key(self, request: Request) -> str:
        return request_key(request, self._model, self._server, self._seed, self._schema_mode)


def _hash_files(paths: Sequence[str]) -> str:
    """What the files hold, by name: a model that was trained further is another one."""
    whole = sha256()
    for path in sorted(paths):
        with open(path, "rb") as file:
            whole.update(f"{Path(path).name} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
