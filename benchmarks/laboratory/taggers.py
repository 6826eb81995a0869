"""Taggers, each with and without the overlap prior (RLIPv2, Table 5).

Candidates come from five human-like captions of an image. With the prior only pairs whose boxes overlap
are kept. The frequency prior takes the place of the paper's CLIP: it ranks by class pair and predicate, from
the gold of the other half of the images, and uses no image.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laboratory.labels import candidates, measures, scores
from laboratory.spread import Row, rows
from laboratory.training import BASE, tagger
from laboratory.world import Tables, World
from relforge.evaluation.labels import with_classes
from relforge.evaluation.prior import prior_scores
from relforge.stages.overlap import pairs_overlap

TAGGERS = (BASE,)


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    tables = world.evaluated_tables()
    proposed = candidates(world, tables)
    greedy = scores(world, tables, proposed, None)
    scored = {
        "greedy": [greedy],
        "frequency": [by_frequency(greedy, tables)],
        "R-Tagger": [scores(world, tables, proposed, tagger(world, BASE, seed)) for seed in seeds],
    }
    peer = [measures(greedy, tables["gold"])]
    out = []
    for prior in ("no overlap prior", "overlap prior"):
        for name, seeded in scored.items():
            found = [
                measures(rows_ if prior.startswith("no ") else overlapping(rows_, tables), tables["gold"])
                for rows_ in seeded
            ]
            out += rows(f"{name}, {prior}", "greedy, no overlap prior", found, peer)
    return out


def overlapping(scored: pa.Table, tables: Tables) -> pa.Table:
    """The rows whose boxes overlap."""
    return scored.filter(pa.array(pairs_overlap(scored, tables["boxes"])))


def by_frequency(scored: pa.Table, tables: Tables) -> pa.Table:
    """The same rows with the frequency prior's scores."""
    boxes = tables["boxes"]
    prior = prior_scores(with_classes(scored, boxes), with_classes(tables["gold"], boxes), boxes)
    return scored.set_column(scored.column_names.index("score"), "score", pa.array(prior))
