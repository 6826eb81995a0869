"""The comparison of the zoo's families on the drawn world: equal images, equal steps, equal parameters.

    python benchmarks/zoo.py [FAMILY ...] [--seeds 0 1 2] [--learns gold] [--work FOLDER] [--json]
    python benchmarks/zoo.py --table

Every family starts from a small detector of its line (`laboratory/zoo_models.py`) and learns human-object
interactions from the gold images (`laboratory/people.py`). Those that read label texts do so a second time
after pre-training on pseudo-labels (`--learns pseudo`). Judged by relforge's HICO evaluator: both boxes found
at an IoU of a half, class and verb right; beside it what the same detections reach when class frequencies
alone rank them.

Every run is one process and one file in the work folder, so that the same command continues where it was
stopped; `--table` prints what is there and runs nothing. Seconds are of the processor, those of a training
step without loading images; memory is the peak of a run above what the process held before it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from laboratory import people, zoo_models
from laboratory.world import World
from laboratory.zoo_models import ENTRIES, LONG_SIDE, SHORT_SIDE
from report import emit

from relforge.models.checkpoint import load_model
from tagger import peak_mib

GOLD, PSEUDO = "gold", "pseudo"
"""What is learned: gold alone, or pseudo-labels first."""

STEPS = 800
MARGIN = 1.2
"""The largest model may have this many times the parameters of the smallest."""


def run(work: Path, kind: str, learns: str, seed: int) -> dict[str, Any]:
    """Train and measure one model; from its file where that is there."""
    file = work / "results" / f"{kind}-{learns}-{seed}-{STEPS}.json"
    if not file.exists():
        with get_context("fork").Pool(1) as pool:  # a spawned one would import torch first
            found = pool.apply(measure, (work, kind, learns, seed))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def measure(work: Path, kind: str, learns: str, seed: int) -> dict[str, Any]:
    """The measures of one run, in a process of its own."""
    torch.set_num_threads(1)
    world = world_of(work)
    start = zoo_models.detector(world, ENTRIES[kind].detector)
    if learns == PSEUDO:
        labels = people.pseudo_labels(world)
        first = zoo_models.settings_of(world, kind, start, labels, "relations", 0, STEPS)
        start = zoo_models.train(world, first) / "model"
    gold = people.interactions(world, "vg-like")
    settings = zoo_models.settings_of(world, kind, start, gold, "gold", seed, STEPS, again=learns == PSEUDO)
    folder: list[Path] = []
    memory = peak_mib(lambda: folder.append(zoo_models.train(world, settings) / "model"))
    loaded = load_model(folder[0])
    parameters = sum(p.numel() for p in loaded.model.parameters())
    began = time.process_time()
    result = people.evaluate(loaded, people.interactions(world, "hoi"), SHORT_SIDE, LONG_SIDE)
    image_seconds = (time.process_time() - began) / result.counts["images"]
    found: dict[str, Any] = {"kind": kind, "learns": learns, "seed": seed, "parameters": parameters}
    found |= {"step_seconds": zoo_models.step_seconds(world, settings, loaded), "memory": memory}
    found["image_seconds"] = image_seconds
    for name, one in result.measures.items():
        found |= {name: one.value, f"{name}_prior": one.prior}
    return found


def world_of(work: Path) -> World:
    """The world without look-alikes: families are compared by how they search."""
    return World(work, gold=3000, labelled=1000, evaluated=500, hoi=150, look_alikes=0.0)


def table(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per family and kind of training; means over the seeds, lowest and highest beside the mAP.

    Raises:
        SystemExit: the largest model has over `MARGIN` times the parameters of the smallest.
    """
    counts = [one["parameters"] for one in results]
    if counts and max(counts) > MARGIN * min(counts):
        raise SystemExit(f"parameters differ by more than {MARGIN} times: {min(counts)} to {max(counts)}")
    rows = []
    cases = dict.fromkeys((one["kind"], one["learns"]) for one in results)
    order = list(ENTRIES)
    for kind, learns in sorted(cases, key=lambda case: (order.index(case[0]), case[1])):
        own = [one for one in results if (one["kind"], one["learns"]) == (kind, learns)]
        name = "mean_average_precision"
        value, prior = spread(own, name), spread(own, f"{name}_prior")
        rows.append(
            {
                "family": kind,
                "learns": learns,
                "seeds": len(own),
                "parameters": own[0]["parameters"],
                "mAP": value,
                "frequency prior": prior,
                "ratio": value[0] / prior[0] if prior[0] else None,
                "apart": value[1] > prior[2],
                "seen": spread(own, f"{name}_seen"),
                "unseen": spread(own, f"{name}_unseen"),
                "ms per step": 1000 * statistics.mean(one["step_seconds"] for one in own),
                "ms per image": 1000 * statistics.mean(one["image_seconds"] for one in own),
                "MiB": statistics.mean(one["memory"] for one in own),
            }
        )
    return rows


def spread(results: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float, float]:
    """Mean, lowest and highest."""
    values = [one[name] for one in results]
    return statistics.mean(values), min(values), max(values)


def read_results(work: Path) -> list[dict[str, Any]]:
    """Every run that is finished."""
    files = sorted((work / "results").glob(f"*-{STEPS}.json"))
    return [json.loads(file.read_text()) for file in files]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("families", nargs="*", metavar="FAMILY", help=f"default: all: {', '.join(ENTRIES)}")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--learns", nargs="+", choices=(GOLD, PSEUDO), default=[GOLD, PSEUDO])
    options.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-laboratory")
    options.add_argument("--table", action="store_true", help="print the finished runs, run nothing")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    work = args.work.resolve()
    for kind in args.families:
        if kind not in ENTRIES:
            options.error(f"{kind!r} is not compared; choose from {', '.join(ENTRIES)}")
    if not args.table:
        for seed in args.seeds:
            for learns in args.learns:
                for kind in args.families or ENTRIES:
                    if learns == GOLD or ENTRIES[kind].texts:
                        run(work, kind, learns, seed)
    rows = table(read_results(work))
    shown = [{name: _text(value) for name, value in row.items()} for row in rows]
    emit(rows if args.json else shown, args.json, f"{STEPS} steps of {zoo_models.BATCH['size']} images")


def _text(value: object) -> object:
    if isinstance(value, tuple):
        mean, lowest, highest = value
        return f"{mean:.3f} ({lowest:.3f} to {highest:.3f})"
    return value


if __name__ == "__main__":
    main()
