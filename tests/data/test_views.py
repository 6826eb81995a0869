"""Views of training images: boxes and pairs follow what is shown (golden g15), colours as published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from relforge.data import sources
from relforge.data.batches import Batches, BatchOptions
from relforge.data.colour_jitter import NAMES, ColourJitter, draw_jitter
from relforge.data.hoi import NO_OBJECT
from relforge.data.hoi_targets import HoiTarget, training_target
from relforge.data.label_lists import ClosedLabels
from relforge.data.relations import Example, RelationData
from relforge.data.views import Crop, View, draw_crop
from tests.data.test_hoi_targets import SIZE, check, read_both

WHOLE = (1, 100_000)
"""Sides of a view that resizes nothing away."""


def example(boxes: Any, size: tuple[int, int], pairs: Any = ()) -> Example:
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], 1)
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    codes = [np.array([number]) for number in range(len(rows))]
    return Example(None, None, size, xywh, np.arange(len(xywh)), rows, codes)


def corners(one: Example) -> np.ndarray:
    return np.concatenate([one.boxes[:, :2], one.boxes[:, :2] + one.boxes[:, 2:]], 1)


GEOMETRY = "arg (resize: short, max; crop: top, left, height, width)"


def test_boxes_follow_as_published(shared: Any) -> None:
    stored = json.loads(shared("goldens/g15_targets.json").read_text())["geometry"]
    assert {case["op"] for case in stored} == {"hflip", "resize", "crop", "normalize"}
    for case in stored:
        width, height = case["image_wh"]
        one, given = example(case["boxes_xyxy"], (width, height)), case[GEOMETRY]
        pixels = np.zeros((height, width, 3), np.uint8)
        if case["op"] == "crop":
            top, left, high, wide = given
            view = View(min(high, wide), 10**6, crop=Crop(min(width, height), top, left, high, wide))
        elif case["op"] == "resize":
            view = View(given[0], given[1] or 10**6)
        else:
            view = View(min(width, height), 10**6, mirror=case["op"] == "hflip")
        shown = view.annotate(one)
        assert shown.categories.tolist() == case["kept"]
        rows, columns = view.render(pixels).shape[1:]
        assert [rows, columns] == case["out_size_hw"]
        pixels_of = corners(shown) * (np.array([columns, rows] * 2) / np.array(shown.size * 2))
        expected = np.array(case["out_boxes"])
        if case["op"] == "normalize":
            pixels_of = cxcywh_of(pixels_of, columns, rows)
        np.testing.assert_allclose(pixels_of, expected, rtol=1e-6, atol=2e-4)


def cxcywh_of(xyxy: np.ndarray, width: int, height: int) -> np.ndarray:
    low, high = xyxy[:, :2], xyxy[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], 1) / np.array([width, height] * 2)


def test_targets_of_a_mirrored_and_cropped_image_are_the_published_ones(shared: Any, tmp_path: Path) -> None:
    readers = json.loads(shared("goldens/g15_targets.json").read_text())["readers"]
    data, _ = read_both(readers, tmp_path)
    view = View(480, 1333, mirror=True, crop=Crop(480, 40, 60, 400, 420))
    stored = iter(readers["hico_train flip, crop (40,60,400,420), resize 480"])
    for image in data.images:
        target = training_target(image, SIZE, len(data.verbs))
        if target is None:
            continue
        plain = example(target.boxes, SIZE, target.pairs)
        shown = view.annotate(plain)
        kept = [int(codes[0]) for codes in shown.predicates]
        expected = next(stored)
        scale = np.array(SIZE * 2) / np.array(shown.size * 2)  # `check` normalises by SIZE
        ours = HoiTarget(
            corners(shown) * scale, target.classes[shown.categories], shown.pairs, target.verbs[kept]
        )
        check(ours, expected)
        assert list(view.render(np.zeros((480, 640, 3), np.uint8)).shape[1:]) == expected["size"]
    assert next(stored, None) is None


def test_pairs_go_with_their_boxes_and_a_missing_object_stays_missing() -> None:
    one = example(
        [[0, 0, 40, 40], [60, 60, 90, 90], [10, 10, 70, 20]], (100, 100), [[0, 1], [0, 2], [2, NO_OBJECT]]
    )
    shown = View(*WHOLE, crop=Crop(100, 0, 0, 50, 50)).annotate(one)
    assert shown.categories.tolist() == [0, 2]
    assert corners(shown).tolist() == [[0, 0, 40, 40], [10, 10, 50, 20]]
    assert shown.pairs.tolist() == [[0, 1], [1, NO_OBJECT]]
    assert [codes.tolist() for codes in shown.predicates] == [[1], [2]]


def test_a_crop_shows_what_its_annotation_says() -> None:
    # given a bright rectangle on black, and its box
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[30:90, 100:140] = 255
    one = example([[100, 30, 140, 90]], (160, 120))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        crop = draw_crop(rng, one.size, (90, 150), (60, 100))
        view = View(64, 100, bool(seed % 2), crop=crop)
        # when both are shown
        image, shown = view.render(pixels), view.annotate(one)
        # then the bright pixels are those of the box
        bright = np.argwhere(image[0].numpy() > 127)
        if not len(shown.boxes):
            assert len(bright) == 0
            continue
        scale = np.array([image.shape[2], image.shape[1]] * 2) / np.array(shown.size * 2)
        x1, y1, x2, y2 = (corners(shown) * scale)[0]
        assert np.abs(bright.min(0) - [y1, x1]).max() <= 1
        assert np.abs(bright.max(0) + 1 - [y2, x2]).max() <= 1


def test_crops_are_of_the_drawn_sides_and_inside() -> None:
    rng = np.random.default_rng(0)
    crops = [draw_crop(rng, (640, 480), (400, 500, 600), (384, 600)) for _ in range(300)]
    assert {crop.short_side for crop in crops} == {400, 500, 600}
    for crop in crops:
        rows, columns = crop.resize.size(480, 640)
        assert 384 <= crop.width <= min(600, columns)
        assert 384 <= crop.height <= min(600, rows)
        assert 0 <= crop.top <= rows - crop.height
        assert 0 <= crop.left <= columns - crop.width
    assert max(crop.width for crop in crops) > 580


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def test_colours_change_by_pillows_values_in_the_drawn_order() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    orders = set()
    for _ in range(30):
        jitter = draw_jitter(rng, 0.4)
        orders.add(jitter.order)
        image = Image.fromarray(pixels)
        for name in jitter.order:
            factor = getattr(jitter, name)
            assert 0.6 <= factor <= 1.4
            image = ENHANCERS[name](image).enhance(factor)
        assert np.array_equal(jitter(pixels), np.asarray(image))
    assert len(orders) == 6
    assert np.array_equal(ColourJitter(1.0, 1.0, 1.0)(pixels), pixels)
    assert set(NAMES) == set(ENHANCERS)


@pytest.fixture
def data(run_folder: Path) -> RelationData:
    return sources.load_relations([{"run": str(run_folder), "relations": "gold"}], max_pairs=16)


OPTIONS: dict[str, Any] = {"short_sides": (48, 64), "long_side": 96, "max_pairs": 16}
CROPS = {"crop": 0.5, "crop_short_sides": (40, 60), "crop_sides": (32, 60)}
FINE_TUNING: dict[str, Any] = OPTIONS | CROPS | {"jitter": 0.4}


def test_a_view_depends_on_seed_step_and_image_alone(data: RelationData) -> None:
    # given the same images in batches of another size: the view of an image in a step is the same
    two = Batches(data, BatchOptions(size=2, mirror=1.0, **FINE_TUNING | {"short_sides": (48,)}), seed=3)
    four = Batches(data, BatchOptions(size=4, mirror=1.0, **FINE_TUNING | {"short_sides": (48,)}), seed=3)
    first, whole = two.at(0), four.at(0)
    for place in range(2):
        assert torch.equal(first.targets[place].subject_boxes, whole.targets[place].subject_boxes)
    again = two.at(0)
    assert torch.equal(first.images, again.images)


def test_without_crops_and_jitter_nothing_is_drawn_for_them(data: RelationData) -> None:
    plain = Batches(data, BatchOptions(size=2, **OPTIONS), seed=3).at(0)
    crop = Batches(data, BatchOptions(size=2, **FINE_TUNING | {"crop": 0.0, "jitter": 0.0}), seed=3).at(0)
    assert torch.equal(plain.images, crop.images)
    assert plain.labels.texts == crop.labels.texts
    changed = Batches(data, BatchOptions(size=2, **FINE_TUNING | {"crop": 0.0}), seed=3).at(0)
    assert plain.images.shape == changed.images.shape
    assert not torch.equal(plain.images, changed.images)


@pytest.mark.parametrize("exchange", [False, True])
def test_published_training_leaves_left_and_right_in_mirrored_images(
    data: RelationData, exchange: bool
) -> None:
    # given one predicate with a side, and the other side
    names = ["to the left of", "to the right of"]
    sided = replace(data, predicates=[*names, *data.predicates[2:]])
    options = BatchOptions(size=len(data), mirror=1.0, exchange_sides=exchange, **OPTIONS)
    batch = Batches(sided, options, seed=3).at(0)
    counts = [
        sum(float(t.relations[:, batch.labels.relations.index(name)].sum()) for t in batch.targets)
        for name in names
    ]
    stated = data.predicate_counts()[:2].tolist()
    assert stated[0] != stated[1]
    assert counts == (stated[::-1] if exchange else stated)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"crop": 1.5}, r"batch\.crop: 1\.5 is not between 0 and 1"),
        ({"crop_sides": (384,)}, r"batch\.crop_sides: \[384\]"),
        ({"crop_sides": (500, 600)}, r"batch\.crop_sides: \[500, 600\].*\[400, 500, 600\]"),
    ],
)
def test_options_that_cannot_be_met_are_named(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchOptions(**option)


@pytest.mark.parametrize(("correct", "subject_label"), [(True, None), (False, "bicycle")])
def test_a_batch_of_hico_has_the_published_targets(
    shared: Any, tmp_path: Path, correct: bool, subject_label: str | None
) -> None:
    readers = json.loads(shared("goldens/g15_targets.json").read_text())["readers"]
    stored = readers[f"hico_train correct_subject={correct}"]["targets (normalise only)"]
    (tmp_path / "trainval_hico.json").write_text(json.dumps(readers["annotations"]))
    for record in readers["annotations"]:
        Image.new("RGB", SIZE).save(tmp_path / record["file_name"])
    part = {"format": "hico", "annotations": str(tmp_path / "trainval_hico.json"), "images": str(tmp_path)}
    hico = sources.load_relations([part])
    options = BatchOptions(
        size=2, short_sides=(480,), long_side=1333, mirror=0.0, subject_label=subject_label
    )
    batch = Batches(hico, options, seed=0, labels=ClosedLabels(hico)).at(0)
    assert len(batch.targets) == len(stored)
    ours = sorted(batch.targets, key=len, reverse=True)  # one image has pairs, the other has none
    assert len(ours[1]) == len(stored[1]["sub_labels"]) == 0
    order = ours[0].object_labels.argsort(stable=True)
    expected = torch.tensor(stored[0]["obj_labels"])
    theirs = expected.argsort(stable=True)
    assert ours[0].subject_labels[order].tolist() == torch.tensor(stored[0]["sub_labels"])[theirs].tolist()
    assert ours[0].object_labels[order].tolist() == expected[theirs].tolist()
    assert ours[0].relations[order].tolist() == torch.tensor(stored[0]["verb_labels"])[theirs].tolist()
    for name, boxes in (("sub_boxes", ours[0].subject_boxes), ("obj_boxes", ours[0].object_boxes)):
        torch.testing.assert_close(boxes[order], torch.tensor(stored[0][name])[theirs], atol=1e-6, rtol=0)
