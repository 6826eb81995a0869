"""A listing as columns: a folder may hold hundreds of thousands of files, too many for an object each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.pipeline.store.storage import Stat


@dataclass(frozen=True)
class Files:
    """Files of one folder, in the order listed; each field has one value a file.

    Args:
        names: without the folder.
        sizes, modified, changed: as in `Stat`.
    """

    names: pa.StringArray
    sizes: pa.Int64Array
    modified: pa.StringArray
    changed: pa.Int64Array

    @classmethod
    def of(cls, stats: Iterable[tuple[str, Stat]]) -> Files:
        """Columns of these."""
        names, found = zip(*stats, strict=True) if (stats := list(stats)) else ((), ())
        sizes, modified, changed = zip(*found, strict=True) if found else ((), (), ())
        return cls(
            pa.array(names, pa.string()),
            pa.array(sizes, pa.int64()),
            pa.array(modified, pa.string()),
            pa.array(changed, pa.int64()),
        )

    def take(self, positions: pa.Array) -> Files:
        """Those at these positions."""
        columns = (self.names, self.sizes, self.modified, self.changed)
        return Files(*(column.take(positions) for column in columns))

    def stats(self) -> dict[str, Stat]:
        """File name -> its values."""
        columns = (column.to_pylist() for column in (self.sizes, self.modified, self.changed))
        return dict(zip(self.names.to_pylist(), map(Stat, *columns), strict=True))


class Parts:
    """Files that are shards.

    Args:
        shards: their indices, int64, increasing.
        files: one for each.
    """

    def __init__(self, shards: np.ndarray, files: Files) -> None:
        self.shards, self._files = shards, files

    @classmethod
    def of(cls, files: Files, ending: str) -> Parts:
        """Those of a listing that are named `part-00042` and the ending."""
        # one number has one name: `part-7.parquet` and `part-000007.parquet` are files of somebody else
        pattern = rf"^part-(\d{{5}}|[1-9]\d{{5,8}}){re.escape(ending)}$"
        named = files.take(pc.indices_nonzero(pc.match_substring_regex(files.names, pattern)))
        numbers = pc.utf8_slice_codeunits(named.names, len("part-"), -len(ending))
        shards = pc.cast(numbers, pa.int64()).to_numpy()
        order = np.argsort(shards)
        return cls(shards[order], named.take(pa.array(order)))

    @property
    def marks(self) -> pa.StringArray:
        """What has to be equal for a file to count as unchanged, of each."""
        sizes, changed = (pc.cast(one, pa.string()) for one in (self._files.sizes, self._files.changed))
        return pc.binary_join_element_wise(sizes, self._files.modified, changed, " ")

    @property
    def stats(self) -> dict[int, Stat]:
        """Shard -> its file."""
        return dict(zip(self.shards.tolist(), self._files.stats().values(), strict=True))

    def find(self, shards: np.ndarray) -> np.ndarray:
        """Which of these are there."""
        return self._find(shards)[0]

    def only(self, shards: np.ndarray) -> Parts:
        """Those that are there of these shards, which are increasing."""
        there, at = self._find(shards)
        return Parts(shards[there], self._files.take(pa.array(at)))

    def agree(self, shards: np.ndarray, marks: pa.StringArray) -> np.ndarray:
        """Which of these shards have a file with that mark."""
        there, at = self._find(shards)
        found = self.marks.take(pa.array(at))
        there[there] = pc.equal(found, marks.filter(pa.array(there))).to_numpy(zero_copy_only=False)
        return there

    def _find(self, shards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of these are there, and the position of each that is."""
        at = np.searchsorted(self.shards, shards)
        there = at < len(self.shards)
        there[there] = self.shards[at[there]] == shards[there]
        return there, at[there]
