"""Judged relations of a run: by its gold, or by what people corrected."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.source_tables import read_corrections
from relforge.data.sources import read_table
from relforge.stages.columns import encode, flatten
from relforge.stages.corrections.table import REMOVED, RIGHT
from relforge.stages.image_support.stage import IMAGE_SUPPORT
from relforge.stages.select.quality import describe_rows
from relforge.stages.select.stage import add_support
from relforge.trainer.quality.fit import Examples

_KEYS = ("image_id", "subject_box", "object_box", "predicate")


def read_examples(run: str, corrected: bool = False) -> Examples:
    """Scored relations of a run that somebody judged.

    Args:
        run: the run folder.
        corrected: judged by people's corrections, where those are of a relation; otherwise by the gold, where
            what it does not have is wrong.

    Raises:
        ValueError: not a run with scores, or nobody judged any of them.
    """
    rows = read_table(run, "scores").combine_chunks()
    rows = rows.filter(pc.invert(pc.is_nan(rows["score"])))
    try:
        support = read_table(run, "image_support", IMAGE_SUPPORT.schema)
    except ValueError:  # the run has no such stage
        support = None
    if support is not None:
        rows = add_support(rows, support)
    features = describe_rows(rows)
    keys = list(zip(*(rows[key].to_pylist() for key in _KEYS), strict=True))
    if corrected:
        corrections = read_corrections(run)
        said = {} if corrections is None else _verdicts(corrections.relations)
        judged = np.array([said.get(key) in (RIGHT, REMOVED) for key in keys], bool)
        right = np.array([said.get(key) == RIGHT for key in keys], bool)
        advice = "import corrections with `relforge import label-studio`, or leave --corrections out"
    else:
        table = read_table(run, "gold")
        gold = set(zip(*(table[key].to_pylist() for key in _KEYS), strict=True))
        judged = np.full(len(keys), bool(gold))
        right = np.array([key in gold for key in keys], bool)
        advice = "its source has no gold; judge some in Label Studio and use --corrections"
    if not judged.any():
        raise ValueError(f"{run}: no scored relation is judged: {advice}")
    predicates = pc.unique(flatten(rows["predicate"]))
    return Examples(
        features=features[judged],
        predicate=encode(rows["predicate"], predicates)[judged],
        predicates=predicates.to_pylist(),
        image=np.array(rows["image_id"].to_pylist(), object)[judged],
        right=right[judged],
        image_support=support is not None,
    )


def hash_examples(examples: Examples) -> str:
    """SHA-256 of features and judgements, for the card."""
    found = hashlib.sha256()
    for values in (examples.features, examples.predicate, examples.right):
        found.update(np.ascontiguousarray(values).tobytes())
    found.update("\n".join(examples.predicates).encode())
    return found.hexdigest()


def _verdicts(corrections: pa.Table) -> dict[tuple[object, ...], str]:
    return {tuple(row[key] for key in _KEYS): row["verdict"] for row in corrections.to_pylist()}
