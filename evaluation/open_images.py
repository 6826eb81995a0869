"""Open Images' relation detection as scene-graph papers report it: R@50, wmAP_rel, wmAP_phr and score_wtd.

Gold: the converted HICO-style JSON, or Open Images' own CSV files (`relforge.data.open_images`).
Detections: a Parquet table (`detection_table`), or the folder of a trained model, which then detects.

Protocol `rlipv2`: the published numbers, with what its code does to phrases. Protocol `corrected`: wrong
detections count on every image, and phrases are matched by their own boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from relforge.data.hoi import HoiData
from relforge.data.hoi_relations import detection_data
from relforge.data.open_images import read_open_images
from relforge.evaluation.annotated import Annotated, of_hoi
from relforge.evaluation.detection_table import is_model, read_detections, write_detections
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.evaluation.kind_matches import Codes, encode
from relforge.evaluation.open_images_quality import Ranked, measures_of, rank
from relforge.evaluation.pair_nms import PairNms
from relforge.evaluation.pairs import Kind, Pairs
from relforge.evaluation.prior import frequency_scores

PROTOCOLS = ("rlipv2", "corrected")


@dataclass(frozen=True)
class OpenImagesEvaluator:
    """The benchmark `open_images`.

    Args:
        annotations: converted JSON (`OI_SGG_test.json`), or the CSV file of relations.
        categories: JSON with the names behind the numbers of converted files (keys `obj` and `rel`).
        classes: CSV of class names for CSV relations.
        sizes: CSV of image sizes for CSV relations.
        protocol: `rlipv2` or `corrected`.
        nms: [alpha, beta, threshold] of pair suppression; []: none, of phrases neither.
        score: score formula, as for `hico`.
        images: folder of its images, or a pattern; where a model detects, and for CSV relations without
            `sizes`.
        short_side, long_side: size of images that a model detects in, pixels.
        device: where a model runs.
        kind: `package.module:NAME` of the family of a model that is of none of the zoo's.
    """

    annotations: str
    categories: str = ""
    classes: str = ""
    sizes: str = ""
    protocol: str = "rlipv2"
    nms: Sequence[float] = (1.0, 0.5, 0.7)
    score: str = "stored"
    images: str = ""
    short_side: int = 800
    long_side: int = 1333
    device: str = "cpu"
    kind: str | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol: {self.protocol!r}; choose one of {', '.join(PROTOCOLS)}")
        if len(self.nms) not in (0, 3):
            raise ValueError("nms: give [alpha, beta, threshold], e.g. nms=[1,0.5,0.7], or [] for none")

    def read_gold(self, target: str) -> Annotated:
        return of_hoi(self._read(), subject=None)

    def _read(self) -> HoiData:
        images = self.images or None
        return read_open_images(self.annotations, self.categories, self.classes, self.sizes, images)

    def read_detections(self, target: str, gold: Annotated) -> Pairs:
        if not is_model(target):
            return read_detections(target, self.score)
        from relforge.evaluation.detect import DetectOptions, detect, load_detector

        if not self.images:
            raise ValueError(f"{target} is a model: say with images=FOLDER what it detects in")
        loaded = load_detector(target, self.kind)
        files = self._read()
        data = detection_data(files, self.images)
        if not len(data):
            raise ValueError(f"{self.annotations}: no image to detect in; is images={self.images} right?")
        # suppression is the protocol's
        options = DetectOptions(
            self.short_side, self.long_side, max_overlap=None, device=self.device, classes=list(files.objects)
        )
        return detect(loaded, data, list(files.verbs), None, options)

    def write_detections(self, detections: Pairs, gold: Annotated, path: Path) -> None:
        write_detections(detections, path)

    def measure(self, detections: Pairs, gold: Annotated) -> Result:
        if not len(gold.pairs):
            raise ValueError(f"{self.annotations}: no relation")
        known = np.isin(detections.image.astype(str), np.array(gold.images, str))
        if len(known) and not known.any():
            raise ValueError(
                f"no detection is of an image of {self.annotations}: image_id is "
                f"{detections.image[0]!r} there and {gold.images[0]!r} here"
            )
        detections = gold.spell(detections)
        nms = PairNms(*self.nms) if self.nms else None
        quality = measure_relations(detections.take(known), gold, nms, self.protocol == "rlipv2")
        measures = {name: Measure(value, quality.prior[name]) for name, value in quality.measures.items()}
        counts = {"images": len(gold.images), "gold": len(gold.pairs), "detections": int(known.sum())}
        if not known.all():
            counts["detections of unknown images"] = int((~known).sum())
        counts |= {f"left out: {reason}": count for reason, count in gold.reasons.items()}
        options: Row = {
            "nms": ", ".join(f"{value:g}" for value in self.nms) or "none",
            "phrase nms": 0.5 if self.nms else "none",
            "score": self.score,
            "prior": "other half of the gold",
        }
        return Result("open_images", self.protocol, measures, counts, quality.classes, options)


@dataclass(frozen=True)
class RelationQuality:
    """Results.

    Args:
        measures: name -> value.
        prior: the same numbers when the detections are ranked by frequency.
        classes: one row per triplet of the gold.
    """

    measures: dict[str, float]
    prior: dict[str, float]
    classes: list[Row]


def measure_relations(
    detections: Pairs, gold: Annotated, nms: PairNms | None, published: bool
) -> RelationQuality:
    """Compare.

    Args:
        detections: all of images of the gold.
        published: as RLIPv2 (`open_images_quality.rank`).
    """
    kinds = sorted({*gold.pairs.kinds(), *set(detections.kinds())})
    codes = Codes(gold.images, kinds)
    found, right = encode(detections, codes), encode(gold.pairs, codes)
    by_prior = replace(found, score=frequency_scores(found, right, codes))
    values: list[dict[str, float]] = []
    shown: list[Ranked] = []
    for scored in (found, by_prior):
        at_50, at_100 = (
            rank(scored, right, gold.boxed, len(kinds), top, nms, published) for top in (50, 100)
        )
        values.append(measures_of(at_50, at_100, kinds, published))
        shown.append(at_100[0])
    return RelationQuality(values[0], values[1], _classes(kinds, *shown))


def _classes(kinds: Sequence[Kind], found: Ranked, prior: Ranked) -> list[Row]:
    values, by_prior = found.average_precision(), prior.average_precision()
    return [
        {
            "subject": kind[0],
            "predicate": kind[1],
            "object": kind[2],
            "gold": int(found.positives[code]),
            "average_precision": float(values[code]),
            "prior_average_precision": float(by_prior[code]),
        }
        for code, kind in enumerate(kinds)
        if found.positives[code]
    ]
