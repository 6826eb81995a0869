"""Speed of the scene-graph evaluator beside sgbench's and Scene-Graph-Benchmark's.

    python benchmarks/scene_graphs.py [--images 2000] [--relations 100] [--sgb CHECKOUT] [--json]

The data is drawn: 15 annotated boxes and 10 relations an image, 150 classes, 50 predicates, and predicted
pairs with a score of every predicate, two thirds of them annotated pairs. CPU seconds of the process, best
of three, without drawing the data. `sgbench` takes part where it is installed (`pip install --no-deps
sgbench`); its functions give R and mR of one predicate a pair and nothing else. `--sgb` is the user's own
checkout of Scene-Graph-Benchmark.pytorch, whose `vg/sgg_eval.py` gets the same predictions and gives R, ng-R,
mR and ng-mR. Peers' numbers are printed beside ours.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from evaluators import load
from report import emit

from relforge.evaluation.overlap import pixels, plain
from relforge.evaluation.scene_graph_prior import FrequencyPrior, count_triplets
from relforge.evaluation.scene_graph_quality import Rules, group_predicates, measure_graphs, recalls
from relforge.evaluation.scene_graph_recall import CUTS, Recall, constrained, first_ranks
from relforge.evaluation.scene_graphs import SceneGraphs, starts

CLASSES, PREDICATES = 150, 50
BOXES, GOLD = 15, 10
TIMES = 3
SGB = "maskrcnn_benchmark/data/datasets/evaluation/vg/sgg_eval.py"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--relations", type=int, default=100, help="predicted, of an image")
    parser.add_argument("--sgb", help=f"checkout with {SGB}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    gold, found = draw(options.images, options.relations, np.random.default_rng(0))
    size = f"{options.images:,} images x {options.relations}"
    single, _ = seconds(lambda: constrained_recall(found, gold))
    both, ours = seconds(lambda: recalls(found, gold, PREDICATES, Rules(plain)))
    whole, result = seconds(lambda: everything(found, gold))
    text = note(ours.constrained)
    rows = []
    peer, theirs = "", None
    if module := optional("sgbench"):
        theirs, numbers = seconds(lambda: of_sgbench(module, found, gold))
        peer, text = "sgbench", f"{text}; theirs {numbers}"
    rows.append(row(f"{size}: R, mR", single, text, peer, theirs))
    rows.append(row(f"{size}: ranks for R, mR, ng-R, ng-mR", both, "", peer, theirs))
    text = f"{len(result.measures)} measures, {len(result.classes)} predicates, with the prior's"
    rows.append(row(f"{size}: all of vg_sgg", whole, text, peer, theirs))
    if options.sgb:
        sys.path.insert(0, options.sgb)
        evaluation = load(Path(options.sgb) / SGB)
        added, same = seconds(lambda: everything(found, gold, Rules(pixels, own_predicates=False)))
        theirs, values = seconds(lambda: of_sgb(evaluation, found, gold), times=1)
        values = ", ".join(f"{name} {value:.6f}" for name, value in values.items())
        shown = ", ".join(
            f"{name}@100 {same.measures[f'{name}@100'].value:.6f}" for name in ("R", "ng-R", "mR", "ng-mR")
        )
        rows.append(
            row(f"{size}: as sgb", added, f"{shown}; theirs {values}", "Scene-Graph-Benchmark", theirs)
        )
    emit(rows, options.json, "scene graphs, CPU seconds")


def row(case: str, ours: float, text: str, peer: str = "", theirs: float | None = None) -> dict[str, Any]:
    """One line: seconds, and how many times ours the peer took."""
    return {
        "case": case,
        "peer": peer or "-",
        "ours": round(ours, 2),
        "theirs": None if theirs is None else round(theirs, 2),
        "ratio": None if theirs is None else round(theirs / ours, 1),
        "note": text,
    }


def seconds(work: Callable[[], Any], times: int = TIMES) -> tuple[float, Any]:
    """The least CPU seconds of the process, and what the work gives."""
    best, result = float("inf"), None
    for _ in range(times):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def note(recall: Any) -> str:
    """R and mR at 100."""
    return f"R@100 {recall.mean(100):.6f}, mR@100 {recall.per_predicate(100).mean():.6f}"


def optional(name: str) -> Any:
    """A module where it is installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def draw(images: int, relations: int, rng: np.random.Generator) -> tuple[SceneGraphs, SceneGraphs]:
    """Annotated and predicted scene graphs: annotated boxes do not overlap, gold is distinct, and one box is
    predicted near every annotated one, so that all evaluators agree on what matches."""
    box_start, gold_start = starts([BOXES] * images), starts([GOLD] * images)
    columns, lines = np.meshgrid(np.arange(5), np.arange(3))
    low = np.stack([columns.ravel() * 200 + 10, lines.ravel() * 200 + 10], 1)
    corners = np.tile(np.concatenate([low, low + 150], 1), (images, 1)).astype(np.float32)
    popular = 1 / np.arange(1, PREDICATES + 1)
    labels = rng.integers(0, CLASSES, len(corners))
    ends = np.array([(s, o) for s in range(BOXES) for o in range(BOXES) if s != o])
    picked = np.stack([rng.choice(len(ends), GOLD, replace=False) for _ in range(images)])
    pairs = (ends[picked] + box_start[:-1, None, None]).reshape(-1, 2)
    predicates = rng.choice(PREDICATES, len(pairs), p=popular / popular.sum())
    gold = SceneGraphs(box_start, corners, labels, gold_start, pairs, predicates)
    count = images * relations
    of_image = np.repeat(np.arange(images), relations)
    own = ends[rng.integers(0, len(ends), count)] + box_start[of_image][:, None]
    annotated = rng.random(count) < 2 / 3
    source = gold_start[of_image] + rng.integers(0, GOLD, count)
    own[annotated] = pairs[source[annotated]]
    scores = rng.random((count, PREDICATES), np.float32)
    likely = np.flatnonzero(annotated & (rng.random(count) < 0.3))
    scores[likely, predicates[source[likely]]] += 1
    scores /= scores.sum(1, keepdims=True)
    wrong = np.where(rng.random(len(labels)) < 0.8, labels, rng.integers(0, CLASSES, len(labels)))
    found = SceneGraphs(
        box_start,
        corners + rng.normal(0, 4, corners.shape).astype(np.float32),
        wrong,
        starts([relations] * images),
        own,
        scores.argmax(1),
        rng.random(len(labels), np.float32),
        scores,
    )
    strength = found.pair_scores() * scores.max(1)
    order = np.lexsort((-strength, of_image))
    return gold, replace(
        found, pairs=own[order], predicates=scores.argmax(1)[order], probabilities=scores[order]
    )


