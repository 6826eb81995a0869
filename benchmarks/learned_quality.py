"""What one learnt quality is worth beside the raw score of the R-Tagger, on the drawn world.

    python benchmarks/learned_quality.py [--work FOLDER] [--captions blip people] [--seeds 1 2 3]
        [--images 100] [--fit-images 300] [--fit-seed 11] [--prior-images 3000] [--ship FILE] [--json]

Images of the split `detection` are labelled by the demo's config (its captions, or the world's own five):
once drawn with --fit-seed, to fit the quality and its threshold to their gold, and once with each of --seeds,
to measure it. The prior of the stage `ground` is taught by the claims of the world's own captions of
--prior-images others (split `caption`), or by their gold.

`score`: the R-Tagger's score, kept from 0.2 on. `quality`: as select has it, kept from the fit's own
threshold on; its rows say which prior it was given. F1 is of what is kept, against all true relations; mAP is
the mean over predicates, ECE over ten bins, both of all scored candidates. `possible`: F1 of the right
candidates alone.

Runs stay in the work folder, so a call that was stopped continues. --ship writes the quality of the demo,
fitted with the prior that the demo's config has (`learned`) and the first of --captions:

    python benchmarks/learned_quality.py --ship demo/weights/quality.json
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from laboratory.spread import rows as rows_of
from report import emit

from relforge.data.sources import read_table
from relforge.demo.job import describe_stages
from relforge.demo.world.dataset import write_split
from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.labels import compare_labels
from relforge.pipeline.config import Source, check, resolve
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.stages.ground.learned import LearnedPrior
from relforge.stages.ground.nearest import NearestPrior
from relforge.stages.ground.pairs import Alternatives, read_alternatives
from relforge.stages.select.features import describe_rows
from relforge.stages.select.quality import QualityModel
from relforge.stages.select.quality_file import save_quality
from relforge.stages.select.stage import DEFAULT_THRESHOLD
from relforge.trainer.ground.fit import teach
from relforge.trainer.ground.lessons import read_lesson
from relforge.trainer.quality.examples import hash_examples, judge_by_gold
from relforge.trainer.quality.fit import Examples, fit_quality

CAPTIONS: dict[str, dict[str, Any]] = {
    "blip": {},
    "blip10": {"captions": 10},
    "blip10-pairs": {"captions": 10, "regions": "pairs"},
    "people": {},
}
"""Name -> what it changes of the demo's caption stage; `-pairs`: four captions of each region of a person and
a near thing beside those of the whole image; `people`: the world's own five take its place."""
LICENCE = "Apache-2.0, as relforge itself; the images are drawn by relforge"
Values = dict[str, float]
"""Measure -> value."""
Prior = Callable[[Alternatives], np.ndarray]


def label(work: Path, captions: str, split: str, images: int, seed: int, until: str = "tag") -> str:
    """The run folder of images labelled by the demo's config, up to a stage.

    A prior is given afterwards (`give_prior`): without a floor, no later stage depends on it.

    Args:
        work: keeps images and runs.
        captions: a name in `CAPTIONS`.
        split, images, seed: of the drawing.
    """
    drawn = write_split(work / f"world-{seed}", split, images, seed)
    stages = describe_stages(drawn)
    stages["caption"] = (
        {"backend": "oracle", "files": str(drawn / "captions.json")}
        if captions == "people"
        else stages["caption"] | CAPTIONS[captions]
    )
    stages["tag"]["floor"] = 0.0
    names = list(stages)
    wanted = names[: names.index(until) + 1]
    values = {
        "dataset": {
            "name": "world",
            "split": split,
            "format": "visual_genome",
            "annotations": str(drawn / "scene_graphs.json"),
            "images": str(drawn / "images" / "{image_id:0>6}.jpg"),
        },
        "run": {"folder": str(work / f"{captions}-{split}-{images}-{seed}"), "shard_images": 100},
        "stages": {name: stages[name] for name in wanted if name != "ground"},
    }
    source = Source("learned_quality", values)
    job = resolve(check(source), source)
    with contextlib.redirect_stdout(sys.stderr):
        result = run(job, executor="loop", accept_changes=True)
    if result.outcome is not Outcome.COMPLETE:
        raise SystemExit(result.message)
    return str(job.folder)


def read_scores(folder: str, prior: Prior | None = None) -> pa.Table:
    """The scored candidates of a run, with the prior of each if one is given."""
    rows = read_table(folder, "scores").combine_chunks()
    if prior is None:
        return rows
    pairs = read_alternatives(rows, read_table(folder, "boxes"), read_table(folder, "images"))
    return replace_column(rows, "prior", prior(pairs))


