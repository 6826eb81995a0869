"""Boxes that a detector found, on the dataset's own."""

from __future__ import annotations

import numpy as np

from relforge.stages.relabel.fit_boxes import fit_boxes

THERE = np.array([[0.0, 0.0, 0.4, 0.4], [0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.2, 0.2]])  # xywh
NAMES = ["person", "person", "dog"]


def fit(found: list[list[float]], classes: list[str], min_overlap: float = 0.5) -> list[int]:
    rows = fit_boxes(np.array(found), np.array(classes, object), THERE, NAMES, min_overlap)
    return [int(row) for row in rows]


def test_a_box_is_the_one_of_its_class_that_it_overlaps_most() -> None:
    assert fit([[0.0, 0.0, 0.38, 0.4], [0.09, 0.1, 0.5, 0.5]], ["person", "person"]) == [0, 1]


def test_a_box_of_another_class_fits_nowhere() -> None:
    assert fit([[0.6, 0.6, 0.8, 0.8], [0.6, 0.6, 0.8, 0.8]], ["cat", "dog"]) == [-1, 2]


def test_a_box_that_overlaps_too_little_fits_nowhere() -> None:
    half = [[0.6, 0.6, 0.8, 0.7]]  # intersection over union of exactly a half
    assert fit(half, ["dog"], min_overlap=0.49) == [2]
    assert fit(half, ["dog"], min_overlap=0.51) == [-1]


def test_a_box_without_an_area_fits_nowhere() -> None:
    assert fit([[0.7, 0.7, 0.7, 0.7]], ["dog"]) == [-1]
