"""A model as a detector: its detections on every image, and which repetitions are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relforge.data import sources
from relforge.data.relations import RelationData
from relforge.evaluation.detect import DetectOptions, detect, keep_best
from relforge.evaluation.pairs import Pairs, gold_pairs
from relforge.models.checkpoint import Loaded, load_model
from relforge.trainer.recipes import relations

OPTIONS = DetectOptions(short_side=48, long_side=64)


@pytest.fixture
def data(settings: dict[str, Any]) -> RelationData:
    return sources.load_relations(settings["data"], keep_empty=True)


@pytest.fixture
def parsed(settings: dict[str, Any]) -> Loaded:
    settings["model"]["kind"] = "parsed"
    return load_model(relations.main(settings | {"steps": 1}))


def test_every_image_gets_its_best_pairs_in_pixels(parsed: Loaded, data: RelationData) -> None:
    found = detect(parsed, data, data.predicates, None, replace(OPTIONS, max_pairs=5))
    assert set(found.image) == set(data.images["image_id"].to_pylist())
    assert all(1 <= (found.image == image).sum() <= 5 for image in set(found.image))
    assert set(found.predicate) <= set(data.predicates)
    assert "no objects" not in set(found.subject) | set(found.object)
    width, height = data[0].size
    centre = (found.subject_box[:, :2] + found.subject_box[:, 2:])[found.image == found.image[0]] / 2
    assert ((centre > 0) & (centre < (width, height))).all()


def test_a_subject_class_leaves_out_pairs_of_another_subject(parsed: Loaded, data: RelationData) -> None:
    anything = detect(parsed, data, data.predicates, None, replace(OPTIONS, max_pairs=10**6, max_overlap=9.0))
    one = anything.subject[0]
    found = detect(parsed, data, data.predicates, one, replace(OPTIONS, max_pairs=10**6, max_overlap=9.0))
    assert set(found.subject) == {one}
    assert len(found) == (anything.subject == one).sum()


def test_near_repetitions_of_a_kind_are_left_out() -> None:
    """Of two pairs of a kind the worse goes where IoU(subjects) * sqrt(IoU(objects)) is above 0.7."""
    person, shifted, horse = [0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 40, 40]
    made = Pairs(
        image=np.full(5, "7", object),
        subject=np.array(["person"] * 5, object),
        predicate=np.array(["riding", "riding", "near", "riding", "riding"], object),
        object=np.array(["horse"] * 5, object),
        subject_box=np.array([person, shifted, person, horse, shifted], float),
        object_box=np.array([horse, horse, horse, horse, person], float),
        score=np.array([0.5, 0.9, 0.4, 0.3, 0.2]),
    )

    assert keep_best(made, OPTIONS).score.tolist() == [0.9, 0.4, 0.3, 0.2]
    assert keep_best(made, replace(OPTIONS, max_overlap=0.81)).score.tolist() == [0.9, 0.5, 0.4, 0.3, 0.2]
    assert keep_best(made, replace(OPTIONS, max_pairs=3)).score.tolist() == [0.9, 0.4]


def test_annotated_pairs_are_the_gold_in_pixels(data: RelationData) -> None:
    gold = gold_pairs(data)
    assert len(gold) == len(data.relations)
    first = data[0]
    x, y, w, h = first.boxes[first.pairs[0, 0]]
    assert gold.subject_box[0].tolist() == pytest.approx([x, y, x + w, y + h])
    assert gold.predicate[0] == data.predicates[first.predicates[0][0]]


def test_an_r_tagger_cannot_search(settings: dict[str, Any], data: RelationData) -> None:
    loaded = load_model(relations.main(settings | {"steps": 1}))
    with pytest.raises(ValueError, match="rtagger model cannot search for pairs"):
        detect(loaded, data, data.predicates, None, OPTIONS)
