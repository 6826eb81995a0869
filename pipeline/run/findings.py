"""What the shards of a run are, stage by stage: done, missing, stale or broken, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class State(StrEnum):
    """What one shard of one stage is."""

    DONE = "done"
    MISSING = "missing"
    """Nothing there."""
    STALE = "stale"
    """Committed, but for another config, code version or input, or something before it is not done."""
    BROKEN = "broken"
    """Data and sidecar do not belong together."""
    RUNNING = "running"
    """Not done, and a worker of a living driver has begun it."""


@dataclass(frozen=True)
class Finding:
    """A state and, unless it is done or missing, the reason."""

    state: State
    why: str = ""


class Findings:
    """Of the shards 0 to `count` - 1 of one stage; all are done until `mark` says otherwise. What is marked
    last holds."""

    def __init__(self, count: int) -> None:
        self._reasons = [Finding(State.DONE)]
        self._found = np.zeros(count, np.int32)  # position in `_reasons`

    def mark(self, shards: np.ndarray, state: State, why: str = "") -> None:
        """Shards, as a mask, and what they are."""
        self._reasons.append(Finding(state, why))
        self._found[shards] = len(self._reasons) - 1

    def mark_broken(self, problems: Mapping[int, str], what: str) -> None:
        """Shards, by index, and what is wrong with which file of theirs; those beyond the last are left
        out."""
        for shard, problem in problems.items():
            if shard < len(self._found):
                self._reasons.append(Finding(State.BROKEN, f"{what}: {problem}"))
                self._found[shard] = len(self._reasons) - 1

    def __getitem__(self, shard: int) -> Finding:
        if 0 <= shard < len(self._found):
            return self._reasons[self._found[shard]]
        return Finding(State.MISSING)

    @property
    def done(self) -> np.ndarray:
        """Which are, as a mask."""
        return self.are(State.DONE)

    def are(self, *states: State) -> np.ndarray:
        """Which have one of these states, as a mask."""
        return np.array([one.state in states for one in self._reasons])[self._found]

    def count(self, shards: Sequence[int] | None = None) -> Counter[State]:
        """How many are in each state, of these shards or of all."""
        found = self._found if shards is None else self._found[np.asarray(shards, np.int64)]
        counts: Counter[State] = Counter()
        for reason, number in zip(*np.unique(found, return_counts=True), strict=True):
            counts[self._reasons[reason].state] += int(number)
        return counts

    def problems(self) -> dict[int, str]:
        """Shard -> why, of those that have a reason."""
        reasons = np.array([bool(one.why) for one in self._reasons])[self._found]
        return {shard: self[shard].why for shard in np.flatnonzero(reasons).tolist()}
