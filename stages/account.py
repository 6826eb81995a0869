"""What became of every record of a stage's primary input: the one builder of a `StageResult`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from relforge.stages.contract import Quarantined, StageResult


class Account:
    """Counts records into exactly one place each: kept, dropped under a reason, or quarantined.

    The commit refuses a shard whose account does not add up to the rows read.
    """

    def __init__(self) -> None:
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.quarantined: list[Quarantined] = []
        self._read: Counter[str] = Counter()
        self._lost: dict[str, Counter[str]] = {}
        self._noted: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Records accounted for so far."""
        return self.kept + self.dropped.total() + len(self.quarantined)

    def keep(self, count: int = 1) -> None:
        """Records that were processed; they may have produced no row or many."""
        self.kept += count

    def drop(self, reason: str, count: int = 1) -> None:
        """Records left out by a rule; `reason` is a stable snake_case code. A count of 0 leaves no trace."""
        if count:
            self.dropped[reason] += count

    def quarantine(self, record: Mapping[str, Any], reason: str, detail: str = "") -> None:
        """A record set aside because it could not be processed.

        Args:
            record: identity of the row, e.g. `{"image_id": "139", "box_id": 4}`.
            reason: a stable snake_case code.
            detail: the sentence a person reads.
        """
        self.quarantined.append(Quarantined(record, reason, detail))

    def read(self, kind: str, count: int) -> None:
        """Input of a kind that has a limit of losses (`images`, `boxes`, `captions`, `relations`).

        A record carries others: an image its boxes. So losses are counted by kind, beside the records.
        """
        self._read[kind] += count

    def lose(self, kind: str, reason: str, count: int = 1) -> None:
        """Input of that kind, counted by `read`, that is lost, though no rule of a stage drops it.

        Args:
            reason: why; what a lost image carries is lost for the image's reason.
        """
        if count:
            self._lost.setdefault(kind, Counter())[reason] += count

    def note(self, name: str, count: int = 1) -> None:
        """Counts records, whatever becomes of them, under a name in the notes; 0 leaves no trace."""
        if count:
            self._noted[name] += count

    def result(self, tables: Mapping[str, pa.Table], notes: Mapping[str, Any] | None = None) -> StageResult:
        """The shard's tables with this account.

        Args:
            tables: table name -> rows in that table's schema.
            notes: small JSON-able facts for the sidecar; those of `note` are added.
        """
        noted: dict[str, Any] = {**self._noted, **(notes or {})}
        if self._read:
            noted["losses"] = {
                kind: {"read": count, "lost": dict(sorted(self._lost.get(kind, {}).items()))}
                for kind, count in sorted(self._read.items())
            }
        return StageResult(dict(tables), self.kept, dict(self.dropped), list(self.quarantined), noted)
