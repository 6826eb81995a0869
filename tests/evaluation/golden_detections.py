"""Stored inputs of the published evaluators as columns of pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from relforge.evaluation.pairs import Pairs

Name = Callable[[int], str]


def named(codes: Any, prefix: str) -> np.ndarray:
    """Codes as names."""
    return np.array([f"{prefix}{code}" for code in codes], object)


def detected(predictions: list[dict[str, Any]], mask: np.ndarray | None = None) -> Pairs:
    """All (pair, relation) combinations of every image, as the evaluators rank them; boxes and scores enter
    as float32."""
    parts: dict[str, list[np.ndarray]] = {key: [] for key in ("image", "s", "v", "o", "sb", "ob", "score")}
    for number, one in enumerate(predictions):
        boxes = np.array(one["boxes"], np.float32).reshape(-1, 4).astype(float)
        labels = np.array(one["labels"], int)
        scores = np.array(one["verb_scores"], np.float32)
        verbs = np.tile(np.arange(scores.shape[1]), len(scores))
        subject, object_ = (np.repeat(one[key], scores.shape[1]) for key in ("sub_ids", "obj_ids"))
        score = scores.reshape(-1).astype(float)
        if mask is not None:
            score = score * mask[verbs, labels[object_]]
        columns = (np.full(len(verbs), number), labels[subject], verbs, labels[object_])
        for key, column in zip(parts, (*columns, boxes[subject], boxes[object_], score), strict=True):
            parts[key].append(column)
    joined = {key: np.concatenate(columns) for key, columns in parts.items()}
    return Pairs(
        named(joined["image"], "image"),
        named(joined["s"], "class"),
        named(joined["v"], "verb"),
        named(joined["o"], "class"),
        joined["sb"],
        joined["ob"],
        joined["score"],
    )


def annotated(images: list[dict[str, Any]], rows: str) -> Pairs:
    """Gold rows (subject, object, relation) of every image; a missing object gets a box of nans."""
    found = [
        (number, one, subject, object_, verb)
        for number, one in enumerate(images)
        for subject, object_, verb in one[rows]
    ]

    def box(one: dict[str, Any], place: int) -> list[float]:
        return np.array(one["boxes"][place], np.float32).tolist() if place >= 0 else [np.nan] * 4

    return Pairs(
        named([row[0] for row in found], "image"),
        named([row[1]["labels"][row[2]] for row in found], "class"),
        named([row[4] for row in found], "verb"),
        named([row[1]["labels"][row[3]] if row[3] >= 0 else "missing" for row in found], "class"),
        np.array([box(row[1], row[2]) for row in found], float).reshape(-1, 4),
        np.array([box(row[1], row[3]) for row in found], float).reshape(-1, 4),
        np.ones(len(found)),
    )