def everything(found: SceneGraphs, gold: SceneGraphs, rules: Rules | None = None) -> Any:
    """All measures, as the evaluator has them, half of the triplets taken for unseen."""
    shown = count_triplets(gold, np.arange(len(gold)) % 2 == 0)
    prior = FrequencyPrior((shown,), np.zeros(len(gold), np.int64), PREDICATES)
    return measure_graphs(
        found,
        gold,
        prior,
        rules or Rules(plain),
        predicates=[str(number) for number in range(PREDICATES)],
        groups=group_predicates(shown.predicates(PREDICATES)),
        training=shown.predicates(PREDICATES),
        unseen=gold.images % 2 == 1,
    )


def constrained_recall(found: SceneGraphs, gold: SceneGraphs) -> list[float]:
    """What sgbench computes: R and mR of one predicate a pair at every cut."""
    ranks = first_ranks(constrained(found), found, gold, plain)
    recall = Recall(ranks, gold.images, gold.predicates, len(gold), PREDICATES)
    return [value for cut in CUTS for value in (recall.mean(cut), float(recall.per_predicate(cut).mean()))]


def by_image(graphs: SceneGraphs) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Rows of every image's boxes and relations, and the triplets (subject, object, predicate) by place."""
    for image in range(len(graphs)):
        boxes = slice(int(graphs.box_start[image]), int(graphs.box_start[image + 1]))
        rows = slice(int(graphs.relation_start[image]), int(graphs.relation_start[image + 1]))
        yield boxes, rows, np.column_stack([graphs.pairs[rows] - boxes.start, graphs.predicates[rows]])


