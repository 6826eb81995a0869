"""The small files under `logs`, which say what goes on: read with their types checked, since a crash of the
machine may leave any of them empty or cut."""

from __future__ import annotations

from typing import Any, TypedDict, TypeVar

import msgspec

from relforge.pipeline.errors import RunError
from relforge.pipeline.store.run_folder import FAILED, RUNNING, RunFolder

DRIVERS = "logs/drivers"
WAITING = "logs/waiting.json"


class Heartbeat(TypedDict):
    """`logs/drivers/<id>.json`."""

    host: str
    pid: int
    started: float
    beat: float


class Running(TypedDict):
    """`logs/running/<stage>-00042.json`."""

    attempt: int
    host: str
    pid: int
    started: float


class Failure(TypedDict):
    """`logs/failed/<stage>-00042.json`."""

    stage: str
    shard: int
    attempt: int
    error: str
    message: str
    record: dict[str, Any] | None
    traceback: str
    host: str
    when: float


class Waiting(TypedDict):
    """`logs/waiting.json`: what a driver's cluster does not have, one sentence each."""

    driver: str
    waits: list[str]
    since: float


Mark = TypeVar("Mark", Heartbeat, Running, Failure, Waiting)


def read_mark(folder: RunFolder, path: str, kind: type[Mark]) -> Mark | None:
    """A file under `logs`; None when it is absent. RunError names it when it is damaged."""
    value = folder.read_json(path)
    if value is None:
        return None
    try:
        return msgspec.convert(value, kind)
    except ValueError as error:
        raise folder.damaged(path, str(error)) from error


def try_mark(folder: RunFolder, path: str, kind: type[Mark]) -> Mark | None:
    """A file under `logs`; None when it is absent or damaged."""
    try:
        return read_mark(folder, path, kind)
    except RunError:
        return None


def find_damaged_marks(folder: RunFolder) -> list[str]:
    """One sentence for each damaged file under `logs`: which it is, and what to do."""
    found = []
    kinds: tuple[tuple[str, Any], ...] = ((DRIVERS, Heartbeat), (RUNNING, Running), (FAILED, Failure))
    for place, kind in kinds:
        for name in sorted(folder.storage.listing(place)):
            try:
                read_mark(folder, f"{place}/{name}", kind)
            except RunError as error:
                found.append(str(error))
    return found
