"""Pseudo-labels for a detector: a ParSeD, which has to find the boxes as well (RLIPv2, Table 8).

Both ParSeDs start from the R-Tagger that was trained on gold, and learn to search for pairs. That
takes thousands of steps, hours on a CPU, so this experiment runs only when it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from laboratory.downstream import BOTH, GOLD, hoi_measures, labelled
from laboratory.spread import Row, rows
from laboratory.training import BASE, SHORT_SIDE, detector, tagger
from laboratory.world import SIZE, World
from relforge.data import sources
from relforge.evaluation.detect import DetectOptions, detect
from relforge.evaluation.hico_quality import measure_detections
from relforge.evaluation.pairs import gold_pairs
from relforge.models.checkpoint import load_model

TAGGERS = ()
STEPS = 6000


def train(world: World, learns: str, seed: int) -> Path:
    """The ParSeD of that seed."""
    start = tagger(world, BASE, seed)
    return detector(world, start, seed, labelled(world, start) if learns == BOTH else None, STEPS)


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    found = {
        learns: [_measures(world, train(world, learns, seed)) for seed in seeds] for learns in (GOLD, BOTH)
    }
    return [row for name, own in found.items() for row in rows(name, GOLD, own, found[GOLD])]


def _measures(world: World, model: Path) -> dict[str, float]:
    data = sources.load_relations([world.source("hoi")], keep_empty=True, max_pairs=10**6)
    gold = gold_pairs(data)
    verbs = sorted(set(gold.predicate.tolist()))
    loaded, options = load_model(model), DetectOptions(short_side=SHORT_SIDE, long_side=SIZE)
    return hoi_measures(
        measure_detections(detect(loaded, data, verbs, "person", options), gold),
        measure_detections(detect(loaded, data, verbs, None, options), gold, subject=None),
    )
