"""Label quality computed in memory from whole tables: what `label_quality` has to agree with."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.evaluator import Row
from relforge.evaluation.labels import Quality, compare_labels
from relforge.evaluation.precision_recall import Curve
from relforge.evaluation.prior import prior_scores

_POINTS = 200
_KEYS = ["image_id", "subject_box", "object_box", "predicate"]
_CLASSES = ["subject_class", "object_class"]


def assess_labels(
    candidates: pa.Table,
    scored: pa.Table,
    kept: pa.Table,
    gold: pa.Table,
    boxes: pa.Table,
    threshold: float,
) -> dict[str, Any]:
    """Everything that the report shows of label quality, as plain values.

    Args:
        candidates: what was given to the tagger: pair columns, `subject_class`, `object_class`.
        scored: every scored candidate: pair columns, `score`, `subject_class`, `object_class`.
        kept: the relations that were kept: the same columns.
        gold: pair columns, `subject_class`, `object_class`.
        boxes: `image_id` and `category`.
        threshold: the run's own.

    Returns:
        Repetitions of a relation count once. `kept` is evaluated as a set. `threshold`, `best`,
        `curve`, `average_precision` and `calibration` are of all scored candidates; `prior` ranks the same
        candidates by frequency alone; `greedy` accepts every candidate, as the published baseline does.
    """
    gold = gold.group_by([*_KEYS, *_CLASSES]).aggregate([])
    scored, kept = _distinct(scored), _distinct(kept)
    of_scored = compare_labels(scored, gold)
    prior = compare_labels(scored.set_column(*_scores(scored, prior_scores(scored, gold, boxes))), gold)
    greedy = compare_labels(_accepted(candidates), gold)
    whole = compare_labels(kept, gold)
    at = whole.curve.at(0.0)
    bins = calibration(scored["score"].to_numpy(), _mark_correct(scored, gold))
    return {
        "gold": gold.num_rows,
        "kept": {"relations": kept.num_rows, **_measures(*at), "mean_average_precision": _map(whole)},
        "scored": {"rows": scored.num_rows, "mean_average_precision": _map(of_scored)},
        "threshold": {"threshold": threshold, **_measures(*of_scored.curve.at(threshold))},
        "best": _best(of_scored.curve),
        "curve": _curve(of_scored.curve),
        "calibration": [asdict(one) for one in bins],
        "expected_calibration_error": expected_error(bins),
        "greedy": {**_measures(*greedy.curve.at(0.0)), "mean_average_precision": _map(greedy)},
        "prior": {"mean_average_precision": _map(prior), **_best(prior.curve)},
        "predicates": _predicates(kept, gold, of_scored, prior),
        "unknown_predicates": _unknown(kept, gold),
    }


def _distinct(rows: pa.Table) -> pa.Table:
    """One row per relation with its best score: a run may keep repetitions, which add nothing."""
    best = rows.group_by([*_KEYS, *_CLASSES], use_threads=False).aggregate([("score", "max")])
    return best.rename_columns([*_KEYS, *_CLASSES, "score"])


def _accepted(candidates: pa.Table) -> pa.Table:
    """Each candidate once, all with the same score."""
    distinct = candidates.group_by([*_KEYS, *_CLASSES], use_threads=False).aggregate([])
    return distinct.append_column("score", pa.array(np.ones(distinct.num_rows, np.float32)))


def _scores(rows: pa.Table, score: np.ndarray) -> tuple[int, str, pa.Array]:
    return rows.column_names.index("score"), "score", pa.array(score)


def _mark_correct(rows: pa.Table, gold: pa.Table) -> np.ndarray:
    known = set(zip(*(gold[key].to_pylist() for key in _KEYS), strict=True))
    keys = zip(*(rows[key].to_pylist() for key in _KEYS), strict=True)
    return np.fromiter((one in known for one in keys), bool, rows.num_rows)


def _measures(precision: float, recall: float, f1: float) -> dict[str, float]:
    return {"precision": precision, "recall": recall, "f1": f1}


def _map(found: Quality) -> float:
    return found.mean_average_precision


def _best(curve: Curve) -> dict[str, float]:
    threshold, _ = curve.best()
    return {"threshold": threshold, **_measures(*curve.at(threshold))}


def _curve(curve: Curve) -> list[dict[str, float]]:
    """The curve thinned to what a plot can show, both ends kept."""
    last = len(curve.threshold) - 1
    at = np.unique(np.linspace(0, last, min(last + 1, _POINTS)).round().astype(np.int64))
    return [
        {
            "threshold": float(curve.threshold[i]),
            **_measures(float(curve.precision[i]), float(curve.recall[i]), float(curve.f1[i])),
        }
        for i in at
    ]


def _predicates(kept: pa.Table, gold: pa.Table, of_scored: Quality, prior: Quality) -> list[Row]:
    """One row per predicate of the gold, the most frequent first."""
    right = _mark_correct(kept, gold)
    shown = Counter(kept["predicate"].to_pylist())
    hits = Counter(kept.filter(pa.array(right))["predicate"].to_pylist())
    rows: list[Row] = []
    for name, count in sorted(of_scored.gold.items(), key=lambda item: (-item[1], item[0])):
        precision = hits[name] / shown[name] if shown[name] else 0.0
        recall = hits[name] / count
        f1 = 2 * precision * recall / (precision + recall) if hits[name] else 0.0
        rows.append(
            {
                "predicate": name,
                "gold": count,
                "kept": shown[name],
                "right": hits[name],
                **_measures(precision, recall, f1),
                "average_precision": of_scored.average_precision[name],
                "prior_average_precision": prior.average_precision[name],
            }
        )
    return rows


def _unknown(kept: pa.Table, gold: pa.Table) -> dict[str, int]:
    """Kept predicates in words that the gold never uses: wrong by wording, whatever they mean."""
    known = pc.is_in(kept["predicate"], value_set=pc.unique(gold["predicate"]))
    found = Counter(kept.filter(pc.invert(known))["predicate"].to_pylist())
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
