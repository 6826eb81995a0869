"""What the learned prior sees of a box pair: geometry, ranks among boxes of the same classes, and the words.

Nothing of it depends on an image's pixels, on other claims, or on which shard the pair is in.
"""

from __future__ import annotations

import numpy as np

from relforge.stages.ground.pairs import Alternatives, count_within, rank_within

GEOMETRY = (
    *("dx", "dy", "abs_dx", "abs_dy", "centre_distance", "gap", "iou", "covered_subject", "covered_object"),
    *(
        "log_area_ratio",
        "log_subject_area",
        "log_object_area",
        "subject_x",
        "subject_y",
        "object_x",
        "object_y",
    ),
    *("log_subject_aspect", "log_object_aspect", "union_area", "foot", "subject_inside", "object_inside"),
)
RANKS = (
    *("nearest_object", "nearest_subject", "object_by_distance", "subject_by_distance", "pair_by_distance"),
    *("object_by_area", "subject_by_area", "log_subjects", "log_objects", "log_alternatives", "same_class"),
)
COUNTS = tuple(
    f"{end}_{said}"
    for end in ("subject", "object")
    for said in ("one", "several", "number", "more_than_said")
)
NAMES = (*GEOMETRY, *RANKS, *COUNTS)
"""Columns of `describe`."""

_FAR = 10.0
"""Offsets in widths and heights are cut here: a distant pair is distant."""


def describe(pairs: Alternatives) -> np.ndarray:
    """Features of every candidate.

    Returns:
        float64, N x len(NAMES).
    """
    return np.concatenate([_geometry(pairs), _ranks(pairs), _counts(pairs)], axis=1)


def _geometry(pairs: Alternatives) -> np.ndarray:
    a, b = pairs.subject, pairs.object
    image = np.maximum(pairs.size, 1.0)
    area_a, area_b = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    whole = image[:, 0] * image[:, 1]
    centre_a, centre_b = a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2
    offset = np.clip((centre_b - centre_a) / a[:, 2:], -_FAR, _FAR)
    sides = np.sqrt(area_a) + np.sqrt(area_b)
    apart = np.maximum(np.abs(centre_b - centre_a) - (a[:, 2:] + b[:, 2:]) / 2, 0)
    common = np.prod(
        np.maximum(np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0),
        axis=1,
    )
    union = np.prod(
        np.maximum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.minimum(a[:, :2], b[:, :2]), axis=1
    )
    columns = [
        *(offset.T, np.abs(offset).T, np.minimum(pairs.distance(), _FAR)[None]),
        np.minimum(np.hypot(*apart.T) / sides, _FAR)[None],
        (common / (area_a + area_b - common))[None],
        *((common / area_a)[None], (common / area_b)[None], np.log(area_b / area_a)[None]),
        *(np.log(area_a / whole)[None], np.log(area_b / whole)[None]),
        *((centre_a / image - 0.5).T, (centre_b / image - 0.5).T),
        *(np.log(a[:, 2] / a[:, 3])[None], np.log(b[:, 2] / b[:, 3])[None], (union / whole)[None]),
        np.clip((b[:, 1] + b[:, 3] - a[:, 1] - a[:, 3]) / a[:, 3], -_FAR, _FAR)[None],
        *((common >= 0.95 * area_a)[None], (common >= 0.95 * area_b)[None]),
    ]
    return np.concatenate(columns).T.astype(np.float64)


def _ranks(pairs: Alternatives) -> np.ndarray:
    claim, distance = pairs.claim, pairs.distance()
    of_subject, of_object = (claim, pairs.subject_box), (claim, pairs.object_box)
    area = [box[:, 2] * box[:, 3] for box in (pairs.subject, pairs.object)]
    objects, subjects = count_within(of_subject), count_within(of_object)
    by_object, by_subject = rank_within(of_subject, distance), rank_within(of_object, distance)
    columns = [
        *(by_object == 0, by_subject == 0, np.log1p(by_object), np.log1p(by_subject)),
        *(np.log1p(rank_within((claim,), distance)), np.log1p(rank_within(of_subject, -area[1]))),
        *(np.log1p(rank_within(of_object, -area[0])), np.log(subjects), np.log(objects)),
        *(np.log(count_within((claim,))), pairs.subject_class == pairs.object_class),
    ]
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def _counts(pairs: Alternatives) -> np.ndarray:
    boxes = count_within((pairs.claim, pairs.object_box)), count_within((pairs.claim, pairs.subject_box))
    columns = []
    for said, here in zip((pairs.subject_count, pairs.object_count), boxes, strict=True):
        columns += [said == 1, said == 0, said > 1, (said > 0) & (here > said)]
    return np.stack([column.astype(np.float64) for column in columns], axis=1)
