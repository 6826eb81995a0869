"""All shards of one table as found in the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa

from relforge.pipeline.store.counts import count
from relforge.pipeline.store.entry import Entry


class Entries(Mapping[int, Entry]):
    """Shard -> entry, by shard. Of the shards that the table's manifest holds there are columns, and an entry
    is made when it is asked for.

    Args:
        loose: those that the manifest does not hold.
        rows: those that it does: `manifest.COLUMNS`, by shard.
        read_accounts: the accounts of `rows`, in their order.
    """

    def __init__(
        self, loose: Mapping[int, Entry], rows: pa.Table, read_accounts: Callable[[], Sequence[bytes]]
    ) -> None:
        self.loose, self.rows = dict(loose), rows
        self._held = rows["shard"].to_numpy().astype(np.int64)
        self._read_accounts = read_accounts
        found = np.concatenate([self._held, np.fromiter(self.loose, np.int64, len(self.loose))])
        self._order = np.argsort(found)
        self.shards = found[self._order]

    def __len__(self) -> int:
        return len(self.shards)

    def __iter__(self) -> Iterator[int]:
        return iter(self.shards.tolist())

    def __contains__(self, shard: object) -> bool:
        return shard in self.loose or (isinstance(shard, int) and self._find(shard) is not None)

    def __getitem__(self, shard: int) -> Entry:
        if shard in self.loose:
            return self.loose[shard]
        if (at := self._find(shard)) is None:
            raise KeyError(shard)
        return Entry.of(self._accounts[at], compacted=True)

    def replace(self, loose: Mapping[int, Entry]) -> Entries:
        """The same with other entries for the shards that the manifest does not hold."""
        return Entries(loose, self.rows, self._read_accounts)

    def has(self, count: int) -> np.ndarray:
        """Which of the shards 0 to `count` - 1 are there."""
        found = np.zeros(count, bool)
        found[self.shards[self.shards < count]] = True
        return found

    def texts(self, field: Literal["fingerprint", "content"], count: int) -> pa.StringArray:
        """That field of the accounts of the shards 0 to `count` - 1; null where there is none."""
        held = self.rows[field].combine_chunks()
        if not self.loose and len(held) == count and (not count or self._held[-1] == count - 1):
            return held
        facts = (entry.facts for entry in self.loose.values())
        loose = pa.array([one and getattr(one, field) for one in facts], pa.string())
        at = np.full(count, -1)
        inside = self.shards < count
        at[self.shards[inside]] = self._order[inside]
        return pa.concat_arrays([held, loose]).take(pa.array(at, mask=at < 0))

    def contents(self, shards: np.ndarray) -> Iterator[tuple[int, str]]:
        """These shards and their content hashes, by shard; `shards` as for `sum`."""
        found = self.texts("content", len(shards)).filter(pa.array(shards))
        return zip(np.flatnonzero(shards).tolist(), found.to_pylist(), strict=True)

    def sum(self, shards: np.ndarray) -> Counter[str]:
        """What the accounts of these shards come to.

        Args:
            shards: a mask over the shards from 0; none of the others is in it.
        """
        counts = self.rows["counts"].combine_chunks()
        chosen = _of(shards, self._held)
        if not chosen.all():
            counts = counts.filter(pa.array(chosen))
        pairs = pa.table({"name": counts.keys, "number": counts.items})
        sums = pairs.group_by("name", use_threads=False).aggregate([("number", "sum")])
        found = Counter(dict(zip(*(sums[name].to_pylist() for name in ("name", "number_sum")), strict=True)))
        for shard, entry in self.loose.items():
            if shard < len(shards) and shards[shard] and (account := entry.sidecar):
                found.update(count(account))
        return found

    def finished(self, shards: np.ndarray) -> np.ndarray:
        """When each of these shards was done, seconds since the epoch; `shards` as for `sum`."""
        held = self.rows["finished"].to_numpy()[_of(shards, self._held)]
        loose = [
            account.finished
            for shard, entry in self.loose.items()
            if shard < len(shards) and shards[shard] and (account := entry.sidecar)
        ]
        return np.concatenate([held, np.array(loose, float)])

    def _find(self, shard: int) -> int | None:
        at = int(np.searchsorted(self._held, shard))
        return at if at < len(self._held) and self._held[at] == shard else None

    @cached_property
    def _accounts(self) -> Sequence[bytes]:
        return self._read_accounts()


def _of(mask: np.ndarray, shards: np.ndarray) -> np.ndarray:
    """The mask's value for each of these shards; False beyond its end."""
    inside = shards < len(mask)
    inside[inside] = mask[shards[inside]]
    return inside