def of_sgbench(module: Any, found: SceneGraphs, gold: SceneGraphs) -> str:
    """R and mR at every cut by sgbench's functions, image by image, as its `_single_evaluate` calls them."""
    values: dict[str, list[Any]] = {}
    for (boxes, _, triplets), (own, _, predicted) in zip(by_image(gold), by_image(found), strict=True):
        matched = module.remap_triplets(
            module.match_instances(
                gold.boxes[boxes], gold.labels[boxes], found.boxes[own], found.labels[own]
            ),
            predicted,
        )
        for cut in CUTS:
            for name, mean in (("R", False), ("mR", True)):
                value = module.recall(
                    k=cut,
                    mean=mean,
                    gt_triplets=triplets,
                    matched_triplets=matched,
                    num_predicates=PREDICATES,
                )
                values.setdefault(f"{name}@{cut}", []).append(value)
    mean = np.nanmean(np.stack(values["mR@100"]), axis=0).mean()
    return f"R@100 {np.mean(values['R@100']):.6f}, mR@100 {mean:.6f}"


def of_sgb(module: Any, found: SceneGraphs, gold: SceneGraphs) -> dict[str, float]:
    """Recalls at 100 with and without constraint, and their means over predicates, by a checkout (SGDet).

    Labels count from 1, and the first column of scores is "no relation".
    """
    results: dict[str, Any] = {}
    names = ["__background__", *map(str, range(PREDICATES))]
    single, every = module.SGRecall(results), module.SGNoGraphConstraintRecall(results)
    mean = module.SGMeanRecall(results, PREDICATES + 1, names, print_detail=False)
    every_mean = module.SGNGMeanRecall(results, PREDICATES + 1, names, print_detail=False)
    evaluators = (single, every, mean, every_mean)
    for one in evaluators:
        one.register_container("sgdet")
    probabilities = np.asarray(found.probabilities)
    box_scores = found.box_scores
    assert box_scores is not None
    for (boxes, _, triplets), (own, rows, predicted) in zip(by_image(gold), by_image(found), strict=True):
        columns = probabilities[rows]
        local = {
            "gt_rels": np.column_stack([triplets[:, :2], triplets[:, 2] + 1]),
            "gt_classes": gold.labels[boxes] + 1,
            "gt_boxes": gold.boxes[boxes],
            "pred_rel_inds": predicted[:, :2],
            "rel_scores": np.concatenate([np.zeros((len(columns), 1), np.float32), columns], 1),
            "pred_boxes": found.boxes[own],
            "pred_classes": found.labels[own] + 1,
            "obj_scores": box_scores[own],
        }
        shared = {"mode": "sgdet", "iou_thres": 0.5, "num_rel_category": PREDICATES + 1}
        local = single.calculate_recall(shared, local, "sgdet")
        every.calculate_recall(shared, local, "sgdet")
        mean.collect_mean_recall_items(shared, local, "sgdet")
        every_mean.collect_mean_recall_items(shared, local, "sgdet")
    mean.calculate_mean_recall("sgdet")
    every_mean.calculate_mean_recall("sgdet")
    return {
        "R@100": float(np.mean(results["sgdet_recall"][100])),
        "ng-R@100": float(np.mean(results["sgdet_recall_nogc"][100])),
        "mR@100": float(results["sgdet_mean_recall"][100]),
        "ng-mR@100": float(results["sgdet_ng_mean_recall"][100]),
    }


if __name__ == "__main__":
    main()
