"""Scene graphs to rows of the `triplets` table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.stages.parse.graph import SceneGraph
from relforge.stages.tables import SCHEMAS, conform

_KEYS = ("image_id", "caption_id", "triplet_id")
_GRAPH_FIELDS = [field for field in SCHEMAS["triplets"] if field.name not in (*_KEYS, "parser")]


def triplet_rows(
    captions: pa.Table, which: np.ndarray, graphs: Sequence[SceneGraph], parser: str, lower_spans: bool
) -> pa.Table:
    """One row per relation per caption.

    The relations of a graph are laid out once and then taken as often as captions share it, so
    duplicate captions cost an index, not Python work.

    Args:
        captions: N captions with `image_id` and `caption_id`.
        which: N integers, the index in `graphs` of each caption.
        graphs: scene graphs of the distinct captions.
        parser: the value of the `parser` column.
        lower_spans: lower-case the subject and object phrases.

    Returns:
        The `triplets` table; `triplet_id` counts the relations of a caption from 0.
    """
    sizes = np.array([len(graph.relations) for graph in graphs], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else sizes
    repeats = sizes[which]  # relations of each caption
    caption = np.repeat(np.arange(len(which)), repeats)
    first = np.cumsum(repeats) - repeats
    triplet_id = np.arange(len(caption)) - first[caption]
    taken = starts[which][caption] + triplet_id

    facts = pa.Table.from_pylist(
        [_facts(graph, i, lower_spans) for graph in graphs for i in range(len(graph.relations))],
        schema=pa.schema(_GRAPH_FIELDS),
    ).take(pa.array(taken, pa.int64()))
    keys = captions.select(["image_id", "caption_id"]).take(pa.array(caption, pa.int64()))
    columns = {
        **{name: keys[name] for name in keys.column_names},
        "triplet_id": pa.array(triplet_id, pa.int32()),
        **{name: facts[name] for name in facts.column_names},
        "parser": pa.array([parser] * len(caption), pa.string()),
    }
    return conform("triplets", pa.table(columns))


def _facts(graph: SceneGraph, index: int, lower_spans: bool) -> dict[str, Any]:
    relation = graph.relations[index]
    row: dict[str, Any] = {
        "predicate": relation.predicate,
        "predicate_lemma": relation.lemma,
        "predicate_start": _offset(relation.start),
        "predicate_end": _offset(relation.end),
        "confidence": relation.confidence,
    }
    for role, entity in (
        ("subject", graph.entities[relation.subject]),
        ("object", graph.entities[relation.object]),
    ):
        row[role] = entity.text.lower() if lower_spans else entity.text
        row[f"{role}_head"] = entity.head
        row[f"{role}_lemma"] = entity.lemma
        row[f"{role}_start"] = _offset(entity.start)
        row[f"{role}_end"] = _offset(entity.end)
    return row


def _offset(value: int) -> int | None:
    return None if value < 0 else value
