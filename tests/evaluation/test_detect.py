"""A model as a detector: its detections on every image, and which repetitions are left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relforge.data import sources
from relforge.data.relations import RelationData
from relforge.evaluation.annotated import of_relations
from relforge.evaluation.detect import DetectOptions, detect, keep_best, load_detector
from relforge.evaluation.hico import HicoEvaluator, HicoGold
from relforge.evaluation.pairs import Pairs, gold_pairs
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import Loaded, load_model
from relforge.models.zoo import family
from relforge.trainer.recipes import relations
from tests.fixtures import tiny_published
from tests.fixtures.tiny_published import GOLDENS

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


def test_every_query_counts_where_subject_classes_were_not_learned(
    parsed: Loaded, data: RelationData
) -> None:
    """As in published evaluations of models that were fine-tuned without them."""
    every = replace(OPTIONS, max_pairs=10**6, max_overlap=None)
    anything = detect(parsed, data, data.predicates, None, every)
    absent = "a class of another set"
    found = detect(parsed, data, data.predicates, absent, replace(every, every_query=True))

    assert set(found.subject) == {absent}
    assert len(found) == len(anything)
    none = detect(parsed, data, data.predicates, absent, every)
    assert len(none) == 0
    gold = HicoGold(of_relations(data), data)
    result = HicoEvaluator(annotations="gold", subject="any").measure(none, gold)
    assert str(result.options["no detection"]).endswith("needs people_only=false")
    for people_only in (True, False):
        evaluator = HicoEvaluator(annotations="gold", people_only=people_only)
        assert evaluator._detect_options(gold).every_query is not people_only


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


@pytest.fixture
def published_file(data: RelationData, tmp_path: Path) -> tuple[Path, Loaded]:
    """A QPIC for the data's labels as its authors save one, and the same model with names of its labels."""
    backbone = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1] * 4}
    sizes = family("qpic").sizes(dim=32, pairs=4, encoder_layers=1, decoder_layers=1, feedforward=16)
    names = tuple(data.categories), tuple(data.predicates)
    blueprint = Blueprint("qpic", sizes, backbone, None, *names)
    torch.manual_seed(0)
    model = blueprint.build(None).eval()
    listing = json.loads((GOLDENS / "g7_qpic_state_dict.json").read_text())
    reader = family("qpic").published
    assert reader is not None
    renamed, _ = reader.rename({key: torch.zeros(1) for key in listing}, blueprint)
    ours = model.state_dict()
    state = {renamed[name][0]: tensor for name, tensor in ours.items()}
    return tiny_published.write(tmp_path / "qpic.pth", state), Loaded(model, blueprint, "")


def test_a_file_of_its_authors_takes_the_names_of_the_benchmark(
    published_file: tuple[Path, Loaded], data: RelationData
) -> None:
    path, named = published_file
    loaded = load_detector(str(path), None)
    assert loaded is not None
    assert loaded.blueprint.relations[0] == "relation 0"
    options = replace(OPTIONS, classes=data.categories)
    found = detect(loaded, data, data.predicates, None, options)
    expected = detect(named, data, data.predicates, None, options)
    assert len(found) > 0
    assert found.kinds() == expected.kinds()
    assert np.array_equal(found.score, expected.score)


def test_a_file_with_other_numbers_of_labels_is_refused(
    published_file: tuple[Path, Loaded], data: RelationData
) -> None:
    loaded = load_detector(str(published_file[0]), None)
    assert loaded is not None
    count = len(data.predicates)
    with pytest.raises(
        ValueError, match=rf"does not name its .* {count} relations; there are .* {count - 1} here"
    ):
        detect(loaded, data, data.predicates[1:], None, replace(OPTIONS, classes=data.categories))


def test_a_model_is_evaluated_in_exact_float32(parsed: Loaded, data: RelationData) -> None:
    # cuDNN would round the operands of convolutions to TF32
    seen: list[bool] = []
    hook = parsed.model.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))

    detect(parsed, data, data.predicates[:1], None, OPTIONS)
    hook.remove()

    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32


def test_whatever_else_runs_a_model_does_so_too() -> None:
    root = Path(__file__).resolve().parents[2]
    read = {
        path: path.read_text()
        for folder in ("evaluation", "stages", "vlm")
        for path in (root / folder).rglob("*.py")
        if path.parent.name not in ("parse", "learned")  # models of texts: no convolutions
    }
    read[root / "models" / "object_detector.py"] = (root / "models" / "object_detector.py").read_text()
    running = [path for path, text in read.items() if "inference_mode" in text]
    inexact = [path.name for path in running if "exact_arithmetic(torch.float32)" not in read[path]]

    assert len(running) == 13
    assert inexact == ["local.py"]
    assert "exact_arithmetic(self.model.dtype)" in read[root / "vlm" / "local.py"]
