"""Time of a training step of the zoo's families, against the published code.

    python benchmarks/training.py [FAMILY ...] [--short-side 480] [--long-side 640] [--batch 1] [--rounds 3]
        [--published CHECKOUT] [--flags "--hoi --DETRHOI"] [--transformers]
        [--before CHECKOUT [--one-at-a-time]] [--memory] [--json]

Models of the published sizes on ResNet-50 with random weights, 80 classes and 117 relations, 8 pairs an
image. A step is forward, losses, backward, clipping and AdamW; seconds are of the processor, one thread, the
median of the rounds. Texts are encoded in every step, as in training.

`--published` names the user's own checkout of a repository of the line (QPIC, CDN, OCN, RLIP, RLIPv2, QAHOI),
whose code then runs in this process: its `main.get_args_parser` and `models.build_model` make the model of
one family, with the flags given. Ours takes over its weights; its steps take turns with ours, and the largest
difference of the logits stands beside the times. Models that read texts have no adapter.

`--before` names another checkout of relforge (`git worktree add CHECKOUT COMMIT`). Each family (R-Tagger,
ParSeD, ParSeDA and QPIC by default) then runs in two processes, one of each checkout, whose steps take turns,
with 501 labels of the lengths of real ones (`training_worker.py`); the peak is of a process. Both need 6 to
8 GB at once; with `--one-at-a-time` a turn is a process of its own, which ends before the next one begins.
`--memory` measures this checkout alone, without and with `optimisation.checkpoint_activations`. The size of
benchmarks/results/training.md is `--short-side 320 --long-side 426 --batch 2`.

`--transformers` compares the detectors `detr` and `deformable_detr` (with box refinement) with those of
transformers, which have the same weights, in the same way.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from report import emit
from torch import Tensor, nn
from training_processes import compare_before, measure_memory

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.blueprint import Blueprint, wrap_text_encoder
from relforge.models.published import load_pretrained, load_published, published_blueprint
from relforge.models.training.box_targets import BoxTargets
from relforge.models.training.targets import Targets
from relforge.models.zoo import DETECTORS, MODELS, family
from relforge.trainer.tokenizer import train_tokenizer

CLASSES = [f"class {index}" for index in range(80)]
RELATIONS = [f"relation {index}" for index in range(117)]
PAIRS = 8
CLIP = 0.1
_ROOMS = {"main", "models", "util", "datasets"}
FAMILIES = [name for name in MODELS if name not in (*DETECTORS, "rtagger", "defr", "speaq")]
"""Those that search for pairs of HICO-DET."""
BEFORE = ("rtagger", "parsed", "parseda", "qpic")
"""Compared with an earlier checkout where none is named."""

Step = Callable[[], float]
"""One training step; returns its loss."""


def build(kind: str) -> nn.Module:
    """The published size, random weights."""
    entry = family(kind)
    torch.manual_seed(0)
    text = None
    if entry.labels == "open":
        from transformers import AutoConfig, AutoModel

        tokenizer = train_tokenizer([*CLASSES, *RELATIONS], 1000)
        config = AutoConfig.for_model("roberta", max_position_embeddings=514, type_vocab_size=1)
        text = wrap_text_encoder(AutoModel.from_config(config), tokenizer)
    backbone = build_backbone("resnet50")
    return entry.build(
        entry.sizes(), backbone=backbone, text_encoder=text, classes=CLASSES, relations=RELATIONS
    )


def make_batch(batch: int, height: int, width: int) -> tuple[Tensor, list[Targets]]:
    """Random images and pairs."""
    generator = torch.Generator().manual_seed(1)
    targets = []
    for _ in range(batch):
        boxes = torch.rand(2, PAIRS, 4, generator=generator) * 0.3 + 0.2
        relations = torch.zeros(PAIRS, len(RELATIONS))
        relations[torch.arange(PAIRS), torch.randint(0, len(RELATIONS), (PAIRS,), generator=generator)] = 1
        objects = torch.randint(0, len(CLASSES), (PAIRS,), generator=generator)
        targets.append(Targets(boxes[0], boxes[1], torch.zeros(PAIRS, dtype=torch.long), objects, relations))
    return torch.randn(batch, 3, height, width, generator=generator), targets


def our_step(kind: str, model: nn.Module, images: Tensor, targets: list[Targets]) -> Step:
    """A step of relforge's model by its published losses."""
    losses = family(kind).losses()
    labels = Labels([*CLASSES, NO_OBJECTS], RELATIONS)
    pairs = float(sum(len(target) for target in targets))
    return _step(model, lambda: losses(model(images, labels), targets, pairs)["total"])


