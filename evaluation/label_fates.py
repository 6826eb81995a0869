"""What became of each gold relation: kept, or where it was lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import duckdb

from relforge.evaluation.label_codes import NO_CLASS, with_classes
from relforge.evaluation.label_points import KEYS, Labels

_PART = 1_000_000
"""Gold relations at a time: the images are taken in parts, so that joins fit into little memory."""
FATES = {
    "unspoken": "no claim of the image is about either of its two classes",
    "one name": "claims are about one of its two classes",
    "parse": "claims are about both classes, never together",
    "no verb": "claims relate its two classes, in other words",
    "match": "claims say it, of other boxes",
    "ground": "its pair was found improbable",
    "tag": "it was given to the tagger and got no score",
    "select": "it was scored and not kept",
    "kept": "it is among the relations",
}
"""In the order of the stages; a claim is what candidates of the image say by class."""


def count_fates(connection: duckdb.DuckDBPyConnection, labels: Labels) -> dict[str, int]:
    """Distinct gold relations by fate, in the order of `FATES`; those that never occur are left out.

    Args:
        labels: of `label_codes.encode_labels`.
    """
    [(rows,)] = connection.execute(f"SELECT count(*) FROM {labels.gold}").fetchall()
    parts = 1 + rows // _PART
    found: Counter[str] = Counter()
    for part in range(parts):
        within = f"image_id % {parts} = {part}"
        of_part = {
            one.name: f"(FROM {rows} WHERE {within})"
            for one in fields(labels)
            if (rows := getattr(labels, one.name))
        }
        found.update(_count(connection, replace(labels, **of_part)))
    return {fate: found[fate] for fate in FATES if found[fate]}


def _count(connection: duckdb.DuckDBPyConnection, labels: Labels) -> dict[str, int]:
    """Fates of some images; one join at a time."""
    classes = f"coalesce(subject, {NO_CLASS}) AS subject, coalesce(object, {NO_CLASS}) AS object"
    candidates = with_classes(labels.candidates, labels.boxes)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE left_over AS SELECT {KEYS}, {classes} FROM {labels.gold}"
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE claims AS
        SELECT DISTINCT image_id, predicate, {classes} FROM {candidates}"""
    )
    steps = [
        ("kept", labels.kept, KEYS),
        ("select", labels.scored, KEYS),
        *([("tag", labels.grounded, KEYS)] if labels.grounded else []),
        ("ground" if labels.grounded else "tag", labels.candidates, KEYS),
        ("match", "claims", "image_id, subject, predicate, object"),
        ("no verb", "claims", "image_id, subject, object"),
    ]
    found = {fate: _take(connection, rows, keys) for fate, rows, keys in steps}
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE named AS SELECT image_id, subject AS category FROM claims
        UNION SELECT image_id, object FROM claims"""
    )
    subjects, objects = (_named("left_over", end) for end in ("subject", "object"))
    parse, with_subject, with_object, rest = (
        connection.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0]
        for rows in (_named(subjects, "object"), subjects, objects, "left_over")
    )
    one = with_subject + with_object - 2 * parse
    found |= {"parse": parse, "one name": one, "unspoken": rest - parse - one}
    for name in ("left_over", "claims", "named"):
        connection.execute(f"DROP TABLE {name}")
    return found


def _named(rows: str, end: str) -> str:
    """Those rows whose class at one end a claim of the image has."""
    return f"(SELECT g.* FROM {rows} g SEMI JOIN named n ON n.image_id = g.image_id AND n.category = g.{end})"


def _take(connection: duckdb.DuckDBPyConnection, rows: str, keys: str) -> int:
    """Take gold relations that are among `rows` from the table `left_over`, and count them."""
    same = " AND ".join(f"one.{key.strip()} = g.{key.strip()}" for key in keys.split(","))
    connection.execute(
        f"CREATE TEMP TABLE still_left AS SELECT g.* FROM left_over g ANTI JOIN {rows} one ON {same}"
    )
    [(count,)] = connection.execute(
        "SELECT (SELECT count(*) FROM left_over) - (SELECT count(*) FROM still_left)"
    ).fetchall()
    connection.execute("DROP TABLE left_over")
    connection.execute("ALTER TABLE still_left RENAME TO left_over")
    return int(count)
