"""Relations that a file already holds, as table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from relforge.stages.relation_ids import relation_ids
from relforge.stages.tables import SCHEMAS, conform

_BLANK: dict[str, Any] = {
    "position": 0,
    "support": 1,
    "caption_ids": [],
    "triplet_ids": [],
    "rule": "import",
    "score": 1.0,
    "subject_score": None,
    "object_score": None,
    "tagger": "import",
}


def gold_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The `gold` table of rows with at least image_id, subject_box, object_box and predicate."""
    schema = SCHEMAS["gold"]
    if not rows:
        return schema.empty_table()
    return conform("gold", pa.Table.from_pylist([{n: row[n] for n in schema.names} for row in rows], schema))


def relation_table(rows: Sequence[Mapping[str, Any]], images: pa.Table) -> pa.Table:
    """The `relations` table of the same rows; what they do not say is filled in (score 1, rule and tagger
    `import`), and the id is derived anew.

    Args:
        rows: pair columns and any other column of the table.
        images: the images the rows belong to.
    """
    if not rows:
        return SCHEMAS["relations"].empty_table()
    schema = pa.schema([f for f in SCHEMAS["relations"] if f.name != "relation_id"])
    table = pa.Table.from_pylist(
        [_BLANK | {k: v for k, v in row.items() if v is not None} for row in rows], schema
    )
    return conform("relations", table.append_column("relation_id", relation_ids(table, images)))
