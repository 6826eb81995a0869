"""The frequency prior of a run's candidates as points, see `prior.prior_scores`."""

from __future__ import annotations

FOLD = "(substr(sha256({}), 2, 1) IN ('1', '3', '5', '7', '9', 'b', 'd', 'f'))::TINYINT"
"""`prior.fold` of an image id: the first byte is odd where its second digit is."""


def prior_points(rows: str, gold: str, boxes: str) -> str:
    """Points (`predicate`, `score`, `n`, `hits`) of relations that are ranked by frequency, as a sub-query.

    A score is the share of box pairs of its two classes that have its predicate in the gold of the other half
    of the images.

    Args:
        rows: relations with `is_right`, `subject`, `object` and `half`, each once.
        gold: relations with the same but for `is_right`, each once.
        boxes: `image_id`, `category` and `half`.
    """
    return f"""(
        WITH merged AS (
            SELECT {_KIND}, 1 AS n, is_right::INTEGER AS hits, 0 AS relations FROM {rows}
            UNION ALL SELECT 1 - half, subject, predicate, object, 0, 0, 1 FROM {gold}
            WHERE subject IS NOT NULL AND object IS NOT NULL  -- of boxes that are not there nothing is known
        ),
        kinds AS (
            SELECT {_KIND}, sum(n) AS n, sum(hits) AS hits, sum(relations) AS relations
            FROM merged GROUP BY ALL
        ),
        counted AS (SELECT image_id, half, category, count(*) AS boxes FROM {boxes} GROUP BY ALL),
        pairs AS (
            SELECT a.half, a.category AS subject, b.category AS object,
                sum(a.boxes * (b.boxes - (a.category = b.category)::INTEGER)) AS pairs
            FROM counted a JOIN counted b USING (image_id) GROUP BY ALL
        )
        SELECT k.predicate, (k.relations / greatest(coalesce(p.pairs, 0), 1))::FLOAT AS score, k.n, k.hits
        FROM kinds k
        LEFT JOIN pairs p ON p.half = 1 - k.half AND p.subject = k.subject AND p.object = k.object
        WHERE k.n > 0
    )"""


_KIND = "half, subject, predicate, object"
