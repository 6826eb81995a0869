"""Does the R-Tagger need noise and attention masks in training? (paper, Table 4) And ordered pairs?

The paper asks by way of a ParSeD that starts from the tagger; here the tagger's labels are asked directly.
Candidates are those of perfect captions, so that the tagger alone is judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from laboratory.labels import measures, perfect, scores
from laboratory.spread import Row, rows
from laboratory.training import BASE, VARIANTS, tagger
from laboratory.world import World

TAGGERS = tuple(VARIANTS)


def ask(world: World, seeds: Sequence[int]) -> list[Row]:
    tables = world.judged_tables()
    asked = perfect(tables)
    greedy = [measures(scores(world, tables, asked, None), tables["gold"])]
    found = {
        variant: [
            measures(scores(world, tables, asked, tagger(world, variant, seed)), tables["gold"])
            for seed in seeds
        ]
        for variant in VARIANTS
    }
    out = rows("greedy", f"R-Tagger, {BASE}", greedy, found[BASE])
    for variant, own in found.items():
        out += rows(f"R-Tagger, {variant}", f"R-Tagger, {BASE}", own, found[BASE])
    return out
