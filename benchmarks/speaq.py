"""SpeaQ's assignment against plain matching on the drawn world: recall, time of a step, cost of assigning.

    python benchmarks/speaq.py [--models parseda speaq] [--seeds 0 1 2] [--steps 800] [--work FOLDER] [--json]

Both variants of a model start from the same detector, which knows the classes and no relation
(`laboratory/zoo_models.py`; `--work` may be that of `benchmarks/zoo.py`, which has trained them), and learn
all relations of the gold images for as many steps. `speaq` is a small Iterative SGG; its three decoders start
as the detector's. SpeaQ's assignment is the published one: four groups of predicates with queries of their
own, up to four queries for a target, two predicate queries for a pair. Test images are drawn with another
seed than any training image. Trainings and results stay in the work folder, so a second call only does what
is new.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from laboratory.cache import digest
from laboratory.spread import Row, rows
from laboratory.training import trained
from laboratory.world import SIZE, World
from laboratory.zoo_models import (
    BATCH,
    DETECTORS,
    DETR,
    ENTRIES,
    LONG_SIDE,
    PAIRS,
    SHORT_SIDE,
    Entry,
    detector,
    optimisation,
    text_encoder,
)
from report import emit
from zoo import world_of

from relforge.demo.world.dataset import write_split
from relforge.evaluation.vg_sgg import VgSggEvaluator
from relforge.models.training.criterion import Criterion
from relforge.trainer.recipes import relations

TEST = 150
"""Test images."""

PLAIN, SPEAQ = "plain matching", "SpeaQ"
VARIANTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    SPEAQ: {
        "groups": 4,
        "multi": {"k": 4, "quality": "max", "predicate_weight": -0.5},
        "predicate_copies": 2,
    },
}
"""Variant -> `assign` of its recipe."""
_SIZES = {name: value for name, value in DETECTORS[DETR].items() if name != "queries"}
MODELS = {"parseda": ENTRIES["parseda"], "speaq": Entry(DETR, _SIZES)}
MEASURES = ("R@50", "mR@50", "zR@50", "mR@50 head", "mR@50 body", "mR@50 tail")
TIMED_STEPS = 8


def main() -> None:
    """Train what is missing, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=800, help="of every training")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-speaq")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = world_of(options.work.resolve())
    found: list[Row] = []
    for model in options.models:
        measured: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
        for seed in options.seeds:
            for variant in VARIANTS:
                own = settings(world, model, variant, seed, options.steps)
                measured[variant].append(measure(world, trained(world, own)))
        cost = {variant: step_cost(world, model, variant) for variant in VARIANTS}
        found += rows(f"{model}, {SPEAQ}", PLAIN, measured[SPEAQ], measured[PLAIN])
        found += rows(f"{model}, {SPEAQ}", PLAIN, [cost[SPEAQ]], [cost[PLAIN]])
    emit(found, options.json, "SpeaQ on the drawn world")


def settings(world: World, model: str, variant: str, seed: int, steps: int) -> dict[str, Any]:
    """The recipe of one training."""
    entry = MODELS[model]
    parts: dict[str, Any] = {"kind": model, "start": str(detector(world, entry.detector))}
    parts["sizes"] = dict(entry.sizes)
    if entry.texts:
        parts["text"] = str(text_encoder(world))
    return {
        "data": [world.source("vg-like")],
        "seed": seed,
        "steps": steps,
        "save_every": 500,
        "log_every": 50,
        "labels": "closed",
        "model": parts,
        "batch": BATCH | {"max_pairs": PAIRS, "one_predicate": model == "speaq"},
        "assign": VARIANTS[variant],
        "optimisation": optimisation(entry.detector),
    }


def test_images(world: World) -> dict[str, str]:
    """The test split as options of the evaluator, drawn on first use."""
    folder = write_split(world.work / "drawn-1", "detection", TEST, 1, SIZE, look_alikes=0.0)
    return {
        "annotations": str(folder / "scene_graphs.json"),
        "images": str(folder / "images" / "{image_id:0>6}.jpg"),
    }


def measure(world: World, model: Path) -> dict[str, float]:
    """Recall on the test images; kept beside the model."""
    kept = model.parent / "recall.json"
    if not kept.exists():
        test = test_images(world)
        evaluator = VgSggEvaluator(
            annotations=test["annotations"],
            images=test["images"],
            training=world.source("vg-like")["annotations"],
            short_side=SHORT_SIDE,
            long_side=LONG_SIDE,
        )
        gold = evaluator.read_gold(str(model))
        result = evaluator.measure(evaluator.read_detections(str(model), gold), gold)
        kept.write_text(json.dumps({name: one.value for name, one in result.measures.items()}))
    found: Mapping[str, float] = json.loads(kept.read_text())
    return {name: found[name] for name in MEASURES}


def step_cost(world: World, model: str, variant: str) -> dict[str, float]:
    """CPU milliseconds of a step, and of its assignment alone; kept in the work folder.

    Two trainings of different lengths: what both begin with is not counted.
    """
    own = settings(world, model, variant, 0, TIMED_STEPS)
    kept = world.work / "cost" / f"{digest(own, world.work)}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        spent = []
        for steps in (2, 2 + TIMED_STEPS):
            with tempfile.TemporaryDirectory() as out, clock() as clocks:
                begun = time.process_time()
                relations.main({**own, "out": out, "steps": steps})
                spent.append({"step": time.process_time() - begun, **clocks})
        short, long = spent
        cost = {f"milliseconds, {key}": 1000 * (long[key] - short[key]) / TIMED_STEPS for key in long}
        kept.write_text(json.dumps(cost))
    found: dict[str, float] = json.loads(kept.read_text())
    return found


@contextmanager
def clock() -> Iterator[dict[str, float]]:
    """Adds up the CPU seconds of all assignments made inside, under `assignment`."""
    spent = {"assignment": 0.0}
    assign = Criterion.assign

    def timed(*arguments: Any) -> Any:
        begun = time.process_time()
        try:
            return assign(*arguments)
        finally:
            spent["assignment"] += time.process_time() - begun

    with patch.object(Criterion, "assign", timed):
        yield spent


if __name__ == "__main__":
    main()
