"""The paper's experiments on the drawn world, over several seeds.

    python benchmarks/quality.py [EXPERIMENT ...] [--seeds 0 1 2] [--work FOLDER] [--jobs N] [--json]

Experiments:
    noise-and-masks   R-Tagger trained without noise, without attention masks (Table 4)
    taggers           greedy, frequency prior, R-Tagger, each with and without the overlap prior (Table 5)
    caption-sources   perfect and human-like captions, BLIP's beam 1 and nucleus 5 / 10 / 20 (Table 6)
    candidate-sets    candidates from captions against all predicates for all pairs (Table 7)
    profiles          `fixed` against `compat`, switch by switch
    downstream        gold against gold and pseudo-labels: zero-shot HOI mAP, boxes given (Table 8)
    detection         the same with a ParSeD that detects the boxes; hours, so only when named

Images, trainings and long tables stay in the work folder, so a second call only does what is new. A
tagger trains in three CPU minutes, an experiment takes one or two.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from laboratory import (
    candidate_sets,
    caption_sources,
    detection,
    downstream,
    noise_and_masks,
    profiles,
    taggers,
)
from laboratory.training import tagger
from laboratory.world import World
from report import emit

EXPERIMENTS = {
    "noise-and-masks": noise_and_masks,
    "taggers": taggers,
    "caption-sources": caption_sources,
    "candidate-sets": candidate_sets,
    "profiles": profiles,
    "downstream": downstream,
    "detection": detection,
}
LONG = ("detection",)
SPLITS = ("vg-like", "detection", "hoi")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all but detection")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-laboratory")
    options.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    options.add_argument("--evaluated", type=int, default=300, help="images whose labels are evaluated")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    for name in args.experiments:
        if name not in EXPERIMENTS:
            options.error(f"{name!r} is no experiment; choose from {', '.join(EXPERIMENTS)}")
    world = World(args.work.resolve(), evaluated=args.evaluated)
    chosen = [
        EXPERIMENTS[name] for name in args.experiments or EXPERIMENTS if args.experiments or name not in LONG
    ]
    for split in SPLITS:
        world.folder(split)
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        variants = dict.fromkeys(variant for experiment in chosen for variant in experiment.TAGGERS)
        finish([pool.submit(tagger, world, variant, seed) for seed in args.seeds for variant in variants])
        # training on pseudo-labels needs the model trained on gold alone
        for learns in (downstream.GOLD, downstream.BOTH):
            learners = [experiment for experiment in chosen if experiment in (downstream, detection)]
            finish([pool.submit(one.train, world, learns, seed) for seed in args.seeds for one in learners])
    rows = []
    for experiment in chosen:
        rows += experiment.run(world, args.seeds)
    title = (
        f"{world.gold} gold images, {world.labelled} labelled, {world.evaluated} evaluated, {world.hoi} hoi"
    )
    emit(rows, args.json, title)


def finish(waiting: Sequence[Future[Path]]) -> None:
    """Wait for all; the first error ends the call."""
    for one in waiting:
        one.result()


if __name__ == "__main__":
    main()
