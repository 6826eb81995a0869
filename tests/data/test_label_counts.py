"""Counts of labels: rows of a benchmark's file as they are, distinct rows of other data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from relforge.data import sources
from relforge.data.hico import objects, read_hico, verbs
from relforge.data.hoi import NO_OBJECT, HoiData, HoiImage
from relforge.data.label_counts import count_labels, count_rows, of_hoi
from relforge.data.vcoco_actions import COLUMNS
from tests.fixtures.training import run_folder

__all__ = ["run_folder"]


def image(classes: list[int], rows: list[list[int]]) -> HoiImage:
    boxes = np.zeros((len(classes), 4))
    return HoiImage("1.jpg", boxes, np.array(classes, int), np.array(rows, int).reshape(-1, 3))


def test_rows_pairs_of_rows_and_rows_without_object_are_counted() -> None:
    # one person holds and rides (annotated twice) a horse, and walks; another image holds a dog
    first = image([0, 1], [[0, 1, 0], [0, 1, 1], [0, 1, 1], [0, NO_OBJECT, 2]])
    second = image([2, 0], [[1, 0, 0]])
    empty = image([], [])
    data = HoiData([first, empty, second], ["person", "horse", "dog"], ["hold", "ride", "walk"])
    counts = of_hoi(data)
    assert counts.objects.tolist() == [[0, 0, 0], [1, 2, 0], [1, 0, 0]]
    assert counts.relations.tolist() == [2, 2, 1]
    assert counts.together.tolist() == [[0, 2, 0], [2, 2, 0], [0, 0, 0]]


def test_a_run_folder_is_counted_in_the_order_of_the_lists(run_folder: Path) -> None:
    part = {"run": str(run_folder), "relations": "gold"}
    data = sources.load_relations([part])
    backwards = data.categories[::-1], data.predicates[::-1]
    counts = count_labels([part], *backwards)
    assert counts.relations.tolist() == data.predicate_counts()[::-1].tolist()
    assert counts.objects.sum() == counts.relations.sum() == len(data.relations)
    several = np.diff(data.relation_start)
    assert counts.together.sum() == (several * (several - 1)).sum()
    assert counts.together.equal(counts.together.T)
    twice = count_labels([part, part], *backwards)
    assert twice.objects.equal(2 * counts.objects)


def test_names_that_the_lists_have_not_are_refused(run_folder: Path) -> None:
    with pytest.raises(ValueError, match="is not in the list of 1"):
        count_labels([{"run": str(run_folder), "relations": "gold"}], ["person"], ["hold"])


@pytest.fixture
def priors(shared: Callable[[str], Path]) -> np.lib.npyio.NpzFile:
    return np.load(shared("goldens/g9_ocn_priors.npz"))


def test_the_test_images_of_hico_give_the_published_counts(
    shared: Callable[[str], Path], priors: np.lib.npyio.NpzFile
) -> None:
    path = str(shared("data/hico/instances_test2015_odd.json"))
    expected = priors["hico_test_odd_half_obj_verb_counts"]
    part = {"format": "hico", "annotations": path, "half": "test"}
    assert count_labels([part], objects(), verbs()).objects.numpy().tolist() == expected.tolist()
    assert of_hoi(read_hico(path)).objects.sum() == 17_043


def test_the_training_images_of_vcoco_give_the_published_counts_of_its_24_shared_actions(
    shared: Callable[[str], Path], priors: np.lib.npyio.NpzFile
) -> None:
    counts = np.zeros((81, len(COLUMNS)), np.int64)
    for half in ("train", "val"):
        content = json.loads(shared(f"data/vcoco/instances_vcoco_{half}.json").read_text())
        column = np.array([COLUMNS.index(name.replace(" ", "_")) for name in content["classes"]])
        for one in content["annotations"]:
            rows = np.arange(len(one["actions"]))[:, None]
            objects = np.array(one["objects"], int) - 1  # the file counts "background"
            actions = column[np.array(one["actions"], int)]
            counts += count_rows(rows, objects, actions, 81, len(COLUMNS)).objects.numpy()
    expected = priors["vcoco_obj_verb_counts"].copy()
    expected[:, COLUMNS.index("point_instr")] = 0  # an action that the file leaves out
    assert counts.sum() == 13_817
    assert counts.tolist() == expected.tolist()
