"""HICO-style files as published training and testing read them (golden g15)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.data import hico, vcoco_actions, vcoco_images
from relforge.data.hoi import NO_OBJECT, HoiData
from relforge.data.hoi_json import read_hoi_json
from relforge.data.hoi_targets import HoiTarget, training_target

SIZE = (640, 480)
MISSING = 80


@pytest.fixture(scope="module")
def readers(shared: Any) -> dict[str, Any]:
    return json.loads(shared("goldens/g15_targets.json").read_text())["readers"]


def read_both(readers: dict[str, Any], folder: Path) -> tuple[HoiData, HoiData]:
    paths = []
    for name in ("annotations", "vcoco_annotations"):
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(readers[name]))
    objects = [*hico.objects(), "missing objects"]
    of_vcoco = read_hoi_json(
        str(paths[1]), objects, vcoco_actions.COLUMNS, hico.coco_codes(), dict(enumerate(range(29)))
    )
    return hico.read_hico(str(paths[0])), of_vcoco


def cxcywh(boxes: np.ndarray) -> np.ndarray:
    scale = np.array([*SIZE, *SIZE])
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], 1) / scale


def check(target: HoiTarget, stored: dict[str, Any]) -> None:
    boxes = np.concatenate([target.boxes, np.zeros((1, 4))])  # the last stands for no object
    classes = np.append(target.classes, MISSING)
    assert NO_OBJECT == -1
    assert classes[:-1].tolist() == stored["labels"]
    assert classes[target.pairs[:, 1]].tolist() == stored["obj_labels"]
    assert target.verbs.tolist() == stored["verb_labels"]
    for ours, key in (
        (boxes[:-1], "boxes"),
        (boxes[target.pairs[:, 0]], "sub_boxes"),
        (boxes[target.pairs[:, 1]], "obj_boxes"),
    ):
        np.testing.assert_allclose(cxcywh(ours), np.reshape(stored[key], (-1, 4)), atol=1e-7)


@pytest.mark.parametrize(
    ("key", "max_boxes"),
    [
        ("hico_train correct_subject=False", None),
        ("hico_train num_queries=2 (boxes cut to the first two)", 2),
    ],
)
def test_training_targets_of_hico(
    readers: dict[str, Any], tmp_path: Path, key: str, max_boxes: int | None
) -> None:
    data, _ = read_both(readers, tmp_path)
    stored = readers[key]
    targets = [training_target(image, SIZE, len(data.verbs), max_boxes) for image in data.images]
    kept = [number for number, target in enumerate(targets) if target is not None]
    if isinstance(stored, dict):
        assert kept == stored["kept_images"]
        stored = stored["targets (normalise only)"]
    for number, expected in zip(kept, stored, strict=True):
        target = targets[number]
        assert target is not None
        check(target, expected)


def test_training_targets_of_vcoco_have_a_missing_object(readers: dict[str, Any], tmp_path: Path) -> None:
    _, data = read_both(readers, tmp_path)
    for image, expected in zip(data.images, readers["vcoco_train"], strict=True):
        target = training_target(image, SIZE, len(data.verbs))
        assert target is not None
        check(target, expected)


@pytest.mark.parametrize(("number", "key"), [(0, "hico_val"), (1, "vcoco_val")])
def test_test_targets_are_the_annotation_as_it_stands(
    readers: dict[str, Any], tmp_path: Path, number: int, key: str
) -> None:
    data = read_both(readers, tmp_path)[number]
    images = {image.file_name: image for image in data.images}
    for expected in readers[key]:
        image = images[expected["filename"]]
        assert image.boxes.tolist() == expected["boxes"]
        assert image.classes.tolist() == expected["labels"]
        assert image.interactions.tolist() == expected["hois"]
        if "img_id" in expected:
            assert vcoco_images.image_number(image.file_name) == expected["img_id"]


def test_a_row_that_points_past_the_boxes_is_counted_and_its_image_stays(
    readers: dict[str, Any], tmp_path: Path
) -> None:
    data, _ = read_both(readers, tmp_path)
    assert dict(data.reasons) == {"unknown_box": 1}
    assert [len(image.interactions) for image in data.images] == [6, 0, 0]


def test_prompts_are_the_published_ones(readers: dict[str, Any]) -> None:
    assert hico.objects() == readers["hico_prompts"]["objects"][: len(hico.objects())]
    assert hico.verbs() == readers["hico_prompts"]["verbs"]
    assert readers["vcoco_prompts"]["verbs"] == vcoco_actions.PROMPTS
