"""Time of training steps: the adapter to published code, on a stand-in with the published interface."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from relforge.models.published import published_blueprint
from relforge.models.zoo import family

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

MAIN = """
import argparse

def get_args_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hoi", action="store_true")
    parser.add_argument("--device", default="cuda")
    return parser
"""
MISC = """
import torch

def nested_tensor_from_tensor_list(images):
    return torch.stack(images)
"""
MODELS = """
import json
import torch
from torch import nn
from relforge.models.blocks.prediction import Labels
from relforge.models.zoo import family
from relforge.models.blueprint import Blueprint

NAMES = json.load(open({names!r}))

class Published(nn.Module):
    "A small QPIC under its authors' names."

    def __init__(self):
        super().__init__()
        layers = dict(encoder_layers=1, decoder_layers=1, feedforward=16, dropout=0.0)
        sizes = family("qpic").sizes(dim=32, heads=8, pairs=5, **layers)
        backbone = dict(family="resnet", embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1])
        torch.manual_seed(5)
        names = [f"class {{i}}" for i in range(80)], [f"relation {{i}}" for i in range(117)]
        self.ours = Blueprint("qpic", sizes, backbone, None, *names).build(None)

    def state_dict(self):
        ours = self.ours.state_dict()
        return {{theirs: ours[name] for theirs, name in NAMES.items() if name in ours}}

    def forward(self, images):
        last = self.ours(images, Labels([], [])).layers[-1]
        return {{"pred_obj_logits": last.object_logits, "pred_verb_logits": last.relation_logits,
                "pred_sub_boxes": last.subject_boxes, "pred_obj_boxes": last.object_boxes}}

class Criterion(nn.Module):
    weight_dict = {{"loss_sub_bbox": 2.5, "loss_obj_bbox": 2.5}}

    def forward(self, outputs, targets):
        count = len(targets[0]["sub_boxes"])
        box = (outputs["pred_sub_boxes"][0, :1] - targets[0]["sub_boxes"][:1]).abs().sum()
        return {{"loss_sub_bbox": box, "loss_obj_bbox": outputs["pred_obj_boxes"].sum() / count,
                "class_error": torch.tensor(99.0)}}

def build_model(args):
    assert args.hoi and args.device == "cpu"
    return Published(), Criterion(), {{}}
"""


@pytest.fixture
def training(monkeypatch) -> Iterator[ModuleType]:
    """The script, imported as it runs."""
    kept = {name: sys.modules.get(name) for name in ("models", "main", "util")}
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("training")
    for name in [name for name in sys.modules if name.split(".")[0] in kept]:
        del sys.modules[name]
    sys.modules.update({name: module for name, module in kept.items() if module is not None})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the modules that the adapter reads."""
    listing = Path(__file__).resolve().parents[1] / "goldens" / "g7_qpic_state_dict.json"
    shapes = json.loads(listing.read_text())
    state = {key: torch.zeros(()).expand(shape) for key, (shape, _) in shapes.items()}
    blueprint = published_blueprint(state)
    assert blueprint is not None
    reader = family("qpic").published
    assert reader is not None
    renamed, _ = reader.rename(state, blueprint)
    names = tmp_path / "names.json"
    names.write_text(json.dumps({theirs: ours for ours, (theirs, _) in renamed.items()}))
    (tmp_path / "main.py").write_text(MAIN)
    for folder, file, text in (
        ("models", "__init__.py", MODELS.format(names=str(names))),
        ("util", "misc.py", MISC),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    return tmp_path


def test_published_code_and_ours_take_turns_with_equal_weights(training: ModuleType, checkout: Path) -> None:
    images, targets = training.make_batch(1, 64, 96)
    code = training.PublishedCode(checkout, "--hoi")
    row = training.compare(code, images, targets, 1)
    assert row["case"] == "qpic"
    assert row["logits differ by"] < 1e-5
    assert row["ours"] > 0
    assert row["theirs"] > 0
    assert row["ratio"] == pytest.approx(row["theirs"] / row["ours"])


def test_a_step_lowers_the_loss(training: ModuleType, checkout: Path) -> None:
    images, targets = training.make_batch(1, 64, 96)
    model, blueprint = training.PublishedCode(checkout, "--hoi").ours()
    step = training.our_step(blueprint.kind, model, images, targets)
    torch.manual_seed(0)
    losses = [step() for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", ["detr", "deformable_detr"])
def test_detectors_of_transformers_take_turns_with_ours(training: ModuleType, kind: str) -> None:
    images, targets = training.make_batch(1, 64, 96)
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
    sizes = {"d_model": 64, "encoder_layers": 1, "decoder_layers": 2, "num_queries": 5}
    sizes |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    row = training.compare_transformers(kind, images, targets, 1, resnet=resnet, **sizes)
    assert row["logits differ by"] < 1e-5
    assert row["ratio"] == pytest.approx(row["theirs"] / row["ours"])


@pytest.mark.slow
def test_two_checkouts_take_turns(training: ModuleType) -> None:
    row = training.compare_before("qpic", BENCHMARKS.parent, 64, 64, 1, 1)
    assert row["ratio"] == pytest.approx(row["theirs"] / row["ours"])
    assert 0.1 < row["ratio"] < 10  # the same checkout twice
    assert row["peak GB of ours"] > 0.2


def test_names_have_the_lengths_of_real_ones(training: ModuleType) -> None:
    worker = importlib.import_module("training_worker")
    names = worker.names()
    assert len(set(names)) == 500
    lengths = [len(worker.tokenize(name)) for name in names]
    assert {length: lengths.count(length) for length in set(lengths)} == worker.LENGTHS
