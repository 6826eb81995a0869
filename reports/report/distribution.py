"""How relations spread over predicates, class pairs and scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

BINS = 20


def counts(rows: pa.Table, keys: tuple[str, ...], most: int) -> list[dict[str, Any]]:
    """The most frequent values.

    Args:
        rows: has the columns `keys`.
        keys: what to count by, e.g. `("subject_class", "predicate", "object_class")`.
        most: rows returned.

    Returns:
        rows with the keys and `count`, most frequent first, ties by name.
    """
    found = rows.group_by(list(keys)).aggregate([([], "count_all")])
    order = [("count_all", "descending"), *((key, "ascending") for key in keys)]
    return [
        {key: row[key] for key in keys} | {"count": row["count_all"]}
        for row in found.sort_by(order).slice(0, most).to_pylist()
    ]


def histogram(scores: np.ndarray, bins: int = BINS) -> list[int]:
    """How many scores fall into each of equal bins from 0 to 1; 1 belongs to the last."""
    return np.histogram(scores, bins=bins, range=(0.0, 1.0))[0].tolist()
