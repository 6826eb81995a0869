"""Which probability a relation needs to be stated."""

from __future__ import annotations

from collections.abc import Sequence, Set

from relforge.stages.parse.learned.parse import Parse
from relforge.stages.parse.learned.tables import Tables
from relforge.stages.parse.triples import Triple
from relforge.trainer.parser.scores import score_sets, triples

CHOICES = tuple(round(0.05 * step, 2) for step in range(13))

TOLERANCE = 0.002
"""F1 that is given away for a lower choice: what later stages drop is better judged with the image."""


def choose_confidence(parses: Sequence[Parse], tables: Tables, gold: Sequence[Set[Triple]]) -> float:
    """The lowest `min_confidence` of `CHOICES` whose relation F1 is within `TOLERANCE` of the best."""
    reached = {
        least: score_sets([triples(parse, tables, least) for parse in parses], gold)["relation_f1"]
        for least in CHOICES
    }
    best = max(reached.values())
    return min(least for least, f1 in reached.items() if f1 >= best - TOLERANCE)
