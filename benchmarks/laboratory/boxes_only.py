"""What boxes and classes alone tell: a perceptron that sees everything about a candidate but the pixels.

It learns from all gold of its training images, with candidates of captions that state every relation, so it
is as strong as such a model can be. What a tagger reaches above it, it read from the image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from laboratory.labels import perfect
from laboratory.world import Tables
from relforge.stages.columns import encode
from relforge.stages.ground.features import describe
from relforge.stages.ground.pairs import read_alternatives
from relforge.trainer.ground.perceptron import Settings, fit

_SETTINGS = Settings(hidden=128, epochs=30, dropout=0.1, hide=0.0, decay=0.01)


Scorer = Callable[[Tables, pa.Table], pa.Table]
"""(`images` and `boxes`, candidates of these) -> the candidates with scores."""


def learn_boxes(learned_from: Tables, seed: int) -> Scorer:
    """The perceptron, fitted.

    Args:
        learned_from: `images`, `boxes` and `gold`.
        seed: of its first weights and the order of its rows.
    """
    known = perfect(learned_from)
    words = _words(learned_from)
    right = in_gold(known, learned_from["gold"])
    facts = describe_candidates(known, learned_from, words)
    model = fit(facts, right, np.ones(len(right)), 0, seed, _SETTINGS)

    def score(tables: Tables, proposed: pa.Table) -> pa.Table:
        logits = model.logits(describe_candidates(proposed, tables, words))
        found = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return proposed.append_column("score", pa.array(found))

    return score


def in_gold(rows: pa.Table, gold: pa.Table) -> np.ndarray:
    """Whether each row (pair columns) is a gold relation."""
    columns = ("image_id", "subject_box", "predicate", "object_box")
    true = set(zip(*(gold[name].to_pylist() for name in columns), strict=True))
    return np.array([key in true for key in zip(*(rows[name].to_pylist() for name in columns), strict=True)])


Words = tuple[list[str], list[str]]
"""Classes and predicates."""


def describe_candidates(proposed: pa.Table, tables: Tables, words: Words | None = None) -> np.ndarray:
    """Numbers that say what boxes and words tell of candidates, N x F.

    Args:
        proposed: the candidates.
        tables: `images` and `boxes` of theirs; without `words` also `gold`.
        words: what classes and predicates there are; by default those of `tables`.
    """
    pairs = read_alternatives(proposed, tables["boxes"], tables["images"])
    classes, predicates = _words(tables) if words is None else words
    columns = [describe(pairs)]
    for given, names in (
        (pairs.subject_class, classes),
        (pairs.object_class, classes),
        (pairs.predicate, predicates),
    ):
        code = encode(pa.array(list(given), pa.string()), pa.array(names, pa.string()))
        columns.append(np.eye(len(names) + 1)[code][:, : len(names)])
    return np.concatenate(columns, axis=1)


def _words(tables: Tables) -> Words:
    names = tables["boxes"]["category"], tables["gold"]["predicate"]
    classes, predicates = (sorted(set(one.to_pylist())) for one in names)
    return classes, predicates
