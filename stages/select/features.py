"""What the quality of a scored relation is told from: its score, its claim, its captions and its classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import encode_in_order, find_last, flatten, number_rows

COLUMNS: Mapping[str, str] = {"image_support": "support_image", "similarity": "similarity"}
"""Tables beside `scores`, by the same keys -> the column that a feature is made of."""
KEYS = ("image_id", "subject_box", "object_box", "predicate")
FEATURES = (
    *("score", "score_share", "score_rank", "alternatives", "support", "prior", "no_prior"),
    *("prior_share", "pair_share", "pair_support", "pair_predicates", "candidates"),
    *("subject_score", "object_score", "image_support", "no_image_support", "similarity", "no_similarity"),
)
_NEAR_ONE = 1e-4


def describe_rows(rows: pa.Table) -> np.ndarray:
    """Features of scored relations; an image's rows have to be there together.

    Scores and probabilities come as logits; `score_share`, `score_rank` and `prior_share` are within the
    claim, `pair_share` and `pair_support` among the predicates of the pair of boxes; counts are as
    logarithms. A value that a row does not have is 0, and where that tells something a feature says so.

    Args:
        rows: of `scores`, with the columns of `COLUMNS` that the run has, see `add_column`.

    Returns:
        float64, N x len(FEATURES).
    """
    count = rows.num_rows
    score, prior = _values(rows, "score", 0.5), _values(rows, "prior", 0.5)
    image = encode_in_order(rows["image_id"])
    claim = _number(image, rows["claim_id"].to_numpy().astype(np.int64))
    pair = _number(image, *(rows[end].to_numpy().astype(np.int64) for end in ("subject_box", "object_box")))
    support = rows["support"].to_numpy().astype(np.float64)
    order = np.lexsort((-score, claim))
    starts = np.flatnonzero(np.diff(claim[order], prepend=-1))
    rank = np.empty(count)
    rank[order] = np.arange(count) - np.repeat(starts, np.diff([*starts, count]))
    columns = {
        "score": _logit(score),
        "score_share": _share(score, claim),
        "score_rank": np.log1p(rank),
        "alternatives": np.log(np.maximum(rows["alternatives"].to_numpy(), 1)),
        "support": np.log1p(support),
        "prior": _logit(prior),
        "no_prior": _missing(rows, "prior"),
        "prior_share": _share(prior, claim),
        "pair_share": _share(score, pair),
        "pair_support": _share(support, pair),
        "pair_predicates": np.log(np.bincount(pair)[pair]),
        "candidates": np.log(np.bincount(image)[image]),
        "subject_score": _logit(_values(rows, "subject_score", 0.5)),
        "object_score": _logit(_values(rows, "object_score", 0.5)),
    }
    for table, column in COLUMNS.items():
        columns[table] = _logit(_values(rows, column, 0.5))
        columns[f"no_{table}"] = _missing(rows, column)
    return np.stack([columns[name] for name in FEATURES], axis=1)


def add_column(rows: pa.Table, table: str, values: pa.Table) -> pa.Table:
    """The rows with the column of a table beside them, null where it has none.

    Args:
        rows: with `KEYS`.
        table: a name in `COLUMNS`.
        values: that table.
    """
    column = COLUMNS[table]
    own, known = number_rows(keys_of(rows), keys_of(values))
    found = find_last(own, known)
    taken = flatten(values[column]).take(pa.array(found, mask=found < 0))
    return rows.append_column(column, taken.cast(pa.float32()))


def keys_of(rows: pa.Table) -> list[pa.ChunkedArray]:
    """Image, subject box, object box and predicate of every row."""
    return [rows[key] for key in KEYS]


def _values(rows: pa.Table, name: str, default: float) -> np.ndarray:
    if name not in rows.column_names:
        return np.full(rows.num_rows, default)
    values: np.ndarray = pc.fill_null(rows[name], default).to_numpy().astype(np.float64)
    return np.where(np.isnan(values), default, values)


def _missing(rows: pa.Table, name: str) -> np.ndarray:
    if name not in rows.column_names:
        return np.ones(rows.num_rows)
    missing: np.ndarray = rows[name].is_null().to_numpy().astype(np.float64)
    return missing


def _logit(probability: np.ndarray) -> np.ndarray:
    near = np.clip(probability, _NEAR_ONE, 1 - _NEAR_ONE)
    logit: np.ndarray = np.log(near / (1 - near))
    return logit


def _share(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Of each value in the sum of its group."""
    total = np.bincount(group, values, minlength=1)[group]
    share: np.ndarray = values / np.maximum(total, _NEAR_ONE)
    return share


def _number(image: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """A number from 0 for each group of rows of an image with equal keys."""
    number = image
    for key in keys:
        span = int(key.max(initial=0)) + 1
        number = np.unique(number * span + key, return_inverse=True)[1]
    return number
