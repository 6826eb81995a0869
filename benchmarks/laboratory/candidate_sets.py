"""Sets of candidates (RLIPv2, Table 7): those of captions, or every predicate for every pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pyarrow as pa
import pyarrow.compute as pc

from laboratory.labels import candidates, measures, scores
from laboratory.spread import Row, rows
from laboratory.training import BASE, tagger
from laboratory.world import Tables, World
from relforge.evaluation.labels import compare_labels
from relforge.stages.tables import SCHEMAS, conform

TAGGERS = (BASE,)
THRESHOLD = 0.2


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    tables = world.evaluated_tables()
    predicates = pc.unique(world.tables("vg-like")["gold"]["predicate"]).to_pylist()
    sets = {
        "captions": candidates(world, tables),
        "all predicates": every_predicate(tables, sorted(predicates)),
    }
    found = {}
    for name, proposed in sets.items():
        own = [scores(world, tables, proposed, tagger(world, BASE, seed)) for seed in seeds]
        found[name] = [_measures(scored, tables["gold"]) for scored in own]
    return [row for name, own in found.items() for row in rows(name, "captions", own, found["captions"])]


def every_predicate(tables: Tables, predicates: Sequence[str]) -> pa.Table:
    """Every predicate for every ordered pair of boxes."""
    parts = []
    boxes = tables["boxes"]
    blank = {"position": 0, "support": 0, "caption_ids": [], "triplet_ids": [], "rule": "every"} | {
        "claim_id": 0,
        "alternatives": 1,
    }
    for image in pc.unique(boxes["image_id"]).to_pylist():
        ids = boxes.filter(pc.equal(boxes["image_id"], image))["box_id"].to_pylist()
        parts += [
            {**blank, "image_id": image, "subject_box": subject, "object_box": object_, "predicate": name}
            for subject, object_ in permutations(ids, 2)
            for name in predicates
        ]
    return conform("candidates", pa.Table.from_pylist(parts, SCHEMAS["candidates"]))


def _measures(scored: pa.Table, gold: pa.Table) -> dict[str, float]:
    """With the F1 at the published threshold, which is what training gets."""
    precision, recall, f1 = compare_labels(scored, gold).curve.at(THRESHOLD)
    at = {f"precision at {THRESHOLD}": precision, f"recall at {THRESHOLD}": recall, f"F1 at {THRESHOLD}": f1}
    return measures(scored, gold) | at
