"""Whose captions? (paper, Table 6): human-like, the likeliest of BLIP, or sampled ones.

The first n of 20 sampled captions are what asking for n gives, so BLIP samples once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from laboratory.labels import candidates, measures, perfect, scores
from laboratory.spread import Row, rows
from laboratory.training import BASE, tagger
from laboratory.world import Tables, World

TAGGERS = (BASE,)
BLIP = Path(__file__).resolve().parents[2] / "demo" / "weights" / "blip"


def ask(world: World, seeds: Sequence[int]) -> list[Row]:
    tables = world.judged_tables()
    oracle = candidates(world, tables)
    sources = {"perfect captions": perfect(tables), "oracle 5": oracle}
    if BLIP.is_dir():
        model: dict[str, Any] = {"backend": "blip", "model": str(BLIP), "device": "cpu"}
        sources["beam 1"] = candidates(world, tables, {**model, "mode": "beam"})
        sampled = {**model, "captions": 20}
        for count in (5, 10, 20):
            sources[f"nucleus {count}"] = candidates(world, tables, sampled, most=count)
    models = [tagger(world, BASE, seed) for seed in seeds]
    found = {name: [_measures(world, tables, asked, m) for m in models] for name, asked in sources.items()}
    return [row for name, own in found.items() for row in rows(name, "oracle 5", own, found["oracle 5"])]


def _measures(world: World, tables: Tables, asked: pa.Table, model: Path) -> dict[str, float]:
    """Quality of the labels, and what the captions proposed at all."""
    gold = tables["gold"]
    greedy = measures(scores(world, tables, asked, None), gold)
    return {
        **measures(scores(world, tables, asked, model), gold),
        "greedy best F1": greedy["best F1"],
        "gold among candidates": recall(asked, gold),
    }


def recall(asked: pa.Table, gold: pa.Table) -> float:
    """Share of the gold relations that are candidates."""
    keys = ["image_id", "subject_box", "object_box", "predicate"]
    both = gold.select(keys).join(asked.select(keys), keys, join_type="inner")
    return both.num_rows / gold.num_rows
