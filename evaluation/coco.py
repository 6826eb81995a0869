"""Detection of boxes by COCO's measure: average precision over IoU 0.50 to 0.95, by pycocotools.

Gold: an `instances_*.json`. Detections: COCO's list of results (a JSON file), or a detector's folder, which
then detects. Lin et al., "Microsoft COCO", ECCV 2014; the twelve numbers of its evaluation server.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from relforge.data.boxes import load_boxes
from relforge.data.relations import RelationData
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.stages.class_names import spell_as

MEASURES = (
    "average_precision",
    "average_precision_50",
    "average_precision_75",
    "average_precision_small",
    "average_precision_medium",
    "average_precision_large",
    "average_recall_1",
    "average_recall_10",
    "average_recall_100",
    "average_recall_small",
    "average_recall_medium",
    "average_recall_large",
)
"""In the order of pycocotools; sizes are small to 32, medium to 96 pixels of a square's side."""

BoxResults = list[dict[str, Any]]
"""One detected box each: `image_id`, `category_id`, `bbox` (xywh, pixels), `score`."""


@dataclass(frozen=True)
class CocoGold:
    """Annotated images.

    Args:
        coco: the annotation, indexed.
        data: the same for a model that detects; None where there is none.
    """

    coco: COCO
    data: RelationData | None = None


@dataclass(frozen=True)
class CocoEvaluator:
    """The benchmark `coco`.

    Args:
        annotations: `instances_*.json`.
        images: folder of its images, or a pattern with `{image_id}`; read only where a model detects.
        short_side, long_side: size of images that a model detects in, pixels.
        device: where a model runs.
    """

    annotations: str
    images: str = ""
    short_side: int = 800
    long_side: int = 1333
    device: str = "cpu"

    def read_gold(self, target: str) -> CocoGold:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress there
            try:
                coco = COCO(self.annotations)
                boxes = len(coco.anns)
            except (KeyError, TypeError, AttributeError, AssertionError) as error:
                raise ValueError(
                    f"{self.annotations}: no COCO annotation of instances ({error!r})"
                ) from error
        if not boxes:
            raise ValueError(f"{self.annotations} has no boxes")
        if not _is_detector(target):
            return CocoGold(coco)
        if not self.images:
            raise ValueError(f"{target} is a model: say with images=FOLDER what it detects in")
        part = {"format": "coco", "annotations": self.annotations, "images": self.images}
        return CocoGold(coco, load_boxes([part]))

    def read_detections(self, target: str, gold: CocoGold) -> BoxResults:
        if gold.data is None:
            return _read_results(target)
        from relforge.evaluation.detect_boxes import detect_boxes
        from relforge.models.published import load_pretrained

        loaded = load_pretrained(target)
        names = [row["name"] for row in gold.coco.dataset["categories"]]
        number = {row["name"]: row["id"] for row in gold.coco.dataset["categories"]}
        spelling = spell_as(loaded.blueprint.classes, names)
        found: BoxResults = []
        for one in detect_boxes(loaded, gold.data, self.short_side, self.long_side, self.device):
            rows = zip(one.names, one.boxes.tolist(), one.scores.tolist(), strict=True)
            found += [
                {"image_id": int(one.image), "category_id": number[name], "bbox": box, "score": score}
                for label, box, score in rows
                if (name := spelling[label]) in number
            ]
        return found

    def measure(self, detections: BoxResults, gold: CocoGold) -> Result:
        known = set(gold.coco.getImgIds())
        kept = [row for row in detections if row["image_id"] in known]
        if detections and not kept:
            first = detections[0]["image_id"]
            raise ValueError(f"no detection is of an image of {self.annotations}: image_id is {first!r}")
        with contextlib.redirect_stdout(io.StringIO()):
            # pycocotools cannot index an empty list of results
            found = gold.coco.loadRes(kept) if kept else _nothing(gold.coco)
            evaluation = COCOeval(gold.coco, found, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        counts = Counter(row["category_id"] for row in gold.coco.dataset["annotations"])
        precision = evaluation.eval["precision"][:, :, :, 0, 2]  # IoU x recall x class, any size, 100 boxes
        classes: list[Row] = []
        for place, category in enumerate(gold.coco.loadCats(evaluation.params.catIds)):
            values = precision[:, :, place]
            if (values > -1).any():
                row: Row = {"class": category["name"], "gold": counts[category["id"]]}
                classes.append(row | {"average_precision": float(np.mean(values[values > -1]))})
        measures = {
            name: Measure(float(value))
            for name, value in zip(MEASURES, evaluation.stats, strict=True)
            if value > -1  # no box of that size
        }
        numbers = {"images": len(known), "gold": len(gold.coco.anns), "detections": len(kept)}
        if len(kept) < len(detections):
            numbers["detections of unknown images"] = len(detections) - len(kept)
        return Result("coco", "bbox", measures, numbers, classes)


def _is_detector(target: str) -> bool:
    """A model's folder or file, or the hub name of one: anything but a list of results."""
    return Path(target).suffix != ".json"


def _read_results(path: str) -> BoxResults:
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a list of results in JSON ({error})") from error
    wanted = ("image_id", "category_id", "bbox", "score")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and all(name in row for name in wanted) for row in rows
    ):
        raise ValueError(
            f"{path}: expected a list of results with {', '.join(wanted)}, as COCO's server takes it"
        )
    return rows


def _nothing(coco: COCO) -> COCO:
    empty = COCO()
    empty.dataset = {name: coco.dataset[name] for name in ("images", "categories")} | {"annotations": []}
    empty.createIndex()
    return empty
