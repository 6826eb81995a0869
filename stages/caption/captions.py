"""Captions of a shard gathered into a stage's result, whichever model wrote them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from relforge.stages.caption.quality import check_reasons, fault
from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.tables import conform


class CaptionSheet:
    """Collects what became of each image and each caption.

    Args:
        source: model id, for the `source` column.
        seed: run seed, for the `seed` column.
        prompt: words the model was given, for the prompt-echo check.
        drop: quality reasons (of `quality.REASONS`) whose captions are left out; all are counted.
    """

    def __init__(self, source: str, seed: int, prompt: str, drop: Sequence[str]) -> None:
        check_reasons(drop)
        self.source, self.seed, self.prompt, self.drop = source, seed, prompt, frozenset(drop)
        self.rows: list[dict[str, object]] = []
        self.kept = 0
        self.bare = 0
        self.faults: Counter[str] = Counter()
        self.quarantined: list[Quarantined] = []

    def add(self, image_id: str, captions: Sequence[tuple[str, float | None]]) -> None:
        """All captions of one image, (text, log-probability), in sample order: `caption_id` is the place,
        also where an earlier one is dropped."""
        before = len(self.rows)
        for caption_id, (text, logprob) in enumerate(captions):
            reason = fault(text, self.prompt)
            if reason is not None:
                self.faults[reason] += 1
                if reason in self.drop:
                    continue
            self.rows.append(
                {
                    "image_id": image_id,
                    "caption_id": caption_id,
                    "text": text,
                    "source": self.source,
                    "seed": self.seed,
                    "logprob": logprob,
                }
            )
        if len(self.rows) > before:
            self.kept += 1
        else:
            self.bare += 1

    def refuse(self, image_id: str, reason: str, detail: str) -> None:
        """An image that could not be read."""
        self.quarantined.append(Quarantined({"image_id": image_id}, reason, detail))

    def result(self, notes: Mapping[str, object] | None = None) -> StageResult:
        """The `captions` table; an image none of whose captions is left counts as dropped,
        `no_sound_caption`.

        Args:
            notes: more of what the sidecar should say.
        """
        columns = ("image_id", "caption_id", "text", "source", "seed", "logprob")
        table = pa.table({name: [row[name] for row in self.rows] for name in columns}) if self.rows else None
        counts: dict[str, object] = {
            "caption_faults": dict(sorted(self.faults.items())),
            "captions_dropped": sum(n for reason, n in self.faults.items() if reason in self.drop),
        }
        return StageResult(
            tables={"captions": conform("captions", table) if table else _nothing()},
            kept=self.kept,
            dropped={"no_sound_caption": self.bare} if self.bare else {},
            quarantined=sorted(self.quarantined, key=lambda q: str(q.record["image_id"])),
            notes=counts | dict(notes or {}),
        )


def _nothing() -> pa.Table:
    from relforge.stages.tables import empty

    return empty("captions")