def _step(model: nn.Module, loss: Callable[[], Tensor]) -> Step:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, 1e-4, weight_decay=1e-4)

    def run() -> float:
        model.train()
        total = loss()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        return float(total.detach())

    return run


class PublishedCode:
    """A checkout of published code of the line.

    Args:
        folder: it has `main.py`, `models/` and `util/misc.py`.
        flags: of its training script, which decide the method and its sizes.
    """

    def __init__(self, folder: Path, flags: str) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] in _ROOMS]:
            del sys.modules[name]  # of another checkout
        sys.path.insert(0, str(folder))
        try:
            parser = importlib.import_module("main").get_args_parser()
            arguments = parser.parse_args([*shlex.split(flags), "--device", "cpu"])
            self.model, self.criterion, *_ = importlib.import_module("models").build_model(arguments)
            self._nested = importlib.import_module("util.misc").nested_tensor_from_tensor_list
        finally:
            sys.path.remove(str(folder))

    def step(self, images: Tensor, targets: list[Targets]) -> Step:
        """A step as its `engine.py` has it."""
        theirs = [
            {
                "obj_labels": target.object_labels,
                "sub_labels": target.subject_labels,
                "verb_labels": target.relations,
                "sub_boxes": target.subject_boxes,
                "obj_boxes": target.object_boxes,
            }
            for target in targets
        ]

        def loss() -> Tensor:
            found = self.criterion(self.model(self._nested(list(images))), theirs)
            weights = self.criterion.weight_dict
            return torch.stack([found[name] * weights[name] for name in found if name in weights]).sum()

        return _step(self.model, loss)

    def ours(self) -> tuple[nn.Module, Blueprint]:
        """Our model with its weights.

        Raises:
            SystemExit: the weights are of no model of the zoo.
        """
        state = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        blueprint = published_blueprint(state)
        if blueprint is None:
            raise SystemExit("the published code built a model whose weights are of none of the zoo's")
        model = blueprint.build(None)
        load_published(model, state, blueprint)
        return model, blueprint

    @torch.no_grad()
    def difference(self, model: nn.Module, images: Tensor) -> float:
        """Largest difference of the last layer's logits, of objects and relations."""
        self.model.eval()
        found = self.model(self._nested(list(images)))
        last = model.eval()(images, Labels([*CLASSES, NO_OBJECTS], RELATIONS)).layers[-1]
        return max(
            float((found["pred_obj_logits"] - last.object_logits).abs().max()),
            float((found["pred_verb_logits"] - last.relation_logits).abs().max()),
        )


def compare_transformers(
    kind: str, images: Tensor, targets: list[Targets], rounds: int, **sizes: Any
) -> dict[str, Any]:
    """A detector of transformers and ours with its weights, in turns, on the boxes of both ends.

    Args:
        sizes: fields of transformers' config, for a smaller model.
    """
    theirs = _transformers_detector(kind, sizes)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        loaded = load_pretrained(folder)
    for name, parameter in theirs.named_parameters():  # the same parts are trained
        frozen = ("embedder.", "encoder.stages.0.")
        part = name.partition("backbone.model.")[2]
        parameter.requires_grad_(not (part.startswith(frozen) or ".normalization." in part))
    boxes = [
        BoxTargets(
            torch.cat([target.subject_boxes, target.object_boxes]),
            torch.cat([target.subject_labels, target.object_labels]),
        )
        for target in targets
    ]
    wanted = [{"class_labels": one.labels, "boxes": one.boxes} for one in boxes]
    losses = family(kind).losses()
    pairs = float(sum(len(one) for one in boxes))
    with torch.no_grad():
        expected = theirs.eval()(images).logits
        difference = float((loaded.model.eval()(images, None).layers[-1].logits - expected).abs().max())
    steps = [
        _step(loaded.model, lambda: losses(loaded.model(images, None), boxes, pairs)["total"]),
        _step(theirs, lambda: theirs(images, labels=wanted).loss),
    ]
    ours, other = seconds_of(steps, rounds)
    row = {"case": kind, "peer": "transformers", "ours": ours, "theirs": other, "ratio": other / ours}
    return row | {"unit": "CPU s per step", "logits differ by": difference}


