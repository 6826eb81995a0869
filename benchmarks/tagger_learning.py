"""Does the R-Tagger learn, and do noise and masks help? Trained from scratch on the drawn world.

    python benchmarks/tagger_learning.py [--pictures N] [--steps N] [--seeds 0 1] [--jobs N] [--json]

Every variant trains on the same pictures with complete gold and labels the same held-out ones. Candidates
are what a perfect caption gives: every ordered pair of boxes of the two classes that a true relation
names. Greedy accepts them all; the tagger has to tell which pair is meant. The paper's Table 4 asks the same
of training without noise and without attention masks.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
from report import emit

from relforge.demo.world.dataset import write_split
from relforge.stages.match.stage import MatchStage
from relforge.stages.registry import build, build_source
from relforge.stages.tables import SCHEMAS, conform
from relforge.trainer.evaluate.relations import evaluate

VARIANTS: dict[str, dict[str, Any]] = {
    "noise and masks": {},
    "without noise": {"box": 0.0, "label": 0.0},
    "without masks": {"mask": False},
}
SIZE = 96


def source(folder: Path) -> dict[str, Any]:
    """A split as the Visual Genome adapter reads it."""
    return {
        "annotations": str(folder / "scene_graphs.json"),
        "images": str(folder / "images" / "{image_id:0>6}.jpg"),
    }


def settings(train: Path, out: Path, variant: str, seed: int, steps: int) -> dict[str, Any]:
    """The recipe of one run: a tagger of two million parameters."""
    return {
        "out": str(out),
        "data": [{"format": "visual_genome", **source(train)}],
        "seed": seed,
        "steps": steps,
        "save_every": steps,
        "log_every": max(1, steps // 5),
        "model": {
            "kind": "rtagger",
            "sizes": {"dim": 64, "heads": 2, "encoder_layers": 2, "fusions": 2, "decoder_layers": 2}
            | {
                "feedforward": 128,
                "fusion_dim": 64,
                "language_heads": 2,
                "language_feedforward": 128,
                "dropout": 0.0,
            },
            "backbone": {
                "family": "swin",
                "embed_dim": 24,
                "depths": [1, 1, 2, 1],
                "heads": [1, 2, 4, 8],
                "window": 4,
            },
            "text": {"model_type": "roberta", "hidden_size": 64, "num_hidden_layers": 1}
            | {"num_attention_heads": 2, "intermediate_size": 128, "max_position_embeddings": 66},
        },
        "batch": {"size": 12, "short_sides": [72], "longest": 96, "max_pairs": 24, "unrelated_pairs": 6},
        "optimisation": {"rate": 8e-4, "slow_rate": 8e-4, "clip": 1.0, "warm_up": 30},
        "noise": VARIANTS[variant],
    }


def held_out(folder: Path) -> dict[str, pa.Table]:
    """Pictures, boxes, gold and perfect-caption candidates."""
    parts = list(build_source("visual_genome", **source(folder)).shards(10**6))
    tables = {name: pa.concat_tables([p.tables[name] for p in parts]) for name in ("images", "boxes", "gold")}
    kind = {(row["image_id"], row["box_id"]): row["category"] for row in tables["boxes"].to_pylist()}
    rows = []
    for number, fact in enumerate(tables["gold"].to_pylist()):
        row = dict.fromkeys(SCHEMAS["triplets"].names) | {"image_id": fact["image_id"], "parser": "gold"}
        row |= {"caption_id": 0, "triplet_id": number}
        row["predicate"] = row["predicate_lemma"] = fact["predicate"]
        for end in ("subject", "object"):
            name = kind[(fact["image_id"], fact[f"{end}_box"])]
            row |= {end: name, f"{end}_head": name, f"{end}_lemma": name}
        rows.append(row)
    triplets = conform("triplets", pa.Table.from_pylist(rows, SCHEMAS["triplets"]))
    matched = MatchStage([]).process({**tables, "triplets": triplets})
    return tables | {"candidates": matched.tables["candidates"]}


def measures(scores: pa.Table, gold: pa.Table) -> dict[str, float]:
    found = evaluate(scores, gold)
    return {"map": found.mean_average_precision, "f1": found.curve.best()[1]}


def one_run(job: tuple[str, str, str, int, int]) -> dict[str, float]:
    """Train one variant with one seed and score the held-out pictures."""
    import torch

    from relforge.trainer.recipes import rtagger

    torch.set_num_threads(1)
    train, test, variant, seed, steps = job
    out = Path(train).parent / f"{variant.replace(' ', '-')}-{seed}"
    with contextlib.redirect_stdout(sys.stderr):
        model = rtagger.main(settings(Path(train), out, variant, seed, steps))
    stage = build("tag", "rtagger", model=str(model), short_side=72, long_side=96, floor=0.0, threads=1)
    stage.setup()
    tables = held_out(Path(test))
    return measures(stage.process(tables).tables["scores"], tables["gold"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--pictures", type=int, default=600)
    options.add_argument("--held-out", type=int, default=200)
    options.add_argument("--steps", type=int, default=800)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train = write_split(Path(folder), "vg-like", args.pictures, size=SIZE)
        test = write_split(Path(folder), "detection", args.held_out, size=SIZE)
        tables = held_out(test)
        greedy = measures(build("tag", "rule").process(tables).tables["scores"], tables["gold"])
        jobs = [
            (str(train), str(test), variant, seed, args.steps) for variant in VARIANTS for seed in args.seeds
        ]
        with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(one_run, jobs))
    rows = []
    for variant in VARIANTS:
        found = [result for job, result in zip(jobs, results, strict=True) if job[2] == variant]
        for measure in ("map", "f1"):
            values = [result[measure] for result in found]
            row = {
                "case": f"R-Tagger, {variant}: {measure}",
                "peer": "greedy",
                "ours": statistics.mean(values),
            }
            row |= {"theirs": greedy[measure], "ratio": statistics.mean(values) / greedy[measure]}
            rows.append(row | {"lowest": min(values), "highest": max(values), "seeds": len(values)})
    title = f"{args.pictures} pictures, {args.steps} steps; {args.held_out} held out"
    emit(rows, args.json, title)


if __name__ == "__main__":
    main()
