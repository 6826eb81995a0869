"""The numbers that a format has in place of names, so that every export of a source has the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from relforge.stages.export.scenes import as_number_or_text


class Numbers:
    """Number of each name: the one it has in a list, or else the next that is free.

    Args:
        official: key of a name -> its number in a list that everybody has.
        key: what spellings of one name have in common; the name itself where not given.
        first: the first number of names that are in no list.
    """

    def __init__(
        self, official: Mapping[str, int] | None = None, key: Callable[[str], str] = str, first: int = 1
    ) -> None:
        self._official, self._key, self._next = dict(official or {}), key, first
        self._found: dict[str, int | str] = {}
        self._taken: set[int | str] = set(self._official.values())

    def number(self, name: str) -> int | str:
        """The number of a name; a new name takes the next one."""
        if name not in self._found:
            official = self._official.get(self._key(name))
            self._found[name] = self._free() if official is None else official
        return self._found[name]

    def reserve(self, name: str, number: int | str) -> None:
        """Give a name the number of the source's list, unless one of the two has another partner already."""
        if name in self._found or number in self._taken:
            return
        self._found[name] = number
        self._taken.add(number)
        if isinstance(number, int):
            self._next = max(self._next, number + 1)

    def _free(self) -> int:
        while self._next in self._taken:
            self._next += 1
        self._taken.add(self._next)
        return self._next


class Categories:
    """The classes of an export with their numbers, listed by the source or met in boxes.

    Every class of the source's list has a number whether boxes name it or not, so that the numbers of two
    splits agree. Only a class in no list is numbered as it comes.
    """

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._listed: dict[str, dict[str, Any]] = {}

    def add(self, classes: pa.Table | None) -> None:
        """The table `classes` of a shard."""
        rows = [
            row for row in (classes.to_pylist() if classes else ()) if row["category"] not in self._listed
        ]
        for row in rows:
            if row["source_id"] is not None:
                self._numbers.reserve(row["category"], as_number_or_text(row["source_id"]))
        for row in rows:
            self._listed[row["category"]] = row
            self._numbers.number(row["category"])

    def number(self, name: str) -> int | str:
        """The number of a class."""
        if name not in self._listed:
            self._listed[name] = {}
        return self._numbers.number(name)

    def rows(self) -> list[dict[str, Any]]:
        """COCO's `categories`, by number."""
        rows = []
        for name, listed in self._listed.items():
            more = {key: listed[key] for key in ("supercategory", "synonyms") if listed.get(key)}
            rows.append({"id": self._numbers.number(name), "name": name, **more})
        return sorted(rows, key=lambda row: (isinstance(row["id"], str), row["id"]))
