"""What `benchmarks/evaluators.py` gives to published code is the data that ours gets."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.data import hico
from relforge.data.vcoco import from_official
from relforge.data.vcoco_actions import ROLE_COLUMNS
from relforge.evaluation.vcoco_detections import AGENTS, of_rows
from relforge.evaluation.vcoco_official import VcocoMatches

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def evaluators(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("evaluators")


def test_vcocos_official_files_and_dictionaries_hold_the_drawn_data(evaluators: Any) -> None:
    gold, found = evaluators.draw_vcoco(12, np.random.default_rng(0))
    instances, actions = evaluators.official_files(gold)
    again = from_official(instances, actions, "the drawn files")
    rows: list[tuple[Any, ...]] = []
    for one in evaluators.dictionaries(gold, found):
        place = again.images.index(one["image_id"])
        rows += [(place, one["person_box"], one[c][:4], c, one[c][4]) for c in ROLE_COLUMNS]
        rows += [(place, one["person_box"], [np.nan] * 4, agent, one[agent]) for agent in AGENTS]
    image, person, role, column, score = (list(values) for values in zip(*rows, strict=True))
    detections = of_rows(
        np.array(image),
        np.array(person, np.float32),
        np.array(role, np.float32),
        np.array(column, object),
        np.array(score, np.float32),
    )
    ours, theirs = VcocoMatches(found, gold).quality(), VcocoMatches(detections, again).quality()
    assert theirs.positives == ours.positives
    for key in ("agent", "role_1", "role_2"):
        assert getattr(theirs, key) == pytest.approx(getattr(ours, key), abs=2e-3, nan_ok=True)


HICO_STAND_IN = '''
import torch

class HICOEvaluator:
    """The signature and the reading of the published class; it keeps what it got."""

    def __init__(self, preds, gts, subject_category_id, rare_triplets, non_rare_triplets, correct_mat, args):
        assert args.use_nms_filter and (args.thres_nms, args.nms_alpha, args.nms_beta) == (0.7, 1.0, 0.5)
        assert subject_category_id == 0 and correct_mat.shape == (117, 80)
        assert all(len(one) == 3 for one in (*rare_triplets, *non_rare_triplets))
        self.rows, self.gold, self.images = [], [], []
        for found, right in zip(preds, gts, strict=True):
            found = {key: value.to("cpu").numpy() for key, value in found.items()}
            self.images.append(right["filename"])
            right = {k: v.to("cpu").numpy() for k, v in right.items() if k not in ("id", "filename")}
            for query, (subject, end) in enumerate(zip(found["sub_ids"], found["obj_ids"], strict=True)):
                (verb,) = found["verb_scores"][query].nonzero()[0].tolist() or [None]
                score = 0.0 if verb is None else float(found["verb_scores"][query, verb])
                classes = (found["labels"][subject], found["labels"][end])
                boxes = (*found["boxes"][subject].tolist(), *found["boxes"][end].tolist())
                self.rows.append((len(self.images) - 1, verb, *map(int, classes), *boxes, score))
            for subject, end, verb in right["hois"]:
                classes = (right["labels"][subject], right["labels"][end])
                boxes = (*right["boxes"][subject].tolist(), *right["boxes"][end].tolist())
                self.gold.append((len(self.images) - 1, int(verb), *map(int, classes), *boxes))

    def evaluate(self):
        global last
        last = self
        return {"mAP": 0.25}
'''


def test_a_checkouts_hico_evaluator_gets_every_drawn_pair(
    evaluators: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "hico_eval.py").write_text(HICO_STAND_IN)
    kinds = [("person", verb, name) for verb, name in hico.interactions()]
    gold, found = evaluators.draw(6, 20, kinds, np.random.default_rng(0))
    module = evaluators.load(tmp_path / "datasets" / "hico_eval.py")
    monkeypatch.setattr(evaluators, "load", lambda path: module)
    took, mean = evaluators.published_hico(str(tmp_path), gold, found)
    assert (took >= 0, mean) == (True, 0.25)
    theirs = module.last
    assert theirs.images == gold.images
    for pairs, rows in ((found, theirs.rows), (gold.pairs, theirs.gold)):
        ours = {
            (
                gold.images.index(image),
                hico.verbs().index(verb),
                0,
                hico.objects().index(name),
                *np.concatenate([one, two]).astype(np.float32).tolist(),
            )
            for image, verb, name, one, two in zip(
                pairs.image, pairs.predicate, pairs.object, pairs.subject_box, pairs.object_box, strict=True
            )
        }
        assert {(*row[:4], *np.array(row[4:12], np.float32).tolist()) for row in rows} == ours
    scores = sorted(row[-1] for row in theirs.rows)
    assert scores == pytest.approx(np.sort(found.score), abs=1e-7)


VSRL_STAND_IN = '''
import json
import pickle

class VCOCOeval:
    """The published constructor and evaluation, as far as they read their files."""

    def __init__(self, vsrl_annot_file, coco_annot_file, split_file):
        self.actions = json.load(open(vsrl_annot_file))
        self.instances = json.load(open(coco_annot_file))
        self.ids = [int(line) for line in open(split_file)]

    def _do_eval(self, detections_file, ovr_thresh=0.5):
        found = pickle.load(open(detections_file, "rb"))
        assert ovr_thresh == 0.5
        assert {one["image_id"] for one in found} <= set(self.ids)
        for action in self.actions:
            assert len(action["role_object_id"]) == len(action["role_name"]) * len(action["ann_id"])
        assert {one["id"] for one in self.instances["images"]} == set(self.ids)
        for one in found:
            assert one["person_box"].shape == (4,)
            for action in self.actions:
                assert 0 <= one[action["action_name"] + "_agent"] <= 1
                for role in action["role_name"][1:]:
                    assert one[action["action_name"] + "_" + role].shape == (5,)
        print(f"{len(found)} detections, {len(self.actions)} actions")
'''


def test_a_folders_vsrl_eval_gets_its_three_files_and_the_detections(
    evaluators: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vsrl_eval.py").write_text(VSRL_STAND_IN)
    gold, found = evaluators.draw_vcoco(5, np.random.default_rng(0))
    assert evaluators.published_vcoco(str(tmp_path), gold, found) >= 0
    assert f"{len(found.image)} detections, 26 actions" in capsys.readouterr().out


def test_a_folder_without_the_published_file_is_named(evaluators: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"vsrl_eval\.py does not exist"):
        evaluators.load(tmp_path / "vsrl_eval.py")
