"""Judged relations of a run: by its gold, or by what people corrected."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.source_tables import read_corrections
from relforge.data.sources import read_table
from relforge.stages.columns import encode, find_last, flatten, number_rows
from relforge.stages.corrections.corrections import Corrections
from relforge.stages.corrections.table import REMOVED, RIGHT
from relforge.stages.image_support.table import IMAGE_SUPPORT
from relforge.stages.select.features import COLUMNS, add_column, describe_rows, keys_of
from relforge.stages.similarity.table import SIMILARITY
from relforge.trainer.quality.fit import Examples

_SPECS = {"image_support": IMAGE_SUPPORT, "similarity": SIMILARITY}


def read_examples(run: str, corrected: bool = False) -> Examples:
    """Scored relations of a run that somebody judged.

    Args:
        run: the run folder.
        corrected: judged by people's corrections, where those are of a relation; otherwise by the gold, where
            what it does not have is wrong.

    Raises:
        ValueError: not a run with scores, or nobody judged any of them.
    """
    rows = read_table(run, "scores", without=("caption_ids", "triplet_ids")).combine_chunks()
    rows = rows.filter(pc.invert(pc.is_nan(rows["score"])))
    tables = set()
    for table in COLUMNS:
        try:
            values = read_table(run, table, _SPECS[table].schema)
        except ValueError:  # the run has no such stage
            continue
        rows = add_column(rows, table, values)
        tables.add(table)
    if not corrected:
        gold = read_table(run, "gold")
        if not gold.num_rows or not rows.num_rows:
            raise ValueError(
                f"{run}: no scored relation is judged: its source has no gold; judge some in Label Studio "
                "and use --corrections"
            )
        return judge_by_gold(rows, gold, tables)
    corrections = read_corrections(run)
    said = (corrections or Corrections()).relations
    found = find_last(*number_rows(keys_of(rows), keys_of(said)))
    verdicts = flatten(said["verdict"]).take(pa.array(found, mask=found < 0))
    right, removed = (
        pc.fill_null(pc.equal(verdicts, one), False).to_numpy(zero_copy_only=False)
        for one in (RIGHT, REMOVED)
    )
    judged = right | removed
    if not judged.any():
        raise ValueError(
            f"{run}: no scored relation is judged: import corrections with `relforge import label-studio`, "
            "or leave --corrections out"
        )
    return _describe(rows, judged, right, int(right.sum()), tables)


def judge_by_gold(rows: pa.Table, gold: pa.Table, tables: set[str] | None = None) -> Examples:
    """All of some scored relations, judged by a gold that has every true relation.

    Args:
        rows: of `scores`.
        gold: pair columns.
        tables: tables whose columns the rows have, see `stages.select.features.COLUMNS`.
    """
    keys, known = number_rows(keys_of(rows), keys_of(gold))
    right = np.isin(keys, known)
    return _describe(rows, np.ones(len(right), bool), right, len(np.unique(known)), tables or set())


def _describe(
    rows: pa.Table, judged: np.ndarray, right: np.ndarray, positives: int, tables: set[str]
) -> Examples:
    """The judged rows; their features are those among all rows, since a claim's rows are compared."""
    predicates = pc.unique(flatten(rows["predicate"]))
    return Examples(
        features=describe_rows(rows)[judged],
        predicate=encode(rows["predicate"], predicates)[judged],
        predicates=predicates.to_pylist(),
        image=np.array(rows["image_id"].to_pylist(), object)[judged],
        right=right[judged],
        positives=positives,
        tables=frozenset(tables),
    )


def hash_examples(examples: Examples) -> str:
    """SHA-256 of features and judgements, for the card."""
    found = hashlib.sha256()
    for values in (examples.features, examples.predicate, examples.right):
        found.update(np.ascontiguousarray(values).tobytes())
    found.update("\n".join(examples.predicates).encode())
    return found.hexdigest()
