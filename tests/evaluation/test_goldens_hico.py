"""HICO-DET against the published evaluators: official, RLIPv2, GGNet and pocket (goldens g5 and g15)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relforge.data import hico
from relforge.evaluation.annotated import Annotated
from relforge.evaluation.hico_protocol import PROTOCOLS
from relforge.evaluation.hico_quality import DetectionQuality, measure_kinds
from relforge.evaluation.pair_nms import PairNms, suppress
from relforge.evaluation.pairs import Kind, Pairs
from tests.evaluation.golden_detections import annotated, detected, named

NEAR = pytest.approx
CASES: dict[str, tuple[str, bool, str]] = {
    "official_default": ("official", False, ""),
    "official_known_object": ("official", True, ""),
    "ggnet_default": ("ggnet", False, ""),
    "ggnet_known_object (image labels)": ("ggnet", True, ""),
    "ggnet_known_object (boxes)": ("ggnet", True, "boxes"),
    "rlipv2_default": ("rlipv2", False, ""),
    "rlipv2_matching_on_known_object_images (not in the published code)": ("rlipv2", True, "all"),
    "pocket_default": ("pocket", False, ""),
    "pocket_known_object (image labels)": ("pocket", True, ""),
}


@pytest.fixture(scope="module")
def known_object(shared: Any) -> dict[str, Any]:
    return json.loads(shared("goldens/g15_hico_known_object.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_every_kind_and_mean_of_the_published_evaluators(known_object: dict[str, Any], case: str) -> None:
    name, known, images = CASES[case]
    inputs, expected = known_object["inputs"], known_object["outputs"][case]
    kinds, gold, found = invented(inputs)
    if images == "boxes":  # image labels from the annotated rows alone
        gold, images = replace(gold, labels=shown_objects(gold)), ""
    # matching alone is compared: no cut and no suppression
    published = PROTOCOLS[name]
    rules = replace(published, top=None, nms=None, images=images or published.images)
    quality = measure_kinds(found, gold, rules, known_object=known)
    assert [quality.average_precision[kind] for kind in kinds] == NEAR(expected["ap"], abs=1e-9)
    counts = dict(zip(kinds, inputs["train_instances"], strict=True))
    means = [quality.mean(), quality.mean(lambda k: counts[k] < 10), quality.mean(lambda k: counts[k] >= 10)]
    assert means == NEAR([expected[key] for key in ("full", "rare", "non_rare")], abs=1e-9)
    if "printed_metrics" in expected:
        assert quality.recall == NEAR(expected["printed_metrics"]["mean max recall"], abs=1e-9)
    if "max_recall" in expected:
        assert quality.recall == NEAR(np.mean(expected["max_recall"]), abs=1e-9)


def shown_objects(gold: Annotated) -> list[set[str]]:
    rows = list(zip(gold.pairs.image.tolist(), gold.pairs.object.tolist(), strict=True))
    return [{name for of, name in rows if of == image} for image in gold.images]


def test_every_published_evaluator_of_the_golden_is_a_case(known_object: dict[str, Any]) -> None:
    assert set(CASES) == set(known_object["outputs"])


def test_upt_visits_no_image_without_pairs(known_object: dict[str, Any]) -> None:
    _, gold, found = invented(known_object["inputs"])
    with_pairs = np.isin(found.image.astype(str), gold.pairs.image.astype(str))
    assert not with_pairs.all()
    visited = measure_kinds(found.take(with_pairs), gold, PROTOCOLS["pocket"])
    assert measure_kinds(found, gold, PROTOCOLS["upt"]).average_precision == visited.average_precision
    assert measure_kinds(found, gold, PROTOCOLS["pocket"]).mean() < visited.mean()


def invented(inputs: dict[str, Any]) -> tuple[list[Kind], Annotated, Pairs]:
    names = inputs["object_names"]
    kinds = [("person", f"verb{verb}", names[place]) for verb, place in inputs["hoi_verb_object"]]

    def pairs(images: list[list[list[float]]]) -> Pairs:
        rows = [(number, *row) for number, rows in enumerate(images) for row in rows]
        columns = list(zip(*[kinds[int(row[1])] for row in rows], strict=True))
        subject, predicate, object_ = (np.array(column, object) for column in columns)
        boxes = np.array([row[2:10] for row in rows], float)
        score = np.array([row[10] if len(row) > 10 else 1.0 for row in rows])
        image = named([row[0] for row in rows], "image")
        return Pairs(image, subject, predicate, object_, boxes[:, :4], boxes[:, 4:], score)

    gold = pairs(inputs["ground_truth rows [hoi, human xyxy, object xyxy]"])
    images = [f"image{number}" for number in range(30)]
    labels = [{kinds[hoi][2] for hoi in of_image} for of_image in inputs["image_positive_hois"]]
    boxed = np.isin(images, gold.image.astype(str))
    found = pairs(inputs["detections rows [hoi, human xyxy, object xyxy, score]"])
    return kinds, Annotated(images, boxed, gold, kinds, labels), found


@pytest.mark.parametrize("nms", [False, True])
def test_mask_cut_suppression_and_matching_of_rlipv2(shared: Any, nms: bool) -> None:
    stored = json.loads(shared("goldens/g5_hico_eval.json").read_text())
    inputs, expected = stored["inputs"], stored["outputs"][f"use_nms_filter={nms}"]["metrics"]
    gold = annotated(inputs["gts"], "hois")
    boxed = np.array([len(one["boxes"]) > 0 for one in inputs["gts"]])
    images = [f"image{number}" for number in range(len(boxed))]
    rules = PROTOCOLS["rlipv2"] if nms else replace(PROTOCOLS["rlipv2"], nms=None)
    found = detected(inputs["preds"], np.array(inputs["correct_mat"]))
    split = Annotated(images, boxed, gold, None, [set() for _ in images])
    quality = measure_kinds(found, split, rules, subject=None)
    rare = {(f"class{s}", f"verb{v}", f"class{o}") for s, o, v in inputs["rare_triplets"]}
    assert printed(quality, rare) == NEAR(expected, abs=1e-9)


def printed(quality: DetectionQuality, rare: set[Kind]) -> dict[str, float]:
    return {
        "mAP": quality.mean(),
        "mAP rare": quality.mean(lambda kind: kind in rare),
        "mAP non-rare": quality.mean(lambda kind: kind not in rare),
        "mean max recall": quality.recall,
    }


@pytest.mark.parametrize(
    ("key", "nms"),
    [
        ("kept (rlipv2/cdn: alpha 1, beta 0.5, 0.7)", PairNms()),
        ("kept (original qahoi: product, 0.5)", PairNms(1.0, 1.0, 0.5)),
    ],
)
def test_pair_suppression_keeps_the_published_rows_in_the_published_order(
    shared: Any, key: str, nms: PairNms
) -> None:
    for case in json.loads(shared("goldens/g15_pair_nms.json").read_text())["cases"]:
        subject, object_ = (
            np.array(case[name], float).reshape(-1, 4) for name in ("subject_boxes", "object_boxes")
        )
        score = np.array(case["scores"], float)
        kept = suppress(np.zeros(len(score), int), subject, object_, score, nms)
        assert kept.tolist() == case[key], case["name"]


def test_lists_of_the_benchmark(shared: Any) -> None:
    stored = json.loads(shared("goldens/g15_hico_indices.json").read_text())
    rows = stored["hoi (row i = HICO id i+1): [verb index 0..116, COCO-80 object index]"]
    assert hico.objects() == stored["object_names"]
    assert hico.verbs() == stored["verb_prompts"]
    assert hico.interactions() == [(hico.verbs()[verb], hico.objects()[place]) for verb, place in rows]
    assert list(hico.coco_codes()) == stored["object_coco_ids"]
    assert hico.correct_verbs().sum() == stored["facts"]["correct_mat_sum"]
    for name, numbers in stored["unseen_0_based"].items():
        every = hico.interactions()
        assert hico.unseen(name.split(" ")[0]) == tuple(every[number] for number in numbers)
