"""One wording for gold and captions: a caption's "rides" and "is ridden" become the gold's "riding"."""

from __future__ import annotations

import pyarrow as pa

from relforge.demo.world.captions import VERBS
from relforge.demo.world.interactions import SPATIAL

STILL = ("on", "under", "in", *SPATIAL)
"""Gold predicates without a verb."""

WORDS = (
    {plural: predicate for predicate, (_, _, plural, _) in VERBS.items()}
    | {place: place for place in STILL}
    | {f"{verb} {place}": place for verb in ("stand", "sit") for place in STILL if place != "on"}
    | {"lay on": "lying on", "watch": "looking at"}
)
"""Predicate lemma as the parser gives it -> the gold's wording."""


def in_gold_words(triplets: pa.Table) -> pa.Table:
    """Triplets with the gold's wording of their predicate where its lemma is known, else the caption's."""
    pairs = zip(triplets["predicate_lemma"].to_pylist(), triplets["predicate"].to_pylist(), strict=True)
    worded = pa.array([WORDS.get(lemma, surface) for lemma, surface in pairs], pa.string())
    return triplets.set_column(triplets.column_names.index("predicate"), "predicate", worded)
