"""The index of the image page: what filters, search and order need of every relation, as columns.

The page holds it whole, so that 50,000 images are filtered without reading one of them. Relations of an image
have the order of `scene.describe_image`, so that a place in the index is a place in the image's list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.reports.query import select

VERDICTS = {None: "-", "right": "r", "wrong": "w", "missed": "m"}
"""One letter each, joined to one text."""
NO_CLASS = "box"
"""Class of a box that the image does not have."""
_KEY = "image_id, subject_box, object_box, predicate"


def index_scenes(scenes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The index of images that are at hand.

    Args:
        scenes: as `scene.describe_image` gives them, in reading order.

    Returns:
        `images` (ids), `first` (place of each image's first relation, and the end), `kinds` (subject class,
        predicate, object class) and, per relation, `kind` (place in `kinds`), `score`, `support`, `verdict`;
        for two runs also `side` and `score_against`.
    """
    rows = []
    for place, scene in enumerate(scenes):
        classes = {box["id"]: box["category"] for box in scene["boxes"]}
        for one in scene["relations"]:
            row = {name: one.get(name) for name in ("predicate", "score", "verdict", "side", "score_against")}
            row |= {end: classes.get(one[end], NO_CLASS) for end in ("subject", "object")}
            rows.append(row | {"place": place, "support": one.get("support") or 0})
    names = (
        "place",
        "subject",
        "predicate",
        "object",
        "score",
        "support",
        "verdict",
        "side",
        "score_against",
    )
    table = pa.table({name: pa.array([row[name] for row in rows], _TYPES[name]) for name in names})
    return _columns([scene["id"] for scene in scenes], table)


def index_run(
    connection: duckdb.DuckDBPyConnection, images: Sequence[str], shown: str, gold: bool, against: str = ""
) -> dict[str, Any]:
    """The same from the tables of a run, in one query.

    Args:
        connection: has the run's tables; with `against`, the other run's relations too.
        images: ids, in reading order.
        shown: the table whose rows are shown.
        gold: the run has gold relations.
        against: the other run's table, or empty.
    """
    connection.register("indexed", pa.table({"image_id": images, "place": np.arange(len(images))}))
    connection.register("shown_a", _rows(connection, shown))
    other = _rows(connection, against) if against else _rows(connection, shown).slice(0, 0)
    connection.register("shown_b", other)
    merged = f"""
        SELECT {_KEY}, a.score AS score, b.score AS score_against,
            CASE WHEN a.support IS NULL THEN 2 WHEN b.support IS NULL THEN 1 ELSE 3 END AS side,
            coalesce(a.support, b.support) AS support
        FROM {_once("shown_a")} a FULL JOIN {_once("shown_b")} b USING ({_KEY})"""
    alone = f"SELECT {_KEY}, score, NULL::FLOAT AS score_against, NULL::TINYINT AS side, support FROM shown_a"
    parts = [
        f"SELECT *, {_verdict(gold)} AS verdict, false AS missed FROM ({merged if against else alone}) one"
    ]
    if gold:
        score = (
            f"SELECT {_KEY}, max(score) AS score FROM scores GROUP BY ALL"
            if _has(connection, "scores") and not _has_column(connection, shown, "quality")
            else ""
        )
        joined = f"LEFT JOIN ({score}) s USING ({_KEY})" if score else ""
        parts.append(f"""
            SELECT {_KEY}, {"s.score" if score else "NULL::FLOAT"}, NULL::FLOAT,
                {"0::TINYINT" if against else "NULL::TINYINT"}, 0, 'missed', true
            FROM gold ANTI JOIN shown_a USING ({_KEY}) ANTI JOIN shown_b USING ({_KEY}) {joined}""")
    table = select(
        connection,
        f"""
        SELECT place, coalesce(s.category, '{NO_CLASS}') AS subject, predicate,
            coalesce(o.category, '{NO_CLASS}') AS object, score, support, verdict, side, score_against
        FROM ({" UNION ALL ".join(parts)}) r
        JOIN indexed USING (image_id)
        LEFT JOIN boxes s ON s.image_id = r.image_id AND s.box_id = r.subject_box
        LEFT JOIN boxes o ON o.image_id = r.image_id AND o.box_id = r.object_box
        ORDER BY place, missed, CASE WHEN missed THEN 0 ELSE -greatest(coalesce(score, 0),
            coalesce(score_against, 0)) END, CASE WHEN missed THEN 0 ELSE -support END,
            subject_box, object_box, predicate""",
    )
    return _columns(images, table)


_TYPES = {
    "place": pa.int64(),
    **dict.fromkeys(("subject", "predicate", "object", "verdict"), pa.string()),
    "score": pa.float32(),
    "score_against": pa.float32(),
    "support": pa.int64(),
    "side": pa.int8(),
}


def _rows(connection: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """Rows of a table of relations, by the columns that the index takes; candidates have no score."""
    score = "score" if _has_column(connection, name, "score") else "NULL::FLOAT AS score"
    if _has_column(connection, name, "quality"):
        score = "coalesce(quality, score) AS score"  # what they were chosen by
    return select(
        connection, f"SELECT {_KEY}, {score}, support FROM {name} SEMI JOIN indexed USING (image_id)"
    )


def _has_column(connection: duckdb.DuckDBPyConnection, table: str, name: str) -> bool:
    return name in connection.sql(f"SELECT * FROM {table} LIMIT 0").columns


def _once(name: str) -> str:
    """Each relation once, the best by score (`select.deduplicate: none` repeats them)."""
    order = "coalesce(score, 0) DESC, support DESC"
    return f"(SELECT * FROM {name} QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY {order}) = 1)"


def _verdict(gold: bool) -> str:
    keys = " AND ".join(f"g.{name.strip()} = one.{name.strip()}" for name in _KEY.split(","))
    return f"CASE WHEN EXISTS (FROM gold g WHERE {keys}) THEN 'right' ELSE 'wrong' END" if gold else "NULL"


def _has(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    return (name,) in connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()


def _columns(images: Iterable[str], table: pa.Table) -> dict[str, Any]:
    """Values that JSON holds in little space."""
    images = list(images)
    ends = [table[name].fill_null("") for name in ("subject", "predicate", "object")]
    kind = pc.binary_join_element_wise(*(pc.cast(one, pa.string()) for one in ends), "\x1f")
    packed = kind.combine_chunks().dictionary_encode()
    if isinstance(packed, pa.ChunkedArray):
        packed = packed.unify_dictionaries().combine_chunks()
    kinds = [text.split("\x1f") for text in packed.dictionary.to_pylist()]
    counts = np.bincount(table["place"].to_numpy(), minlength=len(images))
    index: dict[str, Any] = {
        "images": images,
        "first": [0, *np.cumsum(counts).tolist()],
        "kinds": kinds,
        "kind": packed.indices.to_pylist(),
        "score": _rounded(table["score"]),
        "support": table["support"].to_pylist(),
        "verdict": "".join(VERDICTS[one] for one in table["verdict"].to_pylist()),
    }
    if table["side"].null_count < table.num_rows:
        index |= {"side": table["side"].to_pylist(), "score_against": _rounded(table["score_against"])}
    return index


def _rounded(column: pa.ChunkedArray) -> list[float | None]:
    """Four digits: the page's slider has two."""
    values = np.round(column.cast(pa.float64()).to_numpy(zero_copy_only=False), 4).tolist()
    return [None if one != one else one for one in values]
