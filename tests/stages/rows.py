"""Small hand-made tables for stage tests: say what matters, the rest is filled in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from relforge.stages.tables import SCHEMAS, conform

DEFAULTS: dict[str, dict[str, Any]] = {
    "images": {"dataset": "d", "split": "s", "width": 100, "height": 100},
    "boxes": {"x": 0.0, "y": 0.0, "w": 10.0, "h": 10.0, "iscrowd": False, "source_id": "0"},
    "triplets": {"caption_id": 0, "parser": "hand"},
    "candidates": {"position": 0, "support": 1, "caption_ids": [0], "rule": "head|head"},
    "scores": {"position": 0, "support": 1, "caption_ids": [0], "rule": "head|head", "tagger": "hand"},
}


def table(name: str, *rows: dict[str, Any], **same: Any) -> pa.Table:
    """A table of that name; `same` goes into every row."""
    blank = dict.fromkeys(SCHEMAS[name].names) | {"image_id": "1"} | DEFAULTS.get(name, {})
    return conform(name, pa.Table.from_pylist([blank | same | row for row in rows], SCHEMAS[name]))


def boxes(*categories: str, **same: Any) -> pa.Table:
    """Boxes of one image, box_id in order, one class each."""
    return table("boxes", *({"box_id": i, "category": c} for i, c in enumerate(categories)), **same)


def triplets(*facts: tuple[str, str, str], **same: Any) -> pa.Table:
    """Triplets of one caption from (subject phrase, predicate, object phrase); heads are last words."""
    rows = []
    for number, (subject, predicate, object_) in enumerate(facts):
        row = {"triplet_id": number, "predicate": predicate, "predicate_lemma": predicate}
        for end, text in (("subject", subject), ("object", object_)):
            row |= {end: text, f"{end}_head": text.split()[-1], f"{end}_lemma": text.lower()}
        rows.append(row)
    return table("triplets", *rows, **same)