def _transformers_detector(kind: str, sizes: dict[str, Any]) -> Any:
    from transformers import (
        DeformableDetrConfig,
        DeformableDetrForObjectDetection,
        DetrConfig,
        DetrForObjectDetection,
        ResNetConfig,
    )

    torch.manual_seed(0)
    resnet = ResNetConfig(out_features=["stage2", "stage3", "stage4"], **sizes.pop("resnet", {}))
    labels = {row: f"class {row}" for row in range(91)}
    common = {
        "use_timm_backbone": False,
        "backbone_config": resnet,
        "auxiliary_loss": True,
        "id2label": labels,
        "attention_dropout": 0.1,  # as published, and as ours
        "activation_dropout": 0.1,
    }
    if kind == "detr":
        return DetrForObjectDetection(DetrConfig(**common, **sizes))
    return DeformableDetrForObjectDetection(DeformableDetrConfig(**common, with_box_refine=True, **sizes))


def seconds_of(steps: list[Step], rounds: int) -> list[float]:
    """Median processor seconds of every step; they take turns, after one round to warm up."""
    found: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 1):
        for times, step in zip(found, steps, strict=True):
            began = time.process_time()
            step()
            if number:
                times.append(time.process_time() - began)
    return [statistics.median(times) for times in found]


def measure(kind: str, images: Tensor, targets: list[Targets], rounds: int) -> dict[str, Any]:
    """One family alone."""
    (ours,) = seconds_of([our_step(kind, build(kind), images, targets)], rounds)
    return {"case": kind, "peer": "", "ours": ours, "unit": "CPU s per step"}


def compare(code: PublishedCode, images: Tensor, targets: list[Targets], rounds: int) -> dict[str, Any]:
    """The published model and ours, in turns."""
    model, blueprint = code.ours()
    difference = code.difference(model, images)
    steps = [our_step(blueprint.kind, model, images, targets), code.step(images, targets)]
    ours, theirs = seconds_of(steps, rounds)
    row = {"case": blueprint.kind, "peer": "published code", "ours": ours, "theirs": theirs}
    return row | {"ratio": theirs / ours, "unit": "CPU s per step", "logits differ by": difference}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("families", nargs="*", metavar="FAMILY", help=f"default: all: {', '.join(FAMILIES)}")
    options.add_argument("--short-side", type=int, default=480)
    options.add_argument("--long-side", type=int, default=640)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--published", type=Path, help="checkout of published code")
    options.add_argument("--flags", default="", help="of its training script")
    options.add_argument(
        "--transformers", action="store_true", help="compare the detectors with transformers'"
    )
    options.add_argument("--before", type=Path, help="another checkout of relforge")
    options.add_argument("--one-at-a-time", action="store_true", help="with --before: one process at a time")
    options.add_argument("--memory", action="store_true", help="peak, also with checkpoint_activations")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    known = [*FAMILIES, "rtagger"] if args.before or args.memory else FAMILIES
    for kind in args.families:
        if kind not in known:
            options.error(f"{kind!r} is not measured; choose from {', '.join(known)}")
    torch.set_num_threads(1)
    size = args.short_side, args.long_side, args.batch, args.rounds
    images, targets = make_batch(args.batch, args.short_side, args.long_side)
    if args.published:
        rows = [compare(PublishedCode(args.published.resolve(), args.flags), images, targets, args.rounds)]
    elif args.before:
        rows = [
            compare_before(kind, args.before.resolve(), *size, one_at_a_time=args.one_at_a_time)
            for kind in args.families or BEFORE
        ]
    elif args.memory:
        rows = [row for kind in args.families or BEFORE for row in measure_memory(kind, *size)]
    elif args.transformers:
        rows = [compare_transformers(kind, images, targets, args.rounds) for kind in DETECTORS]
    else:
        rows = [measure(kind, images, targets, args.rounds) for kind in args.families or FAMILIES]
    emit(rows, args.json, f"training step, {args.batch} x {args.short_side} x {args.long_side}")


if __name__ == "__main__":
    main()