def teach_prior(folder: str, relations: str) -> Prior:
    """A prior taught by the claims or the gold of a run.

    Images of other splits and seeds have the same ids, so it does not keep which ones it was taught by.
    """
    model, _ = teach([read_lesson({"run": folder, "relations": relations})])
    return replace(model, seen=frozenset()).score


def fit(folder: str, prior: Prior | None, data: str) -> tuple[QualityModel, dict[str, Any]]:
    """The quality fitted to a run's gold, and its card; it does not keep which images it was fitted on, see
    `teach_prior`."""
    examples = judge_by_gold(read_scores(folder, prior), read_table(folder, "gold"))
    model, measures = fit_quality(examples)
    card = {
        "model": "relforge quality of relations",
        "command": shlex.join(["python", *sys.argv]),
        "data": {"run": data, "judged_by": "gold", "sha256": hash_examples(examples)},
        "licence": LICENCE,
        "held_out": measures,
    }
    return replace(model, seen=frozenset()), card


def measure(rows: pa.Table, gold: pa.Table, score: np.ndarray, threshold: float) -> Values:
    """What one way to score the candidates reaches.

    Args:
        score: of each row, float32.
        threshold: from which on a relation is kept.
    """
    compared = compare_labels(replace_column(rows, "score", score), gold)
    precision, recall, f1 = compared.curve.at(threshold)
    examples = judge_by_gold(rows, gold)
    return {
        "F1": f1,
        "precision": precision,
        "recall": recall,
        "mAP": compared.mean_average_precision,
        "ECE": expected_error(calibration(score, examples.right)),
        "possible": possible(examples),
    }


def replace_column(rows: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    """The rows with other values in a column, float32."""
    return rows.set_column(rows.column_names.index(name), name, pa.array(values.astype(np.float32)))


def possible(examples: Examples) -> float:
    """F1 of the right candidates and nothing else."""
    right = int(examples.right.sum())
    return 2 * right / (right + examples.positives)


def compare(args: argparse.Namespace, work: Path, captions: str) -> list[dict[str, Any]]:
    """Rows of one source of captions: every measure of every seed, then their means."""
    fitted_on = label(work, captions, "detection", args.fit_images, args.fit_seed)
    others = label(work, "people", "caption", args.prior_images, 0, until="match")
    priors: dict[str, Prior | None] = {
        "no prior": None,
        "nearest": NearestPrior().score,
        "learned": LearnedPrior().score,
        "taught by claims": teach_prior(others, "claims"),
        "taught by gold": teach_prior(others, "gold"),
    }
    runs = [label(work, captions, "detection", args.images, seed) for seed in args.seeds]
    found: dict[str, list[Values]] = {}
    for folder in runs:
        rows, gold = read_scores(folder), read_table(folder, "gold")
        values = measure(rows, gold, rows["score"].to_numpy(), DEFAULT_THRESHOLD)
        found.setdefault("score", []).append(values)
    for name, prior in priors.items():
        model, _ = fit(fitted_on, prior, "")
        for folder in runs:
            rows, gold = read_scores(folder, prior), read_table(folder, "gold")
            score = model.score(describe_rows(rows), rows)
            found.setdefault(f"quality, {name}", []).append(measure(rows, gold, score, model.threshold))
    out = []
    for name, all_seeds in found.items():
        for seed, ours, theirs in zip(args.seeds, all_seeds, found["score"], strict=True):
            out += rows_of(f"{captions}, seed {seed}, {name}", "score", [ours], [theirs])
        out += rows_of(f"{captions}, {name}", "score", all_seeds, found["score"])
    return out


def ship(args: argparse.Namespace, work: Path) -> None:
    """Write the quality of the demo."""
    captions = args.captions[0]
    data = f"detection={args.fit_images}, seed {args.fit_seed}, captions: {captions}"
    run_folder = label(work, captions, "detection", args.fit_images, args.fit_seed)
    model, card = fit(run_folder, LearnedPrior().score, data)
    save_quality(args.ship, model, card)
    print(f"{args.ship}: {card['held_out']}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--captions", nargs="+", choices=CAPTIONS, default=["blip", "people"])
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options.add_argument("--images", type=int, default=100)
    options.add_argument("--fit-images", type=int, default=300)
    options.add_argument("--fit-seed", type=int, default=11)
    options.add_argument("--prior-images", type=int, default=3000)
    options.add_argument("--ship", type=Path, metavar="FOLDER")
    options.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-learned-quality"
    )
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(1)
    work = args.work.resolve()
    if args.ship:
        return ship(args, work)
    out = [row for captions in args.captions for row in compare(args, work, captions)]
    return emit(out, args.json, "learnt quality on the drawn world")


if __name__ == "__main__":
    main()
