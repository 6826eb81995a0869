"""V-COCO as QPIC, CDN and RLIPv2 measure it during training: by column alone, HICO-DET's way of matching.

The 100 best (pair, column) of an image count. A detection belongs to the annotated pair of its image and
column that it overlaps best, classes of boxes equal; where the object is missing the person alone decides.
Eleven-point average precision of every column; published means run over 24 of the 29, those without gold
counting 0. These numbers do not compare with the official ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.vcoco_actions import ACTION_OF, COLUMNS, ROLES
from relforge.evaluation.overlap import pixels_inside
from relforge.evaluation.pair_nms import best_of_images
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.ranking import average_precisions, best_gold, candidates, eleven_point, first_claims
from relforge.evaluation.vcoco_official import STABLE

IN_MEAN = [column for column in COLUMNS if ROLES[ACTION_OF[column]] and column != "point_instr"]
"""The columns of the published mean."""

_MIN_IOU = 0.5
_TOP = 100


@dataclass(frozen=True)
class TrainingQuality:
    """Average precision of every column that the gold has.

    Args:
        average_precision: column -> AP.
    """

    average_precision: dict[str, float]

    def mean(self) -> float:
        """Over the columns that the gold has."""
        return float(np.mean(list(self.average_precision.values())))

    def published_mean(self) -> float:
        """Over 24 columns; those without gold count 0."""
        return float(sum(self.average_precision.get(column, 0.0) for column in IN_MEAN) / len(IN_MEAN))


def measure_in_training(detections: Pairs, gold: Pairs, ties: str = STABLE) -> TrainingQuality:
    """Compare.

    Args:
        detections: scored rows, `predicate` one of the 29 columns.
        gold: annotated rows; the object's box is nan where there is none.
        ties: `stable`: equal scores in the order of images; `published`: as numpy's default sort has them.
    """
    images = pc.unique(pa.array(np.concatenate([detections.image, gold.image]), pa.string()))
    image = _codes(detections.image, images)
    chosen = best_of_images(image, detections.score, _TOP)
    found, image = detections.take(chosen), image[chosen]
    columns = pa.array(COLUMNS)
    column, of_gold = _codes(found.predicate, columns), _codes(gold.predicate, columns)
    key = np.where(column >= 0, image * len(COLUMNS) + column, -1)
    row, place = candidates(key, _codes(gold.image, images) * len(COLUMNS) + of_gold)
    overlap = pixels_inside(found.subject_box[row], gold.subject_box[place])
    overlap[found.subject[row] != gold.subject[place]] = 0
    with_object = ~np.isnan(gold.object_box[place]).any(1)
    of_object = pixels_inside(found.object_box[row], gold.object_box[place])
    of_object[found.object[row] != gold.object[place]] = 0
    overlap = np.where(with_object, np.minimum(overlap, of_object), overlap)
    fits = overlap >= _MIN_IOU
    claim = np.full(len(found), -1)
    best, claimed, _ = best_gold(row[fits], place[fits], overlap[fits])
    claim[best] = claimed
    order = np.lexsort((-found.score, image, column))
    right = first_claims(claim[order])
    ranking = _ranking(column[order], -found.score[order], ties)
    right, column = right[ranking], column[order][ranking]
    positives = np.bincount(of_gold, minlength=len(COLUMNS))
    known = column >= 0
    values = average_precisions(column[known], right[known], positives, eleven_point)
    return TrainingQuality(
        {name: float(values[code]) for code, name in enumerate(COLUMNS) if positives[code]}
    )


def _ranking(column: np.ndarray, falling: np.ndarray, ties: str) -> np.ndarray:
    """Rows, given by column, sorted within their column."""
    if ties == STABLE:
        return np.lexsort((falling, column))
    starts = np.flatnonzero(np.append(True, np.diff(column) != 0)) if len(column) else np.zeros(0, int)
    parts = np.split(np.arange(len(column)), starts[1:])
    return np.concatenate([part[np.argsort(falling[part])] for part in parts])


def _codes(names: np.ndarray, known: pa.Array) -> np.ndarray:
    codes = pc.fill_null(pc.index_in(pa.array(names, pa.string()), known), -1)
    return codes.to_numpy(zero_copy_only=False).astype(np.int64)
