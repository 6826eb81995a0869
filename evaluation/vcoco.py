"""V-COCO: people, what they do, and with which object.

Gold: the official files, or a converted list (`relforge.data.vcoco`).
Detections: a Parquet table, long or wide (`vcoco_detections`), or the folder of a trained model, which then
detects.

Protocol `official`: agent AP and role AP of scenarios 1 and 2 (`vcoco_official`); role means also without
the action "point", as papers give them. Protocol `rlipv2`: the evaluation that RLIPv2, CDN and QPIC run
during training (`vcoco_training`), which does not compare with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relforge.data.hoi import MISSING
from relforge.data.hoi_relations import detection_data
from relforge.data.vcoco import VcocoData, read_vcoco
from relforge.data.vcoco_actions import ACTION_OF, ACTIONS, COLUMNS, ROLE_COLUMNS
from relforge.data.vcoco_images import read_vcoco_images
from relforge.evaluation.detection_table import is_model
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.evaluation.pairs import Pairs, join
from relforge.evaluation.prior import FOLDS, fold
from relforge.evaluation.vcoco_detections import (
    VcocoDetections,
    read_vcoco_detections,
    write_vcoco_detections,
)
from relforge.evaluation.vcoco_official import PUBLISHED, STABLE, VcocoMatches, VcocoQuality
from relforge.evaluation.vcoco_training import TrainingQuality, measure_in_training

PROTOCOLS = ("official", "rlipv2")
_POINT = "point_instr"


@dataclass(frozen=True)
class VcocoEvaluator:
    """The benchmark `vcoco`.

    Args:
        annotations: `vcoco_test.json`, or a converted list of images.
        instances: COCO's boxes (`instances_vcoco_all_2014.json`) for the official annotation.
        protocol: `official` or `rlipv2`.
        ties: order of equal scores: `stable`, or `published` as numpy's default sort
            on this processor has it.
        images: folder of its images, list of folders or pattern; read only where a model detects.
        mask: `corre_vcoco.npy`, 29 x 80, which action goes with which object; combinations that it does not
            have score 0 where a model detects.
        people_only: leave out queries of a model whose subject is no person; published evaluations take every
            query for one.
        short_side, long_side: size of images that a model detects in, pixels.
        device: where a model runs.
        kind: `package.module:NAME` of the family of a model that is of none of the zoo's.
    """

    annotations: str
    instances: str = ""
    protocol: str = "official"
    ties: str = STABLE
    images: str | Sequence[str] = ""
    mask: str = ""
    people_only: bool = False
    short_side: int = 800
    long_side: int = 1333
    device: str = "cpu"
    kind: str | None = None

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("protocol", self.protocol, PROTOCOLS),
            ("ties", self.ties, (STABLE, PUBLISHED)),
        ):
            if value not in choices:
                raise ValueError(f"{name}: {value!r}; choose one of {', '.join(choices)}")

    def read_gold(self, target: str) -> VcocoData:
        return read_vcoco(self.annotations, self.instances, self.protocol == "official")

    def read_detections(self, target: str, gold: VcocoData) -> VcocoDetections:
        if not is_model(target):
            return read_vcoco_detections(target, gold.images)
        from relforge.evaluation.detect import DetectOptions, load_detector
        from relforge.evaluation.vcoco_model import detect_vcoco, read_mask

        if not self.images:
            raise ValueError(f"{target} is a model: say with images=FOLDER what it detects in")
        loaded = load_detector(target, self.kind)
        data = detection_data(read_vcoco_images(self.annotations, self.instances), self.images)
        if not len(data):
            raise ValueError(f"{self.annotations}: no image to detect in; is images={self.images} right?")
        options = DetectOptions(self.short_side, self.long_side, device=self.device)
        mask = read_mask(self.mask, data.categories) if self.mask else None
        return detect_vcoco(loaded, data, gold.images, options, mask, self.people_only)

    def write_detections(self, detections: VcocoDetections, gold: VcocoData, path: Path) -> None:
        write_vcoco_detections(detections, gold.images, path)

    def measure(self, detections: VcocoDetections, gold: VcocoData) -> Result:
        if not gold.actions[gold.labelled].any():
            raise ValueError(f"{self.annotations}: nobody does anything")
        known = detections.image >= 0
        if len(known) and not known.any():
            raise ValueError(f"no detection is of an image of {self.annotations}: image_id is COCO's id")
        counts = {
            "images": len(gold.images),
            "people": len(gold.image),
            "people without labels": int((~gold.labelled).sum()),
            "gold": int(gold.actions[gold.labelled].sum()),
            "detections": int(known.sum()),
        }
        if not known.all():
            counts["detections of unknown images"] = int((~known).sum())
        prior = frequency_scores(detections, gold)
        if self.protocol == "rlipv2":
            measures, classes = _in_training(detections, gold, prior, self.ties)
        else:
            matches = VcocoMatches(detections, gold)
            quality = matches.quality(ties=self.ties)
            measures, classes = _official(quality, matches.quality(prior, self.ties))
            counts["detections in images without people"] = int(matches.without_people.sum())
            counts["actions without gold"] = sum(not count for count in quality.positives.values())
        counts |= {f"left out: {reason}": count for reason, count in gold.reasons.items()}
        options: Row = {"ties": self.ties, "prior": "other half of the gold"}
        if self.images:
            options |= {"mask": self.mask or "none", "people_only": self.people_only}
        return Result("vcoco", self.protocol, measures, counts, classes, options)


def means(values: Mapping[str, float]) -> tuple[float, float]:
    """Mean over the roles that the gold has, in float32 as the official code, and without "point"."""
    known = np.array([value for value in values.values() if not np.isnan(value)], np.float32)
    mean = float(np.mean(known))
    point = float(np.float32(values[_POINT]))
    if np.isnan(point):
        return mean, mean
    return mean, (len(known) * mean - point) / max(len(known) - 1, 1)


def _official(quality: VcocoQuality, prior: VcocoQuality) -> tuple[dict[str, Measure], list[Row]]:
    agents = [float(np.nanmean(np.array(list(one.agent.values()), np.float32))) for one in (quality, prior)]
    measures = {"agent_average_precision": Measure(*agents)}
    for scenario, one, other in ((1, quality.role_1, prior.role_1), (2, quality.role_2, prior.role_2)):
        for name, value, by_prior in zip(("", " without point"), means(one), means(other), strict=True):
            measures[f"role_average_precision scenario {scenario}{name}"] = Measure(value, by_prior)
    classes: list[Row] = []
    for column in COLUMNS:
        action = ACTION_OF[column]
        if not quality.positives[action]:
            continue
        row: Row = {"action": column, "gold": quality.positives[action]}
        row |= {"agent": quality.agent[action], "prior_agent": prior.agent[action]}
        for name, one, other in (
            ("scenario_1", quality.role_1, prior.role_1),
            ("scenario_2", quality.role_2, prior.role_2),
        ):
            row |= {name: one.get(column, ""), f"prior_{name}": other.get(column, "")}
        classes.append(row)
    return measures, classes


def _in_training(
    detections: VcocoDetections, gold: VcocoData, prior: Mapping[str, np.ndarray], ties: str
) -> tuple[dict[str, Measure], list[Row]]:
    annotated = annotated_rows(gold)
    found: list[TrainingQuality] = []
    for scores in (None, prior):
        found.append(measure_in_training(detected_rows(detections, gold, scores), annotated, ties))
    quality, by_prior = found
    measures = {
        "mean_average_precision of 24": Measure(quality.published_mean(), by_prior.published_mean()),
        "mean_average_precision of all": Measure(quality.mean(), by_prior.mean()),
    }
    counts = dict(zip(*np.unique(annotated.predicate.astype(str), return_counts=True), strict=True))
    classes: list[Row] = [
        {
            "action": name,
            "gold": int(counts[name]),
            "average_precision": value,
            "prior_average_precision": by_prior.average_precision[name],
        }
        for name, value in quality.average_precision.items()
    ]
    return measures, classes


def annotated_rows(gold: VcocoData) -> Pairs:
    """One row per (person, column) that holds."""
    parts = []
    for number, column in enumerate(COLUMNS):
        people = np.flatnonzero(gold.actions[:, ACTIONS.index(ACTION_OF[column])])
        box = np.full((len(people), 4), np.nan)
        names = np.full(len(people), MISSING, object)
        if column in ROLE_COLUMNS:
            place = ROLE_COLUMNS.index(column)
            box = gold.role_box[people, place].astype(float)
            code = gold.role_class[people, place]
            names = np.where(code >= 0, np.array([*gold.classes, MISSING], object)[code], MISSING)
        parts.append(
            Pairs(
                image=np.array([str(gold.images[place]) for place in gold.image[people]], object),
                subject=np.full(len(people), "person", object),
                predicate=np.full(len(people), COLUMNS[number], object),
                object=names,
                subject_box=gold.box[people].astype(float),
                object_box=box,
                score=np.ones(len(people)),
            )
        )
    return join(parts)


def detected_rows(
    found: VcocoDetections, gold: VcocoData, scores: Mapping[str, np.ndarray] | None = None
) -> Pairs:
    """One row per (pair, column), agents left out.

    Raises:
        ValueError: the detections do not name the object.
    """
    if found.object is None:
        raise ValueError("protocol=rlipv2 compares classes: the detections need the column `object`")
    images = np.array([*map(str, gold.images), ""], object)
    parts = []
    for column in COLUMNS:
        if column not in found.scores:
            continue
        rows, score = found.scores[column]
        score = score if scores is None else scores[column]
        used = (found.image[rows] >= 0) & ~np.isnan(score)
        rows, score = rows[used], score[used]
        names = found.object[rows]
        parts.append(
            Pairs(
                image=images[found.image[rows]],
                subject=np.full(len(rows), "person", object),
                predicate=np.full(len(rows), column, object),
                object=names,
                subject_box=found.person_box[rows].astype(float),
                object_box=found.object_box[rows].astype(float),
                score=score.astype(float),
            )
        )
    return join(parts)


def frequency_scores(found: VcocoDetections, gold: VcocoData) -> dict[str, np.ndarray]:
    """The frequency prior: how often people of the other half have a column with an object of that class,
    and for agents how often they do the action. Where classes are not known, the column's own frequency.

    Returns:
        Name as in `found.scores` -> score of every row there; nan where that has none.
    """
    half = np.array([fold(str(number)) for number in gold.images], int)
    classes = [*gold.classes, MISSING]
    code = np.full(len(found.image), len(classes))
    if found.object is not None:
        place = {name: number for number, name in enumerate(classes)}
        code = np.array([place.get(name, len(classes)) for name in found.object.tolist()], int)
    shares = [_shares(gold, half[gold.image] != number) for number in range(FOLDS)]
    of_row = half[found.image]
    prior = {}
    for name, (rows, score) in found.scores.items():
        table = np.stack([one[name] for one in shares])  # folds x classes
        values = table[of_row[rows], code[rows]].astype(np.float32)
        prior[name] = np.where(np.isnan(score), np.nan, values)
    return prior


def _shares(gold: VcocoData, people: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> per class of the object (the last entry: any) the share of related pairs that is its."""
    classes = len(gold.classes) + 1
    chosen = people & gold.labelled
    counts = {}
    for column in COLUMNS:
        holds = chosen & gold.actions[:, ACTIONS.index(ACTION_OF[column])]
        code = np.full(len(chosen), -1)
        if column in ROLE_COLUMNS:
            code = gold.role_class[:, ROLE_COLUMNS.index(column)]
        of_class = np.bincount(code[holds] % classes, minlength=classes).astype(float)
        counts[column] = np.append(of_class, of_class.sum())
    total = np.maximum(sum(counts.values()), 1)
    shares = {column: count / total for column, count in counts.items()}
    for number, action in enumerate(ACTIONS):
        rate = gold.actions[chosen, number].mean() if chosen.any() else 0.0
        shares[f"{action}_agent"] = np.full(classes + 1, rate)
    return shares
