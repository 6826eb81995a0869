"""Fine-tuning on the world's HICO-DET files after pre-training with and without pseudo-labels (RLIPv2, Tables
8, 10 and 11): all steps are commands of the recipe, and the measure is the official one.

The models are R-Taggers of two million parameters: boxes and classes are given, and every person is scored
with every other box for every verb. So recognition is measured, not detection, which takes hours to learn on
a CPU (`benchmark_models` does it with the shipped detector).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laboratory.cache import digest
from laboratory.candidate_sets import THRESHOLD
from laboratory.downstream import BOTH, GOLD, labelled, locate
from laboratory.labels import scores
from laboratory.training import BASE, batch_of, tagger, trained
from laboratory.world import Tables, World
from relforge.data.sources import load_relations
from relforge.data.vocabulary import read_vocabulary
from relforge.demo.world.benchmarks import TEST_EVERY
from relforge.demo.world.dataset import UNSEEN
from relforge.evaluation.hico import HicoEvaluator, HicoGold
from relforge.evaluation.pairs import Pairs
from relforge.stages.tables import SCHEMAS, conform

PRETRAINING = (GOLD, BOTH)
ZERO_SHOT, UNSEEN_VERBS = "zero-shot", "100 %, unseen verbs left out"
SHARES: dict[str, float] = {"1 %": 0.01, "10 %": 0.1, "100 %": 1.0}
REGIMES = (ZERO_SHOT, *SHARES, UNSEEN_VERBS)
FEW = ("1 %", "10 %")
FEW_EPOCHS = 10
"""Longest fine-tuning on few images, as published."""


@dataclass(frozen=True)
class Lengths:
    """What decides how long it takes.

    Args:
        pretraining, fine_tuning: steps.
        threshold: score from which a label of the pipeline is used.
        sides: shorter side of the images, and upper bound of the longer one, pixels.
    """

    pretraining: int = 240
    fine_tuning: int = 100
    threshold: float = THRESHOLD
    sides: tuple[int, int] = (56, 75)


def pretrained(world: World, learns: str, seed: int, lengths: Lengths) -> Path:
    """A tagger trained on gold alone, or for as many steps on gold and on labels of the pipeline, which used
    the former as its tagger."""
    steps, sides = lengths.pretraining, lengths.sides
    teacher = tagger(world, BASE, seed, steps=steps, sides=sides)
    if learns == GOLD:
        return teacher
    labels = labelled(world, teacher, lengths.threshold, sides)
    return tagger(world, BASE, seed, labels, steps, sides)


def fine_tuned(world: World, start: Path, regime: str, seed: int, lengths: Lengths) -> Path:
    """The tagger after fine-tuning on the training half of the HICO-DET files; `start` itself without."""
    if regime == ZERO_SHOT:
        return start
    steps, batch = lengths.fine_tuning, batch_of(lengths.sides)
    if regime in FEW:
        steps = min(steps, math.ceil(FEW_EPOCHS * count_images(world, regime, seed) / batch["size"]))
    settings = {
        "data": [training_entry(world, regime, seed)],
        "seed": seed,
        "steps": steps,
        "save_every": steps,
        "log_every": max(1, steps // 4),
        "model": {"kind": "rtagger", "start": str(start)},
        "labels": "closed",
        "batch": {**batch, "unrelated_pairs": 6},
        "optimisation": {
            "learning_rate": 3e-4,
            "backbone_learning_rate": 3e-4,
            "max_gradient_norm": 1.0,
            "warmup_steps": min(10, steps),
        },
    }
    return trained(world, settings)


def training_entry(world: World, regime: str, seed: int) -> dict[str, Any]:
    """The training half of the HICO-DET files, as a regime has it, as an entry of a recipe's `data`."""
    folder = world.folder("hoi")
    entry: dict[str, Any] = {
        "format": "hico",
        "annotations": str(folder / "hico" / "trainval_hico.json"),
        "vocabulary": str(folder / "hico" / "corre_hico.json"),
        "images": str(folder / "images"),
    }
    share = SHARES.get(regime, 1.0)
    if share < 1:
        few = {"share": share, "seed": seed}
        entry["few_shot"] = few | {"list": str(world.work / "lists" / f"{digest(few, world.work)}.json")}
    if regime == UNSEEN_VERBS:
        entry["unseen"] = list(UNSEEN)
    return entry


def count_images(world: World, regime: str, seed: int) -> int:
    """Training images of a regime."""
    if regime == ZERO_SHOT:
        return 0
    return len(load_relations([training_entry(world, regime, seed)]))


def measured(world: World, model: Path, sides: tuple[int, int]) -> dict[str, float]:
    """mAP of the official protocol on the test half: over all kinds, and over those of seen and unseen
    verbs."""
    evaluator, gold = read_gold(world)
    found = detected(world, model, sides)
    measures = evaluator.measure(found, gold).measures
    names = {
        "mean_average_precision": "Full",
        "mean_average_precision_seen": "Seen verbs",
        "mean_average_precision_unseen": "Unseen verbs",
    }
    values = {shown: measures[name].value for name, shown in names.items()}
    return values | {"Full, frequency prior": measures["mean_average_precision"].prior or 0.0}


def read_gold(world: World) -> tuple[HicoEvaluator, HicoGold]:
    """The official evaluator and the test half."""
    folder = world.folder("hoi") / "hico"
    test, training = str(folder / "test_hico.json"), str(folder / "trainval_hico.json")
    shown = set(HicoEvaluator(test, training).read_gold("").pairs.predicate.tolist())
    evaluator = HicoEvaluator(test, training, unseen=[verb for verb in UNSEEN if verb in shown])
    return evaluator, evaluator.read_gold("")


def detected(world: World, model: Path, sides: tuple[int, int]) -> Pairs:
    """Every person with every other box, scored for every verb of the benchmark."""
    own = {"short_side": sides[0], "long_side": sides[1]}
    tables = held_out(world.tables("hoi"))
    verbs = read_vocabulary(str(world.folder("hoi") / "hico" / "corre_hico.json")).verb_names
    scored = scores(world, tables, people_and_things(tables, verbs), model, **own)
    found = locate(scored, tables["boxes"])
    names = np.array([f"{int(image):06d}" for image in found.image], object)  # as the files name images
    return Pairs(**{**vars(found), "image": names})


def held_out(tables: Mapping[str, pa.Table]) -> Tables:
    """The images of the test half."""
    numbers = pc.cast(tables["images"]["image_id"], pa.int64()).to_numpy()
    wanted = pa.array([str(number) for number in numbers if number % TEST_EVERY == 0])
    return {name: table.filter(pc.is_in(table["image_id"], wanted)) for name, table in tables.items()}


def people_and_things(tables: Mapping[str, pa.Table], verbs: list[str]) -> pa.Table:
    """Candidates: every verb for every person with every other box."""
    blank = {"position": 0, "support": 0, "caption_ids": [], "triplet_ids": [], "rule": "every"} | {
        "claim_id": 0,
        "alternatives": 1,
    }
    boxes: dict[str, list[tuple[int, bool]]] = {}
    for row in tables["boxes"].select(["image_id", "box_id", "category"]).to_pylist():
        boxes.setdefault(row["image_id"], []).append((row["box_id"], row["category"] == "person"))
    rows = [
        {**blank, "image_id": image, "subject_box": subject, "object_box": end, "predicate": verb}
        for image, own in boxes.items()
        for (subject, person), (end, _) in permutations(own, 2)
        if person
        for verb in verbs
    ]
    return conform("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))
