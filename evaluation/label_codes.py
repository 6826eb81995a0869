"""Labels with numbers in place of texts, so that every join, group and order is of integers.

An image id becomes its place among all of them in order; a predicate or a class becomes a value of an
enumeration whose values are in order. So results come in the order of the texts, and as texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import duckdb

from relforge.evaluation.label_points import KEYS, Labels
from relforge.evaluation.label_prior import FOLD

_IMAGES, _PREDICATE, _CLASS = "image_numbers", "predicate_name", "class_name"
NO_CLASS = f"''::{_CLASS}"
"""The class of a box that the image does not have."""


class LabelCodes:
    """The numbers of some tables, which become temporary tables of the connection.

    Args:
        connection: has the tables.
        tables: names or sub-queries with `image_id` and `predicate`.
        boxes: the same with `image_id` and `category`; None where no classes are needed.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, tables: Iterable[str], boxes: str | None = None
    ) -> None:
        self._connection = connection
        tables = list(tables)
        ids = _all("image_id", [*tables, *([boxes] if boxes else [])])
        connection.execute(
            f"""CREATE TEMP TABLE {_IMAGES} AS
            SELECT image_id AS name, row_number() OVER (ORDER BY image_id)::INTEGER AS number
            FROM (SELECT DISTINCT image_id FROM {ids})"""
        )
        self._name(_PREDICATE, _all("predicate", tables))
        if boxes:
            self._name(_CLASS, _all("category", [boxes]))

    def number(self, rows: str, columns: str = "") -> str:
        """Relations of one of `tables` with numbers, as a sub-query.

        Args:
            columns: further ones, each after a comma.
        """
        return f"""(SELECT number AS image_id, subject_box, object_box, predicate::{_PREDICATE} AS predicate
            {columns} FROM {rows} r JOIN {_IMAGES} n ON n.name = r.image_id)"""

    def write_boxes(self, name: str, boxes: str) -> str:
        """The same of boxes: `image_id`, `box_id`, `category`, and the `half` that the image is in."""
        self._connection.execute(
            f"""CREATE TEMP TABLE {name} AS
            SELECT number AS image_id, box_id, category::{_CLASS} AS category, half FROM {boxes} b
            JOIN (SELECT *, {FOLD.format("name")} AS half FROM {_IMAGES}) n ON n.name = b.image_id"""
        )
        return name

    def texts(self, numbers: Iterable[int]) -> list[str]:
        """The ids of the images of these numbers, in order."""
        if not (wanted := ", ".join(map(str, sorted(set(numbers))))):
            return []
        sql = f"SELECT name FROM {_IMAGES} WHERE number IN ({wanted}) ORDER BY number"
        return [name for (name,) in self._connection.execute(sql).fetchall()]

    def _name(self, kind: str, texts: str) -> None:
        self._connection.execute(
            f"CREATE TYPE {kind} AS ENUM (SELECT '' UNION SELECT * FROM {texts} ORDER BY 1)"
        )


def encode_labels(connection: duckdb.DuckDBPyConnection, labels: Labels) -> Labels:
    """The same labels as temporary tables with numbers, every relation once.

    Returns:
        names of tables: the gold with `subject`, `object` and `half` (`with_classes`); the boxes with `half`;
        the others with `times` (how often the relation was there), the best `score` (of candidates 1) and
        `is_right` (whether the gold has it).
    """
    given = {name: getattr(labels, name) for name in ("candidates", "grounded", "scored", "kept")}
    if labels.confidence != labels.kept:
        given["confidence"] = labels.confidence
    given = {name: rows for name, rows in given.items() if rows}
    codes = LabelCodes(connection, [*given.values(), labels.gold], labels.boxes)
    boxes = codes.write_boxes("coded_boxes", labels.boxes)
    gold = f"(SELECT DISTINCT * FROM {codes.number(labels.gold)})"
    connection.execute(f"CREATE TEMP TABLE coded_gold AS FROM {with_classes(gold, boxes)}")
    same = " AND ".join(f"g.{key.strip()} = one.{key.strip()}" for key in KEYS.split(","))
    written = {}
    for name, rows in given.items():
        score = "1::FLOAT" if name in ("candidates", "grounded") else "max(score)"
        numbered = codes.number(rows, "" if name in ("candidates", "grounded") else ", score")
        once = f"SELECT {KEYS}, {score} AS score, count(*)::INTEGER AS times FROM {numbered} GROUP BY {KEYS}"
        written[name] = f"coded_{name}"
        connection.execute(
            f"""CREATE TEMP TABLE {written[name]} AS
            SELECT *, EXISTS (FROM coded_gold g WHERE {same}) AS is_right FROM ({once}) one"""
        )
    confidence = written.get("confidence", written["kept"])
    return replace(labels, **written, confidence=confidence, gold="coded_gold", boxes=boxes)


def with_classes(rows: str, boxes: str) -> str:
    """Relations of `LabelCodes` as a sub-query, with the classes `subject` and `object` of their boxes, null
    where the image has no such box, and the `half` that the image is in, null where there is no subject."""
    return f"""(SELECT r.*, s.category AS subject, o.category AS object, s.half AS half FROM {rows} r
        LEFT JOIN {boxes} s ON s.image_id = r.image_id AND s.box_id = r.subject_box
        LEFT JOIN {boxes} o ON o.image_id = r.image_id AND o.box_id = r.object_box)"""


def _all(column: str, tables: Iterable[str]) -> str:
    """A column of several tables, each value at least once, as a sub-query."""
    return "(" + " UNION ALL ".join(f"SELECT DISTINCT {column} FROM {one}" for one in tables) + ")"
