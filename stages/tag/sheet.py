"""What became of every candidate of a shard, and the `scores` table it makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.tables import SCHEMAS, conform


@dataclass
class Asked:
    """Candidates of one image.

    Args:
        image_id: of the image.
        rows: the candidate rows, as dictionaries.
        boxes: box_id -> (category, x, y, w, h) of the image's boxes, pixels.
    """

    image_id: str
    rows: list[dict[str, Any]]
    boxes: dict[int, tuple[str, float, float, float, float]]


def asked(candidates: pa.Table, boxes: pa.Table) -> dict[str, Asked]:
    """Candidates by image, in table order.

    Raises:
        ValueError: a candidate names a box that is not in `boxes`.
    """
    out: dict[str, Asked] = {}
    for row in candidates.to_pylist():
        out.setdefault(row["image_id"], Asked(row["image_id"], [], {})).rows.append(row)
    columns = ("image_id", "box_id", "category", "x", "y", "w", "h")
    for image_id, box_id, *box in zip(*(boxes[c].to_pylist() for c in columns), strict=True):
        if image_id in out:
            out[image_id].boxes[box_id] = tuple(box)  # type: ignore[assignment]
    for group in out.values():
        for row in group.rows:
            for end in ("subject_box", "object_box"):
                if row[end] not in group.boxes:
                    raise ValueError(f"image {row['image_id']}: {end} {row[end]} is not among its boxes")
    return out


class ScoreSheet:
    """Collects outcomes; every candidate must be given exactly one.

    Args:
        tagger: goes into the `tagger` column.
        floor: scores not above it are dropped as `below_floor`.
    """

    def __init__(self, tagger: str, floor: float) -> None:
        self.tagger = tagger
        self.floor = floor
        self.rows: list[dict[str, Any]] = []
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.quarantined: list[Quarantined] = []

    def score(
        self, row: Mapping[str, Any], score: float, subject: float | None = None, object_: float | None = None
    ) -> None:
        """A candidate was scored."""
        # compared in the column's own precision, so that the table never holds its own floor
        if np.float32(score) > np.float32(self.floor):
            self.kept += 1
            self.add(row, score, subject, object_)
        else:
            self.dropped["below_floor"] += 1

    def add(
        self, row: Mapping[str, Any], score: float, subject: float | None = None, object_: float | None = None
    ) -> None:
        """Write a row that stands for no single candidate."""
        self.rows.append(
            {
                **row,
                "score": score,
                "subject_score": subject,
                "object_score": object_,
                "tagger": self.tagger,
            }
        )

    def drop(self, reason: str, count: int = 1) -> None:
        """Candidates left out by a rule."""
        self.dropped[reason] += count

    def quarantine(self, group: Asked, reason: str, detail: str) -> None:
        """All candidates of an image failed together."""
        for row in group.rows:
            record = {name: row[name] for name in ("image_id", "subject_box", "object_box", "predicate")}
            self.quarantined.append(Quarantined(record, reason, detail))

    def result(self, notes: dict[str, Any]) -> StageResult:
        table = pa.Table.from_pylist(self.rows, SCHEMAS["scores"])
        return StageResult(
            {"scores": conform("scores", table)}, self.kept, dict(self.dropped), self.quarantined, notes
        )
