"""Two runs of the same images as one: which relation is whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Scene = dict[str, Any]

A, B = 1, 2
"""Bits of `side`: the run that has the relation. A missed gold relation is in neither, 0."""


def merge_scenes(first: Scene, second: Scene) -> Scene:
    """One image of two runs whose boxes are the same.

    A relation of both is listed once, with the second run's score as `score_against`; captions of the second
    run that the first does not have get ids of their own.

    Args:
        first, second: as `scene.describe_image` gives them.
    """
    captions, numbers = _merge_captions(first["captions"], second["captions"])
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    missed: dict[tuple[Any, ...], dict[str, Any]] = {}
    for side, scene in ((A, first), (B, second)):
        for one in scene["relations"]:
            key = (one["subject"], one["predicate"], one["object"])
            if one["verdict"] == "missed":
                missed.setdefault(key, {**one, "side": 0, "score_against": None})
                continue
            evidence = one["evidence"] if side == A else [(numbers[k], spans) for k, spans in one["evidence"]]
            if key not in rows:
                score = one["score"] if side == A else None
                against = None if side == A else one["score"]
                rows[key] = {
                    **one,
                    "side": side,
                    "score": score,
                    "score_against": against,
                    "evidence": evidence,
                }
            elif not rows[key]["side"] & side:
                rows[key] |= {"side": A | B, "score_against": one["score"]}
                rows[key]["evidence"] = _union(rows[key]["evidence"], evidence)
    kept = sorted(rows.values(), key=_order)
    lost = [one for key, one in missed.items() if key not in rows]
    return {**first, "captions": captions, "relations": kept + lost}


def _order(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """As `index.index_run` orders them."""
    best = max(one["score"] or 0.0, one["score_against"] or 0.0)
    return -best, -one["support"], one["subject"], one["object"], one["predicate"]


def _merge_captions(first: list[Any], second: list[Any]) -> tuple[list[Any], dict[int, int]]:
    """Captions of both, and the second's ids -> ids here."""
    texts = dict(first)
    merged, numbers = [list(one) for one in first], {}
    for number, text in second:
        if texts.get(number) == text:
            numbers[number] = number
        else:
            numbers[number] = max([*texts, *numbers.values(), -1]) + 1
            merged.append([numbers[number], text])
    return merged, numbers


def _union(first: list[Any], second: list[Any]) -> list[Any]:
    there = {number for number, _ in first}
    return [*first, *(one for one in second if one[0] not in there)]
