"""Taggers of the drawn world beside what boxes and classes alone can tell.

    python benchmarks/world_tagger.py [--tagger NAME=FOLDER ...] [--look-alikes SHARE] [--images 200]
        [--seed 7 ...] [--gold 6000] [--seeds 0 1 2] [--captions perfect people blip] [--decoys N ...]
        [--work FOLDER] [--json]

Images that are in no training set. Candidates come from captions that state every relation of the gold
(`perfect`), the world's own five (`people`) or ten of the shipped BLIP (`blip`). `boxes only` is a perceptron
over boxes and classes, fitted to the gold of other images for each of `--seeds`; with several `--seed`, which
draw the images that are measured, each is measured on all. With perfect captions the
taggers are also asked about boxes as a detector gives them: moved by a tenth of their sides, a fifth missing,
a fifth found twice; a relation of a box found twice counts as wrong.

`--decoys` asks the taggers of each image about that many further predicates that no caption said; their
scores are thrown away.

mAP is the mean over predicates, F1 is at 0.2, ECE over ten bins; `choice`: of the claims with several pairs,
a right one among them, how often the best-scored pair is right.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from laboratory.boxes_only import in_gold, learn_boxes
from laboratory.labels import ORACLE, candidates, perfect, scores
from laboratory.spread import rows
from laboratory.world import Tables, World
from report import emit

from relforge.demo.world.compose import LOOK_ALIKES_SHARE
from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.labels import compare_labels

SIDES = {"short_side": 96, "long_side": 128}
"""Of the images that the shipped tagger was trained on, pixels."""
THRESHOLD = 0.2
BLIP = {"backend": "blip", "model": "demo/weights/blip", "captions": 10, "seed": 7}
SOURCES: dict[str, Callable[[World, Tables], pa.Table]] = {
    "perfect": lambda world, tables: perfect(tables),
    "people": lambda world, tables: candidates(world, tables, ORACLE),
    "blip": lambda world, tables: candidates(world, tables, BLIP),
}


def measures(scored: pa.Table, gold: pa.Table) -> dict[str, float]:
    """What one scorer reaches."""
    found = compare_labels(scored, gold)
    right, score = in_gold(scored, gold), scored["score"].to_numpy()
    return {
        "mAP": found.mean_average_precision,
        "F1": found.curve.at(THRESHOLD)[2],
        "best F1": found.curve.best()[1],
        "ECE": expected_error(calibration(score, right)),
        "choice": choice(scored, right),
    }


def choice(scored: pa.Table, right: np.ndarray) -> float:
    """Share of the ambiguous claims with a right pair whose best-scored pair is right."""
    names = ("image_id", "claim_id")
    _, claim = np.unique(
        np.array(list(zip(*(scored[name].to_pylist() for name in names), strict=True)), dtype=str),
        axis=0,
        return_inverse=True,
    )
    score = scored["score"].to_numpy()
    order = np.lexsort((-score, claim))
    claim, right = claim[order], right[order]
    first = np.flatnonzero(np.r_[True, claim[1:] != claim[:-1]])
    sizes = np.diff(np.r_[first, len(claim)])
    reachable = np.logical_or.reduceat(right, first) & (sizes > 1)
    return float(right[first][reachable].mean()) if reachable.any() else float("nan")


def moved(tables: Tables, share: float = 0.1) -> Tables:
    """Every edge of every box moved, by a normal draw of a share of its side."""
    rng, boxes = np.random.default_rng(0), tables["boxes"]
    x, y, w, h = (boxes[side].to_numpy().astype(float) for side in "xywh")
    left, right = x + w * share * rng.standard_normal(len(x)), x + w + w * share * rng.standard_normal(len(x))
    top, bottom = y + h * share * rng.standard_normal(len(x)), y + h + h * share * rng.standard_normal(len(x))
    new = np.minimum(left, right), np.minimum(top, bottom), np.abs(right - left), np.abs(bottom - top)
    for side, values in zip("xywh", new, strict=True):
        least = np.maximum(values, 1.0) if side in "wh" else np.maximum(values, 0.0)
        boxes = boxes.set_column(
            boxes.column_names.index(side), side, pa.array(least.astype(np.float32), boxes[side].type)
        )
    return {**tables, "boxes": boxes}


def missed(tables: Tables, share: float = 0.2) -> Tables:
    """Some boxes are not there, nor relations that need them in the captions; the gold keeps them."""
    kept = np.random.default_rng(1).random(tables["boxes"].num_rows) >= share
    return {**tables, "boxes": tables["boxes"].filter(pa.array(kept))}


def doubled(tables: Tables, share: float = 0.2) -> Tables:
    """Some boxes are found twice, the second time a little beside."""
    boxes = tables["boxes"]
    again = boxes.filter(pa.array(np.random.default_rng(2).random(boxes.num_rows) < share))
    again = moved({"boxes": again}, 0.2)["boxes"]
    number = boxes.column_names.index("box_id")
    fresh = pa.array(again["box_id"].to_numpy() + 1000, boxes["box_id"].type)
    again = again.set_column(number, "box_id", fresh).cast(boxes.schema)
    return {**tables, "boxes": pa.concat_tables([boxes, again])}


DETECTED = {"boxes moved": moved, "boxes missed": missed, "boxes doubled": doubled}


def with_decoys(proposed: pa.Table, count: int) -> pa.Table:
    """Further candidates of each image, of its first pair: predicates of the dataset that it has none of."""
    known = set(proposed["predicate"].to_pylist())
    said: dict[str, set[str]] = {}
    first: dict[str, int] = {}
    for row, (image, predicate) in enumerate(
        zip(proposed["image_id"].to_pylist(), proposed["predicate"].to_pylist(), strict=True)
    ):
        said.setdefault(image, set()).add(predicate)
        first.setdefault(image, row)
    rng = np.random.default_rng(3)
    rows, predicates = [], []
    for image, row in first.items():
        drawn = rng.permutation(sorted(known - said[image]))[:count].tolist()
        rows += [row] * len(drawn)
        predicates += drawn
    further = proposed.take(pa.array(rows, pa.int64()))
    number = proposed.column_names.index("predicate")
    further = further.set_column(number, "predicate", pa.array(predicates, proposed["predicate"].type))
    return pa.concat_tables([proposed, further.cast(proposed.schema)]).sort_by("image_id")


def without_decoys(scored: pa.Table, proposed: pa.Table) -> pa.Table:
    """The rows of what captions said."""
    names = ("image_id", "subject_box", "object_box", "predicate")
    said = set(zip(*(proposed[name].to_pylist() for name in names), strict=True))
    rows = zip(*(scored[name].to_pylist() for name in names), strict=True)
    return scored.filter(pa.array([row in said for row in rows]))


def run(args: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """One row per case and measure."""
    worlds = [
        World(work, args.gold, args.images, args.images, size=128, seed=seed, look_alikes=args.look_alikes)
        for seed in args.seed
    ]
    learned = [learn_boxes(worlds[0].tables("vg-like"), seed) for seed in args.seeds]
    out = []
    for source in args.captions:
        drawn = [_Drawn(world, source) for world in worlds]
        boxes = [one.measure(perceptron(one.tables, one.proposed)) for perceptron in learned for one in drawn]
        out += rows(f"{source}, boxes only", "boxes only", boxes, boxes) if boxes else []
        for name, folder in args.tagger:
            tagger, case = Path(folder), f"{source}, {name}"
            found = [one.measure(one.score(tagger, one.proposed)) for one in drawn]
            out += rows(case, "boxes only" if boxes else case, found, boxes or found)
            for count in args.decoys:
                beside = [one.measure(one.score_with_decoys(tagger, count)) for one in drawn]
                out += rows(f"{case}, {count} decoys", case, beside, found)
            for change, changed in DETECTED.items() if source == "perfect" else ():
                there = [one.measure(one.score_detected(tagger, changed)) for one in drawn]
                out += rows(f"{case}, {change}", case, there, found)
    return out


class _Drawn:
    """Images of one seed and their candidates.

    Args:
        world: they are its split `detection`.
        source: of the captions, a key of `SOURCES`.
    """

    def __init__(self, world: World, source: str) -> None:
        self.world, self.tables = world, world.tables("detection")
        self.proposed = SOURCES[source](world, self.tables)

    def measure(self, scored: pa.Table) -> dict[str, float]:
        return measures(scored, self.tables["gold"])

    def score(self, tagger: Path, proposed: pa.Table, tables: Tables | None = None) -> pa.Table:
        return scores(self.world, self.tables if tables is None else tables, proposed, tagger, **SIDES)

    def score_with_decoys(self, tagger: Path, count: int) -> pa.Table:
        return without_decoys(self.score(tagger, with_decoys(self.proposed, count)), self.proposed)

    def score_detected(self, tagger: Path, change: Callable[[Tables], Tables]) -> pa.Table:
        changed = change(self.tables)
        return self.score(tagger, perfect(_with_boxes(changed, self.tables)), changed)


def _with_boxes(changed: Tables, tables: Tables) -> Tables:
    """What captions can say of the changed boxes: relations whose classes are all still there."""
    boxes = changed["boxes"]
    there = set(zip(boxes["image_id"].to_pylist(), boxes["box_id"].to_pylist(), strict=True))
    gold = tables["gold"]
    kept = [
        (row["image_id"], row["subject_box"]) in there and (row["image_id"], row["object_box"]) in there
        for row in gold.to_pylist()
    ]
    return {**changed, "gold": gold.filter(pa.array(kept))}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument(
        "--tagger", nargs="*", default=["shipped=demo/weights/rtagger"], metavar="NAME=FOLDER"
    )
    options.add_argument("--look-alikes", type=float, default=LOOK_ALIKES_SHARE)
    options.add_argument("--images", type=int, default=200)
    options.add_argument("--seed", type=int, nargs="+", default=[7], help="of the images, each drawn anew")
    options.add_argument("--gold", type=int, default=6000)
    options.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    options.add_argument("--captions", nargs="*", choices=SOURCES, default=["perfect"])
    options.add_argument("--decoys", type=int, nargs="*", default=[])
    options.add_argument("--work", type=Path)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    args.tagger = [one.partition("=")[::2] for one in args.tagger]
    if args.work is not None:
        return emit(run(args, args.work), args.json, "taggers of the drawn world")
    with tempfile.TemporaryDirectory() as folder:
        return emit(run(args, Path(folder)), args.json, "taggers of the drawn world")


if __name__ == "__main__":
    main()
