"""The facts of one image on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relforge.reports.view.evidence import Row, find_evidence, triplets_by_key

Key = tuple[int, int, str]


def describe_image(
    image: Row, tables: Mapping[str, Sequence[Row]], shown: str, gold: bool, learned: bool = False
) -> dict[str, Any]:
    """Facts of one image as plain values.

    Args:
        image: its row of `images`.
        tables: table name -> rows of this image.
        shown: the table whose rows are drawn: `relations`, or `scores`, `proposed` or `candidates` where the
            run stops earlier.
        gold: the run has gold relations, so a relation that is not among them is wrong.
        learned: the run chose by the learnt quality.

    Returns:
        `id`, `width`, `height` (pixels that boxes count in), `boxes`, `captions` (text by id), `relations`
        with `score` (what the run chose by), `verdict` (right, wrong, missed or None) and `evidence`
        (caption_id, spans); where the learnt quality chose, `score` is that and `tagger` the tagger's.
    """
    boxes = {row["box_id"]: row for row in tables.get("boxes", ())}
    texts = {row["caption_id"]: row["text"] for row in tables.get("captions", ())}
    triplets = triplets_by_key(tables.get("triplets", ()))
    true = {_key(row) for row in tables.get("gold", ())}

    def entry(row: Row) -> dict[str, Any]:
        quality = row.get("quality")
        return {
            **_pair(row),
            "score": row.get("score") if quality is None else quality,
            **({} if quality is None else {"tagger": row["score"]}),
            "support": row["support"],
            "rule": row["rule"],
            "verdict": ("right" if _key(row) in true else "wrong") if gold else None,
            "evidence": find_evidence(row, texts, triplets),
        }

    kept = [entry(row) for row in tables.get(shown, ())]
    kept.sort(key=_order)
    found = {_key(row) for row in tables.get(shown, ())}
    missed = _missed(tables, found)
    if learned:  # the tagger's scores are no qualities
        missed = [{**one, "score": None} for one in missed]
    return {
        "id": image["image_id"],
        "width": image["width"],
        "height": image["height"],
        "boxes": [_box(row) for row in boxes.values()],
        "captions": [[number, text] for number, text in sorted(texts.items())],
        "relations": kept + missed,
    }


def _order(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """The best first, as `index.index_run` orders them."""
    return -(one["score"] or 0.0), -one["support"], one["subject"], one["object"], one["predicate"]


def _missed(tables: Mapping[str, Sequence[Row]], found: set[Key]) -> list[dict[str, Any]]:
    """Gold relations that are not shown, each with the stage that lost it and the score it had there."""
    score: dict[Key, float] = {}
    for row in tables.get("scores", ()):
        score[_key(row)] = max(row["score"], score.get(_key(row), 0.0))
    candidates = {_key(row) for name in ("candidates", "proposed") for row in tables.get(name, ())}
    missed = []
    for row in tables.get("gold", ()):
        if (key := _key(row)) in found:
            continue
        why = "not among the candidates"
        if key in score:
            why = f"scored {score[key]:.2f} and not kept"
        elif key in candidates:
            why = "a candidate without a score"
        missed.append(
            {**_pair(row), "score": score.get(key), "verdict": "missed", "why": why, "evidence": []}
        )
    return missed


def _key(row: Row) -> Key:
    return row["subject_box"], row["object_box"], row["predicate"]


def _pair(row: Row) -> dict[str, Any]:
    return {"subject": row["subject_box"], "predicate": row["predicate"], "object": row["object_box"]}


def _box(row: Row) -> dict[str, Any]:
    return {
        "id": row["box_id"],
        "category": row["category"],
        "xywh": [round(row[side], 2) for side in "xywh"],
        "crowd": row["iscrowd"],
    }
