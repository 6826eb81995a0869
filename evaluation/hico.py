"""Human-object interaction detection by HICO-DET's measure, for people or for any subject.

Gold: any annotated dataset that brings relations along (Visual Genome's JSON by default).
Detections: a Parquet table (`detection_table`), or the folder of a trained model, which then detects.

A detection is right when an annotated pair of its kind has both boxes at an IoU of at least a half. Per kind
the detections of all images are ranked by score; the average precision is interpolated at eleven recalls,
and the mean runs over the kinds that the annotation has (Chao et al., "Learning to Detect Human-Object
Interactions", WACV 2018; docs/method.md, "HICO-DET style detection").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from relforge.data.relations import RelationData
from relforge.data.sources import load_relations
from relforge.evaluation.detection_table import read_detections
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.evaluation.pairs import Kind, Pairs, gold_pairs, iou
from relforge.evaluation.prior import prior_of_detections

PERSON = "person"
ANY = "any"
_MIN_IOU = 0.5
_RECALLS = np.arange(11) / 10


@dataclass(frozen=True)
class HicoGold:
    """Annotated images.

    Args:
        data: the images and their annotation.
        pairs: every annotated relation.
    """

    data: RelationData
    pairs: Pairs


@dataclass(frozen=True)
class HicoEvaluator:
    """The benchmark `hico`. Protocol `default`: as in HICO-DET's setting of that name, every image takes part
    in every kind.

    Args:
        annotations: the gold's file.
        images: folder of its images, or a pattern with `{image_id}`; read only where a model detects.
        format: of the annotations, a dataset format of ingest.
        subject: class of the subject that counts; `any` for all.
        unseen: predicates that training did not show; their mean is reported apart.
        short_side, long_side: size of images that a model detects in, pixels.
        device: where a model runs.
    """

    annotations: str
    images: str = ""
    format: str = "visual_genome"
    subject: str = PERSON
    unseen: Sequence[str] = ()
    short_side: int = 800
    long_side: int = 1333
    device: str = "cpu"

    def __post_init__(self) -> None:
        if isinstance(self.unseen, str):
            raise ValueError(f"unseen: give a list, e.g. unseen=[{self.unseen}]")

    def read_gold(self, target: str) -> HicoGold:
        source = {"format": self.format, "annotations": self.annotations, "images": self.images or "."}
        data = load_relations([source], keep_empty=True, max_pairs=10**6)
        pairs = gold_pairs(data)
        if unknown := sorted(set(self.unseen) - set(pairs.predicate.tolist())):
            raise ValueError(f"unseen: {self.annotations} has no predicate {unknown[0]!r}")
        return HicoGold(data, pairs)

    def read_detections(self, target: str, gold: HicoGold) -> Pairs:
        from relforge.evaluation.detect import DetectOptions, detect
        from relforge.models.checkpoint import load_model

        if not (Path(target) / "config.json").is_file():
            return read_detections(target)
        if not self.images:
            raise ValueError(f"{target} is a model: say with images=FOLDER what it detects in")
        options = DetectOptions(self.short_side, self.long_side, device=self.device)
        predicates = sorted(set(gold.pairs.predicate.tolist()))
        return detect(load_model(target), gold.data, predicates, self._subject, options)

    def measure(self, detections: Pairs, gold: HicoGold) -> Result:
        quality = measure_detections(detections, gold.pairs, self._subject)
        if not quality.gold:
            raise ValueError(
                f"{self.annotations}: no relation has the subject {self.subject!r}; choose another subject"
            )
        by_frequency = replace(detections, score=prior_of_detections(detections, gold.pairs))
        prior = measure_detections(by_frequency, gold.pairs, self._subject)
        measures = {"mean_average_precision": Measure(quality.mean(), prior.mean())}
        if self.unseen:
            measures["mean_average_precision_seen"] = Measure(
                quality.mean(self._seen), prior.mean(self._seen)
            )
            measures["mean_average_precision_unseen"] = Measure(
                quality.mean(self._unseen), prior.mean(self._unseen)
            )
        classes: list[Row] = [
            {
                "subject": kind[0],
                "predicate": kind[1],
                "object": kind[2],
                "gold": quality.gold[kind],
                "average_precision": value,
                "prior_average_precision": prior.average_precision[kind],
                "unseen": self._unseen(kind),
            }
            for kind, value in quality.average_precision.items()
        ]
        counts = {"images": len(gold.data), "gold": sum(quality.gold.values())}
        return Result("hico", "default", measures, counts | {"detections": quality.detections}, classes)

    def _unseen(self, kind: Kind) -> bool:
        return kind[1] in self.unseen

    def _seen(self, kind: Kind) -> bool:
        return kind[1] not in self.unseen

    @property
    def _subject(self) -> str | None:
        return None if self.subject == ANY else self.subject


@dataclass(frozen=True)
class DetectionQuality:
    """Results.

    Args:
        average_precision: of every kind that the annotation has.
        gold: annotated pairs of every kind.
        detections: how many are of those kinds.
    """

    average_precision: dict[Kind, float]
    gold: dict[Kind, int]
    detections: int

    def mean(self, among: Callable[[Kind], bool] = lambda kind: True) -> float:
        """Mean average precision over the kinds `among` chooses; 0 where there are none."""
        values = [value for kind, value in self.average_precision.items() if among(kind)]
        return float(np.mean(values)) if values else 0.0


def measure_detections(detections: Pairs, gold: Pairs, subject: str | None = PERSON) -> DetectionQuality:
    """Compare.

    Args:
        detections: scored pairs; those of a kind the annotation does not have count nowhere, as in HICO-DET.
        gold: annotated pairs.
        subject: only pairs with that subject class (human-object interactions); None: all pairs.
    """
    if subject is not None:
        detections, gold = (pairs.take(pairs.subject == subject) for pairs in (detections, gold))
    gold_rows, detected_rows = _rows_by_kind(gold), _rows_by_kind(detections)
    precision, counts, used = {}, {}, 0
    for kind, rows in gold_rows.items():
        of_kind = detections.take(detected_rows.get(kind, np.zeros(0, int)))
        annotated = gold.take(rows)
        precision[kind] = _average_precision(_correct(of_kind, annotated), len(annotated))
        counts[kind] = len(annotated)
        used += len(of_kind)
    return DetectionQuality(precision, counts, used)


def _rows_by_kind(pairs: Pairs) -> dict[Kind, np.ndarray]:
    rows: dict[Kind, list[int]] = defaultdict(list)
    for row, kind in enumerate(pairs.kinds()):
        rows[kind].append(row)
    return {kind: np.array(rows[kind]) for kind in sorted(rows)}


def _correct(detections: Pairs, gold: Pairs) -> np.ndarray:
    """Of one kind: whether each detection, best score first, is right.

    A detection is assigned to the annotated pair that it overlaps best; where a better scored one was
    assigned to that pair it is wrong, even if it overlaps another pair (as the published evaluator does).
    """
    rows_of: dict[object, list[int]] = defaultdict(list)
    for row, image in enumerate(gold.image.tolist()):
        rows_of[image].append(row)
    assigned = np.zeros(len(gold), bool)
    correct = np.zeros(len(detections), bool)
    for rank, row in enumerate(np.argsort(-detections.score, kind="stable")):
        candidates = rows_of.get(detections.image[row])
        if not candidates:
            continue
        overlap = np.minimum(
            iou(detections.subject_box[row], gold.subject_box[candidates]),
            iou(detections.object_box[row], gold.object_box[candidates]),
        )
        best = candidates[int(np.argmax(overlap))]
        if overlap.max() >= _MIN_IOU and not assigned[best]:
            assigned[best] = correct[rank] = True
    return correct


def _average_precision(correct: np.ndarray, positives: int) -> float:
    """Mean of the best precision at recalls 0, 0.1, ..., 1."""
    if not len(correct):
        return 0.0
    hits = np.cumsum(correct)
    precision, recall = hits / np.arange(1, len(correct) + 1), hits / positives
    best = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(recall, _RECALLS - 1e-9)
    return float(np.where(first < len(best), best[np.minimum(first, len(best) - 1)], 0.0).mean())
