"""What boxes and classes alone tell: a perceptron that sees everything about a candidate but the pixels.

It learns from all gold of its training images, with candidates of captions that state every relation, so it
is as strong as such a model can be. What a tagger reaches above it, it read from the image.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laboratory.labels import perfect
from laboratory.world import Tables
from relforge.stages.columns import encode
from relforge.stages.ground.features import describe
from relforge.stages.ground.pairs import Alternatives, read_alternatives
from relforge.trainer.ground.perceptron import Settings, fit

_SETTINGS = Settings(hidden=128, epochs=30, dropout=0.1, hide=0.0, decay=0.01)


def score_from_boxes(learned_from: Tables, tables: Tables, proposed: pa.Table, seed: int) -> pa.Table:
    """Candidates with the perceptron's scores.

    Args:
        learned_from: `images`, `boxes` and `gold` that it is fitted to.
        tables: the same of the images to be scored.
        proposed: their candidates.
        seed: of its first weights and the order of its rows.
    """
    known = perfect(learned_from)
    pairs = read_alternatives(known, learned_from["boxes"], learned_from["images"])
    classes = sorted(set(learned_from["boxes"]["category"].to_pylist()))
    predicates = sorted(set(learned_from["gold"]["predicate"].to_pylist()))
    right = in_gold(known, learned_from["gold"])
    model = fit(_features(pairs, classes, predicates), right, np.ones(len(right)), 0, seed, _SETTINGS)
    asked = read_alternatives(proposed, tables["boxes"], tables["images"])
    logits = model.logits(_features(asked, classes, predicates))
    score = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return proposed.append_column("score", pa.array(score))


def in_gold(rows: pa.Table, gold: pa.Table) -> np.ndarray:
    """Whether each row (pair columns) is a gold relation."""
    columns = ("image_id", "subject_box", "predicate", "object_box")
    true = set(zip(*(gold[name].to_pylist() for name in columns), strict=True))
    return np.array([key in true for key in zip(*(rows[name].to_pylist() for name in columns), strict=True)])


def _features(pairs: Alternatives, classes: list[str], predicates: list[str]) -> np.ndarray:
    words = [
        (pairs.subject_class, classes),
        (pairs.object_class, classes),
        (pairs.predicate, predicates),
    ]
    columns = [describe(pairs)]
    for given, names in words:
        code = encode(pa.array(list(given), pa.string()), pa.array(names, pa.string()))
        columns.append(np.eye(len(names) + 1)[code][:, : len(names)])
    return np.concatenate(columns, axis=1)
