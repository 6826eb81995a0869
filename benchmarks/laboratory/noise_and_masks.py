"""The R-Tagger with and without noise, attention masks (RLIPv2, Table 4) and ordered pairs in training.

The paper measures a ParSeD that starts from the tagger; here the tagger's own labels are measured.
Candidates are those of perfect captions, so that only the tagger differs.
"""

from __future__ import annotations

from collections.abc import Sequence

from laboratory.labels import measures, perfect, scores
from laboratory.spread import Row, rows
from laboratory.training import BASE, VARIANTS, tagger
from laboratory.world import World

TAGGERS = tuple(VARIANTS)


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    tables = world.evaluated_tables()
    proposed = perfect(tables)
    greedy = [measures(scores(world, tables, proposed, None), tables["gold"])]
    found = {
        variant: [
            measures(scores(world, tables, proposed, tagger(world, variant, seed)), tables["gold"])
            for seed in seeds
        ]
        for variant in VARIANTS
    }
    out = rows("greedy", f"R-Tagger, {BASE}", greedy, found[BASE])
    for variant, own in found.items():
        out += rows(f"R-Tagger, {variant}", f"R-Tagger, {BASE}", own, found[BASE])
    return out
