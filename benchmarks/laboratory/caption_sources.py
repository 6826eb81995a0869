"""Sources of captions (RLIPv2, Table 6): human-like ones, BLIP's most likely one, or sampled ones.

The first n of 20 sampled captions are those of a run with n, so BLIP samples once.
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


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    tables = world.evaluated_tables()
    oracle = candidates(world, tables)
    sources = {"perfect captions": perfect(tables), "oracle 5": oracle}
    if BLIP.is_dir():
        model: dict[str, Any] = {"backend": "blip", "model": str(BLIP), "device": "cpu"}
        sources["beam 1"] = candidates(world, tables, {**model, "mode": "beam"})
        sampled = {**model, "captions": 20}
        for count in (5, 10, 20):
            sources[f"nucleus {count}"] = candidates(world, tables, sampled, max_captions=count)
    models = [tagger(world, BASE, seed) for seed in seeds]
    found = {
        name: [_measures(world, tables, proposed, m) for m in models] for name, proposed in sources.items()
    }
    return [row for name, own in found.items() for row in rows(name, "oracle 5", own, found["oracle 5"])]


def _measures(world: World, tables: Tables, proposed: pa.Table, model: Path) -> dict[str, float]:
    """Quality of the labels, and the share of the gold among the candidates."""
    gold = tables["gold"]
    greedy = measures(scores(world, tables, proposed, None), gold)
    return {
        **measures(scores(world, tables, proposed, model), gold),
        "greedy best F1": greedy["best F1"],
        "gold among candidates": recall(proposed, gold),
    }


def recall(proposed: pa.Table, gold: pa.Table) -> float:
    """Share of the gold relations that are candidates."""
    keys = ["image_id", "subject_box", "object_box", "predicate"]
    both = gold.select(keys).join(proposed.select(keys), keys, join_type="inner")
    return both.num_rows / gold.num_rows
