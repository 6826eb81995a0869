"""What became of each gold relation: kept, or where it was lost."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from relforge.evaluation.label_points import KEYS, Labels

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


def count_fates(
    connection: duckdb.DuckDBPyConnection, labels: Labels, tables: Collection[str]
) -> dict[str, int]:
    """Distinct gold relations by fate, in the order of `FATES`; those that never occur are left out.

    Args:
        tables: that the connection has; a run without `grounded` gives its candidates to the tagger.
    """
    same = " AND ".join(f"one.{key.strip()} = g.{key.strip()}" for key in KEYS.split(","))

    def among(rows: str) -> str:
        return f"EXISTS (FROM {rows} one WHERE {same})"

    def claimed(*wanted: str) -> str:
        return f"EXISTS (FROM claims c WHERE c.image_id = g.image_id AND {' AND '.join(wanted)})"

    def named(end: str) -> str:
        return f"EXISTS (FROM named c WHERE c.image_id = g.image_id AND c.category = g.{end})"

    lost = [
        (among(labels.kept), "kept"),
        (among(labels.scored), "select"),
        *([(among("grounded"), "tag")] if "grounded" in tables else []),
        (among(labels.candidates), "ground" if "grounded" in tables else "tag"),
        (claimed("c.subject = g.subject", "c.object = g.object", "c.predicate = g.predicate"), "match"),
        (claimed("c.subject = g.subject", "c.object = g.object"), "no verb"),
        (f"({named('subject')} AND {named('object')})", "parse"),
        (f"({named('subject')} OR {named('object')})", "one name"),
    ]
    cases = " ".join(f"WHEN {condition} THEN '{fate}'" for condition, fate in lost)
    counts = dict(
        connection.execute(
            f"""WITH claims AS (SELECT DISTINCT image_id, subject, predicate, object
                    FROM {_with_classes(labels.candidates, labels.boxes)}),
                named AS (SELECT image_id, subject AS category FROM claims
                    UNION SELECT image_id, object FROM claims)
            SELECT CASE {cases} ELSE 'unspoken' END AS fate, count(*)
            FROM (SELECT DISTINCT {KEYS}, subject, object FROM {_with_classes(labels.gold, labels.boxes)}) g
            GROUP BY 1"""
        ).fetchall()
    )
    return {fate: counts[fate] for fate in FATES if fate in counts}


def _with_classes(rows: str, boxes: str) -> str:
    return f"""(SELECT r.image_id, r.subject_box, r.object_box, r.predicate,
        coalesce(s.category, '') AS subject, coalesce(o.category, '') AS object FROM {rows} r
        LEFT JOIN {boxes} s ON s.image_id = r.image_id AND s.box_id = r.subject_box
        LEFT JOIN {boxes} o ON o.image_id = r.image_id AND o.box_id = r.object_box)"""
