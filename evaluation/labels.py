"""The labels of a run folder against the gold of its source, box pair by box pair.

Boxes are given and the same on both sides, so a relation is right when (image, subject box, predicate,
object box) is in the gold; no overlap threshold is involved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.sources import read_table
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.evaluation.precision_recall import Curve, average_precision, compute_curve
from relforge.evaluation.prior import prior_scores
from relforge.stages.columns import encode, find_last, flatten, number_rows

_KEYS = ("image_id", "subject_box", "object_box", "predicate")


@dataclass(frozen=True)
class LabelsGold:
    """`gold` and `boxes` of a run folder."""

    relations: pa.Table
    boxes: pa.Table


@dataclass(frozen=True)
class LabelsEvaluator:
    """The benchmark `labels`: all stored scores of a run, also those below its own threshold.

    Args:
        threshold: score from which a relation counts in precision, recall and F1.
    """

    threshold: float = 0.2

    def read_gold(self, target: str) -> LabelsGold:
        gold = read_table(target, "gold")
        if not gold.num_rows:
            raise ValueError(f"{target}: its source has no gold relations to compare with")
        return LabelsGold(gold, read_table(target, "boxes"))

    def read_detections(self, target: str, gold: LabelsGold) -> pa.Table:
        return read_table(target, "scores", without=("caption_ids", "triplet_ids"))

    def measure(self, detections: pa.Table, gold: LabelsGold) -> Result:
        quality = compare_labels(detections, gold.relations)
        rows, relations = (with_classes(table, gold.boxes) for table in (detections, gold.relations))
        by_frequency = pa.array(prior_scores(rows, relations, gold.boxes))
        place = detections.column_names.index("score")
        prior = compare_labels(detections.set_column(place, "score", by_frequency), gold.relations)
        at, prior_at = quality.curve.at(self.threshold), prior.curve.at(self.threshold)
        best, prior_best = quality.curve.best(), prior.curve.best()
        measures = {
            "mean_average_precision": Measure(quality.mean_average_precision, prior.mean_average_precision),
            f"precision at {self.threshold:g}": Measure(at[0], prior_at[0]),
            f"recall at {self.threshold:g}": Measure(at[1], prior_at[1]),
            f"f1 at {self.threshold:g}": Measure(at[2], prior_at[2]),
            "best_f1": Measure(best[1], prior_best[1]),
            "best_threshold": Measure(best[0], prior_best[0]),
        }
        classes: list[Row] = [
            {
                "predicate": name,
                "gold": quality.gold[name],
                "average_precision": quality.average_precision[name],
                "prior_average_precision": prior.average_precision[name],
            }
            for name in quality.gold
        ]
        counts = {"gold": sum(quality.gold.values()), "scored": detections.num_rows}
        return Result("labels", "all-point", measures, counts, classes)


@dataclass(frozen=True)
class Quality:
    """Results.

    Args:
        curve: over all relations.
        average_precision: predicate -> AP (all-point), over predicates that the gold has.
        gold: predicate -> number of gold relations.
    """

    curve: Curve
    average_precision: dict[str, float]
    gold: dict[str, int] = field(default_factory=dict)

    @property
    def mean_average_precision(self) -> float:
        """Mean over the gold's predicates; one that was never proposed counts 0."""
        values = list(self.average_precision.values())
        return float(np.mean(values)) if values else 0.0


def compare_labels(relations: pa.Table, gold: pa.Table) -> Quality:
    """Compare scored relations with gold ones.

    Args:
        relations: pair columns and `score`; the best of equal rows counts.
        gold: pair columns; repeats count once.
    """
    gold_keys, keys = _shared_keys(gold, relations)
    gold_keys = np.unique(gold_keys)
    score = relations["score"].to_numpy().astype(np.float32)
    order = np.lexsort((keys, -score))
    keys, score = keys[order], score[order]
    _, first = np.unique(keys, return_index=True)
    keep = np.sort(first)
    keys, score = keys[keep], score[keep]
    correct = np.isin(keys, gold_keys)

    predicates = pc.unique(flatten(gold["predicate"]))
    names = predicates.to_pylist()
    of_relations = encode(relations["predicate"], predicates)[order][keep]
    of_gold = encode(gold["predicate"], predicates)
    distinct = np.unique(_shared_keys(gold, gold.slice(0, 0))[0], return_index=True)[1]
    counts = np.bincount(of_gold[distinct], minlength=len(names))
    ap = {
        name: average_precision(correct[of_relations == code], score[of_relations == code], int(counts[code]))
        for code, name in enumerate(names)
    }
    curve = compute_curve(correct, score, len(gold_keys))
    return Quality(curve, ap, dict(zip(names, counts.tolist(), strict=True)))


def with_classes(pairs: pa.Table, boxes: pa.Table) -> pa.Table:
    """Pair rows with the classes of both boxes, `subject_class` and `object_class`.

    Raises:
        KeyError: a pair names a box that is not there.
    """
    for end in ("subject", "object"):
        named = [pairs["image_id"], pairs[f"{end}_box"]]
        found = find_last(*number_rows(named, [boxes["image_id"], boxes["box_id"]]))
        if (missing := np.flatnonzero(found < 0)).size:
            raise KeyError(tuple(column[int(missing[0])].as_py() for column in named))
        pairs = pairs.append_column(f"{end}_class", flatten(boxes["category"]).take(pa.array(found)))
    return pairs


def _shared_keys(first: pa.Table, second: pa.Table) -> list[np.ndarray]:
    """One integer per row of both tables, equal where image, boxes and predicate are."""
    return number_rows(*([table[key] for key in _KEYS] for table in (first, second)))
