"""The shipped detector on the world's HICO-DET, V-COCO and Open Images files, before and after fine-tuning.

It was pre-trained on gold and pseudo-labels (`configs/train/world_parsed.yaml`) and detects both boxes
itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laboratory.fine_tuning import read_gold
from laboratory.training import trained
from laboratory.world import World
from relforge.data.hoi import MISSING
from relforge.data.relations import RelationData
from relforge.data.sources import load_relations
from relforge.data.transforms import load_image
from relforge.data.vcoco_actions import COLUMNS
from relforge.data.views import View
from relforge.evaluation.detect import DetectOptions, detect
from relforge.evaluation.evaluator import Result
from relforge.evaluation.open_images import OpenImagesEvaluator
from relforge.evaluation.vcoco import VcocoEvaluator
from relforge.evaluation.vcoco_detections import VcocoDetections, of_pairs
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded, load_model
from relforge.models.zoo import family

DETECTOR = Path(__file__).resolve().parents[2] / "demo" / "weights" / "parsed"
SHORT_SIDE, LONG_SIDE, PAIRS = 80, 128, 32
"""As the detector was trained."""

MEASURES: dict[str, tuple[str, ...]] = {
    "HICO-DET": (
        "mean_average_precision",
        "mean_average_precision_seen",
        "mean_average_precision_unseen",
    ),
    "V-COCO": (
        "role_average_precision scenario 1",
        "role_average_precision scenario 2",
        "agent_average_precision",
    ),
    "Open Images": ("recall@50", "wmAP_rel@100", "wmAP_phr@100", "score_wtd"),
}
Values = dict[str, float]
Once = Callable[[str, Any, Callable[[], Values]], Values]


def run(world: World, once: Once, seed: int, steps: int) -> list[dict[str, Any]]:
    """One row per benchmark and measure: `before` and `after` fine-tuning.

    Args:
        once: keeps what a measuring gives, `Runs.once`.
        steps: of a fine-tuning.
    """
    rows = []
    for name in MEASURES:
        settings = [name, steps, seed, world.hoi]
        before = once("detection", [*settings, "before"], partial(measured, world, name, DETECTOR))
        after = once(
            "detection",
            [*settings, "after"],
            lambda name=name: measured(world, name, fine_tuned(world, name, seed, steps)),  # type: ignore[misc]
        )
        print(f"{name}: {before} -> {after}", file=sys.stderr, flush=True)
        rows += [
            {"benchmark": name, "measure": key, "before": before[key], "after": after[key]}
            for key in MEASURES[name]
        ]
    return rows


def entry(world: World, name: str, half: str) -> dict[str, Any]:
    """The files of a benchmark as an entry of a recipe's `data`; `half` is train or test."""
    folder = world.folder("hoi")
    train = half == "train"
    if name == "HICO-DET":
        file = "trainval_hico.json" if train else "test_hico.json"
        files = {"annotations": f"hico/{file}", "vocabulary": "hico/corre_hico.json"}
    elif name == "V-COCO":
        file = f"vcoco_{'trainval' if train else 'test'}.json"
        files = {"annotations": f"vcoco/{file}", "instances": "vcoco/instances_vcoco_all_2014.json"}
    else:
        categories = "open_images/OI_SGG_trainval_test_categories_dict.json"
        files = {"annotations": f"open_images/OI_SGG_{half}.json", "categories": categories}
    form = {"HICO-DET": "hico", "V-COCO": "vcoco", "Open Images": "open_images"}[name]
    paths = {key: str(folder / value) for key, value in files.items()}
    return {"format": form, "images": str(folder / "images"), **paths}


def fine_tuned(world: World, name: str, seed: int, steps: int) -> Path:
    """The detector after training on all images of the training half."""
    return trained(
        world,
        {
            "data": [entry(world, name, "train")],
            "seed": seed,
            "steps": steps,
            "save_every": steps,
            "log_every": max(1, steps // 4),
            "model": {"kind": "parsed", "start": str(DETECTOR)},
            "labels": "closed",
            "losses": {"relations": "focal" if name == "V-COCO" else "quality", "pseudo": False},
            "batch": {
                "order": "published",
                "size": 12,
                "short_sides": [SHORT_SIDE],
                "long_side": LONG_SIDE,
                "max_pairs": PAIRS,
                "jitter": 0.4,
            },
            "optimisation": {
                "learning_rate": 2e-4,
                "backbone_learning_rate": 1e-4,
                "max_gradient_norm": 1.0,
                "warmup_steps": min(10, steps),
            },
        },
    )


def measured(world: World, name: str, model: Path) -> Values:
    """The benchmark's own measures on the test half."""
    loaded = load_model(model)
    data = load_relations([entry(world, name, "test")], max_pairs=10**6)
    options = DetectOptions(SHORT_SIDE, LONG_SIDE)
    result: Result
    if name == "HICO-DET":
        evaluator, gold = read_gold(world)
        found = detect(loaded, data, data.predicates, "person", options)
        result = evaluator.measure(found, gold)
    elif name == "V-COCO":
        files = {
            key: value
            for key, value in entry(world, name, "test").items()
            if key in ("annotations", "instances")
        }
        vcoco = VcocoEvaluator(**files)
        people = vcoco.read_gold("")
        result = vcoco.measure(detect_actions(loaded, data, people.images), people)
    else:
        files = entry(world, name, "test")
        open_images = OpenImagesEvaluator(files["annotations"], files["categories"])
        result = open_images.measure(
            detect(loaded, data, data.predicates, None, options), open_images.read_gold("")
        )
    return {key: result.measures[key].value for key in MEASURES[name]}


@torch.inference_mode()
def detect_actions(loaded: Loaded, data: RelationData, images: list[int]) -> VcocoDetections:
    """Every query of every image with a score for each of V-COCO's columns."""
    model, entry_ = loaded.model.eval(), family(loaded.blueprint.kind)
    labels = model.encode_labels(Labels([*data.categories, NO_OBJECTS], list(data.predicates)))
    columns: dict[str, list[np.ndarray]] = {key: [] for key in ("image", "person", "object", "score", "name")}
    names = np.array(data.categories, object)
    for index in range(len(data)):
        example = data[index]
        image = load_image(example, View(SHORT_SIDE, LONG_SIDE))[None]
        (found,) = entry_.detections(model(image, labels).layers[-1])  # type: ignore[misc]
        scale = np.array([*example.size, *example.size], np.float32)
        people, things = (box.numpy() * scale for box in (found.subject_boxes, found.object_boxes))
        own = names[found.object_classes.numpy()]
        things[own == MISSING] = np.nan
        number = int(data.images["image_id"][index].as_py().rsplit("_", 1)[-1])
        columns["image"].append(np.full(len(own), images.index(number) if number in images else -1))
        columns["person"].append(people)
        columns["object"].append(things)
        columns["score"].append((found.relation_scores * found.object_scores[:, None]).numpy())
        columns["name"].append(own)
    joined = {key: np.concatenate(values) for key, values in columns.items()}
    scores = {column: joined["score"][:, place] for place, column in enumerate(COLUMNS)}
    return of_pairs(joined["image"], joined["person"], joined["object"], scores, joined["name"])
