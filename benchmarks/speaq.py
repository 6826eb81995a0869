"""SpeaQ's assignment against plain matching on the drawn world: recall, time of a step, cost of assigning.

    python benchmarks/speaq.py [--models parsed speaq] [--seeds 0 1 2] [--steps 50] [--start-steps 2500]
        [--work FOLDER] [--json]

`parsed` continues from the shipped ParSeD (a ParSeDA that starts from it has to learn to find pairs again,
which takes thousands of steps). `speaq` is a small Iterative SGG on that model's backbone. It first learns by
plain matching, once for all (the published models start from a detector of the same images); both variants
then continue from there for as many steps. No backbone is trained. SpeaQ's assignment is the published one:
four groups of predicates with queries of their own, up to four queries for a target, two predicate queries
for a pair. Test images are drawn with another seed than any training image. Trainings and results stay in
the work folder, so a second call only does what is new.
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
from laboratory.world import World
from report import emit

from relforge.demo.world.dataset import write_split
from relforge.evaluation.vg_sgg import VgSggEvaluator
from relforge.models.training.criterion import Criterion
from relforge.trainer.recipes import relations

SIZE, TRAINING, TEST = 128, 1000, 100
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
MODELS = ("parsed", "speaq")
MEASURES = ("R@50", "mR@50", "zR@50", "mR@50 head", "mR@50 body", "mR@50 tail")
TIMED_STEPS = 8

SHIPPED = "demo/weights/parsed"
SHORT_SIDE, LONG_SIDE, PAIRS = 96, 128, 32


def main() -> None:
    """Train what is missing, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=50, help="of every variant")
    parser.add_argument("--start-steps", type=int, default=2500, help="of the speaq that both continue from")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-speaq")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = World(options.work.resolve(), gold=TRAINING)
    found: list[Row] = []
    for model in options.models:
        measured: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
        for seed in options.seeds:
            for variant in VARIANTS:
                begun = start(world, model, options.start_steps)
                trained_model = train(world, model, variant, seed, begun, options.steps)
                measured[variant].append(measure(world, trained_model))
        cost = {variant: step_cost(world, model, variant) for variant in VARIANTS}
        found += rows(f"{model}, {SPEAQ}", PLAIN, measured[SPEAQ], measured[PLAIN])
        found += rows(f"{model}, {SPEAQ}", PLAIN, [cost[SPEAQ]], [cost[PLAIN]])
    emit(found, options.json, "SpeaQ on the drawn world")


def settings(world: World, model: str, variant: str, seed: int, steps: int) -> dict[str, Any]:
    """The recipe of one training."""
    batch = {"size": 8, "short_sides": [SHORT_SIDE], "long_side": LONG_SIDE, "max_pairs": PAIRS}
    return {
        "data": [source(world)],
        "seed": seed,
        "steps": steps,
        "save_every": 500,
        "log_every": 50,
        "labels": "closed",
        "batch": batch | {"one_predicate": model == "speaq"},
        "assign": VARIANTS[variant],
        "optimisation": {
            "learning_rate": 4e-4,
            "frozen": ["backbone."],
            "max_gradient_norm": 1.0,
            "warmup_steps": 30,
            "schedule": "cosine",
        },
    }


def train(world: World, model: str, variant: str, seed: int, begun: str, steps: int) -> Path:
    """The finished model's folder, continued from `begun`; trained now unless it was."""
    own = settings(world, model, variant, seed, steps)
    return trained(world, own | {"model": {"kind": model, "start": begun}})


def start(world: World, model: str, steps: int) -> str:
    """The model that every variant continues from."""
    if model == "parsed":
        return SHIPPED
    own = settings(world, model, PLAIN, 0, steps)
    own["optimisation"] |= {"learning_rate": 8e-4}
    return str(trained(world, own | {"model": {"kind": model, "start": SHIPPED}}))


def folder(world: World, name: str, seed: int, count: int) -> Path:
    """A drawn split, drawn on first use."""
    return write_split(world.work / f"drawn-{seed}", name, count, seed, SIZE)


def source(world: World, name: str = "vg-like", seed: int = 0, count: int = TRAINING) -> dict[str, Any]:
    """A drawn split as an entry of a recipe's data."""
    of_split = folder(world, name, seed, count)
    annotations, images = of_split / "scene_graphs.json", of_split / "images" / "{image_id:0>6}.jpg"
    return {"format": "visual_genome", "annotations": str(annotations), "images": str(images)}


def measure(world: World, model: Path) -> dict[str, float]:
    """Recall on the test images; kept beside the model."""
    kept = model.parent / "recall.json"
    if not kept.exists():
        test = source(world, "detection", 1, TEST)
        evaluator = VgSggEvaluator(
            annotations=test["annotations"],
            training=source(world)["annotations"],
            images=test["images"],
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

    Two trainings of different lengths from the shipped model: what both begin with is not counted.
    """
    own = settings(world, model, variant, 0, TIMED_STEPS)
    own |= {"model": {"kind": model, "start": SHIPPED}}
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
