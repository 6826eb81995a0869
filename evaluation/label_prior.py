"""The frequency prior of a run's candidates as points, see `prior.prior_scores`."""

from __future__ import annotations

import duckdb

_FOLD = "(substr(sha256(image_id), 2, 1) IN ('1', '3', '5', '7', '9', 'b', 'd', 'f'))::TINYINT"
"""`prior.fold`: the first byte is odd where its second digit is."""


def write_classes(connection: duckdb.DuckDBPyConnection, name: str, boxes: str) -> None:
    """Write the table `name`: each box with a number for its class and the half that its image is in.

    Args:
        boxes: `image_id`, `box_id`, `category`.
    """
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {name} AS
        SELECT image_id, box_id, class, half FROM {boxes}
        JOIN (SELECT category, row_number() OVER ()::INTEGER AS class FROM (
            SELECT DISTINCT category FROM {boxes})) USING (category)
        JOIN (SELECT image_id, {_FOLD} AS half FROM (
            SELECT DISTINCT image_id FROM {boxes})) USING (image_id)"""
    )


def prior_points(rows: str, gold: str, classes: str) -> str:
    """Points (`predicate`, `score`, `n`, `hits`) of relations that are ranked by frequency, as a sub-query.

    A score is the share of box pairs of its two classes that have its predicate in the gold of the other half
    of the images.

    Args:
        rows: relations with `is_right`, each once.
        gold: relations, each once.
        classes: of `write_classes`.
    """
    return f"""(
        WITH of_gold AS (SELECT {_KIND}, count(*) AS relations FROM {gold} r {_join(classes)} GROUP BY ALL),
        of_rows AS (
            SELECT {_KIND}, count(*) AS n, count_if(is_right) AS hits
            FROM {rows} r {_join(classes)} GROUP BY ALL
        ),
        counted AS (SELECT image_id, half, class, count(*) AS boxes FROM {classes} GROUP BY ALL),
        pairs AS (
            SELECT a.half, a.class AS subject, b.class AS object,
                sum(a.boxes * (b.boxes - (a.class = b.class)::INTEGER)) AS pairs
            FROM counted a JOIN counted b USING (image_id) GROUP BY ALL
        )
        SELECT r.predicate, (coalesce(g.relations, 0) / greatest(coalesce(p.pairs, 0), 1))::FLOAT AS score,
            r.n, r.hits
        FROM of_rows r
        LEFT JOIN of_gold g ON g.half = 1 - r.half AND g.subject = r.subject AND g.predicate = r.predicate
            AND g.object = r.object
        LEFT JOIN pairs p ON p.half = 1 - r.half AND p.subject = r.subject AND p.object = r.object
    )"""


_KIND = "s.half AS half, s.class AS subject, r.predicate AS predicate, o.class AS object"


def _join(classes: str) -> str:
    ends = (("s", "subject_box"), ("o", "object_box"))
    return " ".join(
        f"LEFT JOIN {classes} {end} ON {end}.image_id = r.image_id AND {end}.box_id = r.{box}"
        for end, box in ends
    )
