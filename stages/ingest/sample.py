"""A fair part of a dataset (`dataset.limit`): so many of its images, or a share, drawn by their ids."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.contract import Quarantined, Source, StageResult
from relforge.stages.tables import conform

NOT_SAMPLED = "not_sampled"
"""Drop reason: a record of an image that the limit leaves out."""

_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")
_ALL = 1 << 64
_KINDS = {"images": "images", "boxes": "boxes", "relations": "gold"}
"""Kind of record -> the table that has its rows."""


def read_limit(limit: int | str) -> tuple[int | None, int]:
    """`100` -> (100, no threshold); `1%` -> (None, the largest draw that is in).

    Raises:
        ValueError: neither a number of images, at least 1, nor a share above 0% and up to 100%.
    """
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1:
        return limit, _ALL
    if isinstance(limit, str) and (found := _SHARE.fullmatch(limit.strip())):
        share = float(found.group(1)) / 100
        if 0 < share <= 1:
            return None, int(share * _ALL)
    raise ValueError(f"limit is {limit!r}; give a number of images, such as 100, or a share, such as 1%")


class Sample:
    """A source of a part of another's images.

    An image is in by a hash of (seed, image id) alone, so the same file and seed always give the same images,
    a larger limit keeps those of a smaller one, and other annotation of the same images the same sample.

    Args:
        source: the whole dataset.
        limit: images, or a share as text (`1%`). More than there are: all.
        seed: of the run.

    Raises:
        ValueError: no such limit.
    """

    def __init__(self, source: Source, limit: int | str, seed: int) -> None:
        self._source, self._seed = source, seed
        self._count, self._threshold = read_limit(limit)
        self.name, self.version = source.name, source.version

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        # what a source may have besides, `list_classes` and `neutral_options`, is that of the whole
        return getattr(self._source, name)

    def files(self) -> Sequence[str]:
        return self._source.files()

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        """The shards of the images that are in; the last accounts for all records that are not."""
        left = _Left()
        waiting = _Chosen(self._seed, self._threshold)
        for result in self._source.shards(shard_images, relations):
            left.add(result)
            waiting.add(result.tables)
            if self._count is not None:
                waiting.cut(self._count)
                continue
            while waiting.images > shard_images:  # one more shard is sure to follow
                yield left.account(waiting.take(shard_images), None)
        while waiting.images > shard_images:
            yield left.account(waiting.take(shard_images), None)
        yield left.account(waiting.take(shard_images), waiting.is_in)


class _Chosen:
    """Rows of the images that are in so far, in the order of the source."""

    def __init__(self, seed: int, threshold: int) -> None:
        self._seed, self._threshold = seed, threshold
        self._draws: dict[str, int] = {}
        self._tables: dict[str, list[pa.Table]] = {}
        self._classes: list[pa.Table] = []

    @property
    def images(self) -> int:
        return len(self._draws)

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        drawn = {one: self._draw(one) for one in tables["images"]["image_id"].to_pylist()}
        chosen = {one: draw for one, draw in drawn.items() if draw < self._threshold}
        self._draws |= chosen
        for name, table in tables.items():
            if name == "classes":
                if not any(table.equals(one) for one in self._classes):
                    self._classes.append(table)
            else:
                self._tables.setdefault(name, []).append(_rows_of(table, chosen))

    def cut(self, count: int) -> None:
        """Keep the `count` images of the smallest draws."""
        if len(self._draws) <= count:
            return
        self._threshold = sorted(self._draws.values())[count]
        self._draws = {one: draw for one, draw in self._draws.items() if draw < self._threshold}
        self._tables = {n: [_rows_of(pa.concat_tables(t), self._draws)] for n, t in self._tables.items()}

    def take(self, count: int) -> dict[str, pa.Table]:
        """The tables of the first `count` images, which are no longer waiting."""
        first = list(self._draws)[:count]
        for one in first:
            del self._draws[one]
        taken: dict[str, pa.Table] = {}
        for name, parts in self._tables.items():
            whole = pa.concat_tables(parts)
            taken[name] = _rows_of(whole, first)
            self._tables[name] = [_rows_of(whole, self._draws)]
        if self._classes:
            rows = [row for table in self._classes for row in table.to_pylist()]
            unique = {(row["category"], row["source_id"]): row for row in reversed(rows)}
            taken["classes"] = pa.Table.from_pylist(
                [unique[key] for key in sorted(unique, key=str)], self._classes[0].schema
            )
        return {name: conform(name, table) for name, table in taken.items()}

    def is_in(self, image_id: str) -> bool:
        """Whether an image of this id is in, or would be if it could be used."""
        return self._draw(image_id) < self._threshold

    def _draw(self, image_id: str) -> int:
        digest = hashlib.blake2b(f"{self._seed}\0{image_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")


class _Left:
    """The account of the records that no shard has accounted for yet."""

    def __init__(self) -> None:
        self._kept = 0
        self._dropped: Counter[str] = Counter()
        self._quarantined: list[Quarantined] = []

    def add(self, result: StageResult) -> None:
        self._kept += result.kept
        self._dropped.update(result.dropped)
        self._quarantined += result.quarantined

    def account(self, tables: dict[str, pa.Table], is_in: Callable[[str], bool] | None) -> StageResult:
        """A shard that keeps its rows.

        Args:
            is_in: of the last shard, which also accounts for all that is in none: whether the sample draws
                an image. A record set aside counts where its image is drawn, so that the limits of losses
                hold for the sample as they do for the whole.
        """
        rows = {kind: tables[name].num_rows for kind, name in _KINDS.items() if name in tables}
        kept = min(sum(rows.values()), self._kept)
        self._kept -= kept
        aside, dropped = [], Counter[str]()
        if is_in is not None:
            aside = [one for one in self._quarantined if is_in(str(one.record.get("image_id") or ""))]
            left_out = self._kept + len(self._quarantined) - len(aside)
            dropped = self._dropped + Counter({NOT_SAMPLED: left_out})
        lost: dict[str, Counter[str]] = {kind: Counter() for kind in rows}
        for one in aside:
            lost.setdefault(_kind_of(one), Counter())[one.reason] += 1
        notes = {
            "rows_in": kept + dropped.total() + len(aside),
            "losses": {
                kind: {"read": rows.get(kind, 0) + reasons.total(), "lost": dict(sorted(reasons.items()))}
                for kind, reasons in sorted(lost.items())
            },
        }
        return StageResult(tables, kept, dict(dropped), aside, notes)


def _kind_of(one: Quarantined) -> str:
    if "relation" in one.record:
        return "relations"
    return "boxes" if one.record.keys() & {"box_id", "source_id"} else "images"


def _rows_of(table: pa.Table, images: Mapping[str, int] | Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["image_id"], pa.array(list(images), pa.string())))
