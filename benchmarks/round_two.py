"""What a second round of labels is worth on the drawn world, also against simply training longer.

    python benchmarks/round_two.py [--work FOLDER] [--seeds 0 1 2] [--images 200] [--held 100] [--steps 100]
        [--captions blip] [--write FILE] [--json]

For each seed, which draws the images and trains: round one labels images of the split `detection` (captions
by the shipped BLIP or the world's own, the shipped R-Tagger). The shipped ParSeD and R-Tagger learn from
these labels, and each relabels the same boxes: the ParSeD by searching, the R-Tagger on all near pairs and on
round one's candidates. `untrained`: the shipped models relabel without having learnt from round one.

Labels are compared with the gold, which nothing reads before. Downstream, the ParSeD that learnt from round
one learns as many steps more, from round one again (`longer`) or from a second round's labels, and is
measured on other images (HICO-DET's measure, any subject).

Runs, trainings and figures stay in the work folder; a call that was stopped continues. --write replaces the
tables of a Markdown file, above its first "## Reading".
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from downstream import READING, processor
from laboratory.cache import digest
from laboratory.spread import rows

from relforge.cli.eval import build_evaluator
from relforge.demo.job import IMAGE_SIZE, WEIGHTS
from relforge.demo.world.dataset import write_split
from relforge.pipeline.config import Source, check, resolve
from relforge.pipeline.config.relabel import second_round
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.reports.report.gather import gather
from relforge.trainer.recipes import relations

Values = dict[str, float]

THRESHOLD = 0.2
ROUNDS: dict[str, tuple[str, dict[str, str], float]] = {
    "untrained ParSeD": ("parsed", {}, THRESHOLD),
    "ParSeD": ("parsed", {}, THRESHOLD),
    "untrained R-Tagger, near pairs from 0.5": ("rtagger", {"pairs": "near"}, 0.5),
    "R-Tagger, near pairs": ("rtagger", {"pairs": "near"}, THRESHOLD),
    "R-Tagger, near pairs from 0.5": ("rtagger", {"pairs": "near"}, 0.5),
    "R-Tagger, round one's candidates": ("rtagger", {"pairs": "proposed"}, THRESHOLD),
}
"""Who relabels -> the shipped model that it is, or starts from, options of the stage, and the least score."""
LEARNT_AGAIN = ("ParSeD", "R-Tagger, near pairs from 0.5")
"""The second rounds that a model learns from."""
AGREEMENT = ("in round one", "right of these", "right of new")
QUALITY = ("relations", "precision", "recall", "F1", "best F1", "mAP", *AGREEMENT)


@dataclass(frozen=True)
class Lengths:
    """Args:
    images: that are labelled.
    held: images that models are measured on.
    steps: of each training.
    captions: `blip`, or `oracle`: the world's own.
    """

    images: int
    held: int
    steps: int
    captions: str


class Experiment:
    """One seed's runs, trainings and figures.

    Args:
        work: folder that keeps them.
        seed: draws the images and trains.
        lengths: of all.
    """

    def __init__(self, work: Path, seed: int, lengths: Lengths) -> None:
        self.folder = work / f"{digest(asdict(lengths), work)}-{seed}"
        self.seed, self.lengths = seed, lengths
        self.seconds = 0.0

    def labels(self) -> dict[str, Values]:
        """Round -> quality of its labels."""
        found = {"round one": self._once("labels-one", lambda: quality(self._first()))}
        for name in ROUNDS:
            found[name] = self._once(f"labels-{name}", partial(self._assess, name))
        return found

    def models(self) -> dict[str, Values]:
        """What a model learnt from -> its detections' quality on images of its own."""
        found = {}
        for name in ("untrained", "round one", "longer", *LEARNT_AGAIN):
            found[name] = self._once(f"model-{name}", partial(self._measure, name))
        return found

    def _learner(self, name: str) -> Path:
        if name == "untrained":
            return WEIGHTS / "parsed"
        if name == "round one":
            return self._train("parsed", WEIGHTS / "parsed", self._first(), "learner")
        start = self._learner("round one")
        labels = self._first() if name == "longer" else self._second(name)
        return self._train("parsed", start, labels, f"again-{name}")

    def _second(self, name: str) -> str:
        kind, options, threshold = ROUNDS[name]
        model = WEIGHTS / kind
        if not name.startswith("untrained"):
            model = self._train(kind, model, self._first(), "learner" if kind == "parsed" else "tagger")
        values = self._values()
        values["stages"]["relabel"] = options
        values["stages"]["select"]["threshold"] = threshold
        source = second_round(Source("round_two", values), str(model))
        # another least score selects anew from the same scores
        source.values["run"]["folder"] = str(self.folder / digest(name.partition(" from ")[0], self.folder))
        self._first()
        return self._run(source)

    def _first(self) -> str:
        return self._run(Source("round_two", self._values()))

    def _values(self) -> dict[str, Any]:
        drawn = write_split(self.folder / "world", "detection", self.lengths.images, seed=1000 + self.seed)
        caption: dict[str, Any] = {"backend": "oracle", "files": str(drawn / "captions.json")}
        if self.lengths.captions == "blip":
            caption = {"backend": "blip", "model": str(WEIGHTS / "blip"), "captions": 10, "top_p": 0.6}
        dataset = {"name": "world", "split": "detection", "format": "visual_genome", **scene_graphs(drawn)}
        tag = {"backend": "rtagger", "model": str(WEIGHTS / "rtagger"), "device": "cpu", **IMAGE_SIZE}
        return {
            "dataset": dataset,
            "run": {"folder": str(self.folder / "first"), "shard_images": 100},
            "stages": {
                "caption": caption,
                "parse": {"backend": "relforge", "predicate_form": "progressive"},
                "match": {"backend": "synonyms", "synonyms": [str(drawn / "synonyms.json")]},
                "ground": {"backend": "nearest", "floor": 0.0},
                "tag": tag,
                "select": {"backend": "select", "threshold": THRESHOLD},
            },
        }

    def _run(self, source: Source) -> str:
        job = resolve(check(source), source)
        result = run(job, executor="loop")
        if result.outcome != Outcome.COMPLETE:
            raise SystemExit(result.message)
        return job.folder

    def _train(self, kind: str, start: Path, labels: str, name: str) -> Path:
        out = self.folder / "trained" / digest(name, self.folder)
        if (out / "model" / "model.safetensors").exists():
            return out / "model"
        settings: dict[str, Any] = {
            "out": str(out),
            "data": [{"run": labels, "relations": "relations"}],
            "seed": self.seed,
            "steps": self.lengths.steps,
            "save_every": self.lengths.steps,
            "log_every": max(1, self.lengths.steps // 5),
            "model": {"start": str(start)},
            "batch": {
                "order": "published",
                "size": 8,
                "short_sides": [80, 96],
                "long_side": 128,
                "max_pairs": 32,
            },
            "optimisation": {
                "learning_rate": 2e-4,
                "backbone_learning_rate": 1e-4,
                "max_gradient_norm": 1.0,
                "warmup_steps": 20,
                "schedule": "cosine",
            },
        }
        if kind == "rtagger":
            settings["batch"]["unrelated_pairs"] = 8
            settings["noise"] = {"box": 0.4, "label": 0.2}
        with contextlib.redirect_stdout(sys.stderr):
            relations.main(settings)
        return out / "model"

    def _assess(self, name: str) -> Values:
        return quality(self._second(name))

    def _measure(self, name: str) -> Values:
        model = self._learner(name)
        drawn = write_split(self.folder / "held", "detection", self.lengths.held, seed=2000 + self.seed)
        options = [f"{key}={value}" for key, value in (scene_graphs(drawn) | IMAGE_SIZE).items()]
        options += ["protocol=plain", "subject=any", "format=visual_genome"]
        evaluator = build_evaluator("round_two", "hico", options)
        gold = evaluator.read_gold(str(model))
        result = evaluator.measure(evaluator.read_detections(str(model), gold), gold)
        return {name: one.value for name, one in result.measures.items()}

    def _once(self, name: str, make: Callable[[], Values]) -> Values:
        file = self.folder / "figures" / f"{digest(name, self.folder)}.json"
        if not file.exists():
            start = time.process_time()
            values = make()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                json.dumps({"name": name, "values": values, "seconds": time.process_time() - start})
            )
            print(f"seed {self.seed}, {name}: {values}", file=sys.stderr, flush=True)
        kept = json.loads(file.read_text())
        self.seconds += kept["seconds"]
        return dict(kept["values"])


def scene_graphs(drawn: Path) -> dict[str, Any]:
    """Where a split's gold and images are."""
    return {
        "annotations": str(drawn / "scene_graphs.json"),
        "images": str(drawn / "images" / "{image_id:0>6}.jpg"),
    }


def quality(folder: str) -> Values:
    """What the report says of a run's labels."""
    found = gather(folder)
    kept, rounds = found["quality"]["kept"], found["rounds"]
    values = {
        "relations": kept["relations"],
        "precision": kept["precision"],
        "recall": kept["recall"],
        "F1": kept["f1"],
        "best F1": found["quality"]["best"]["f1"],
        "mAP": found["quality"]["scored"]["mean_average_precision"],
    }
    if rounds is not None:
        total = rounds["total"]
        values |= {
            "in round one": total["both"],
            "right of these": total["both_right"] or 0.0,
            "right of new": total["new_right"] or 0.0,
        }
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-round-two")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--held", type=int, default=100, help="images that models are measured on")
    parser.add_argument("--steps", type=int, default=100, help="of each training")
    parser.add_argument("--captions", choices=("blip", "oracle"), default="blip")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lengths = Lengths(args.images, args.held, args.steps, args.captions)
    shown: dict[str, dict[str, list[Values]]] = {"labels": {}, "models": {}}
    seconds = 0.0
    for seed in args.seeds:
        one = Experiment(args.work.resolve(), seed, lengths)
        for part, found in (("labels", one.labels()), ("models", one.models())):
            for name, values in found.items():
                shown[part].setdefault(name, []).append(values)
        seconds += one.seconds
        if args.write:
            write(args.write, lengths, args.seeds[: args.seeds.index(seed) + 1], shown, seconds)
    print(json.dumps(rows_of(shown), indent=1) if args.json else tables(shown))


def rows_of(shown: dict[str, dict[str, list[Values]]]) -> list[dict[str, Any]]:
    """A row for each case and measure: a second round beside the first, a model beside one trained longer."""
    found = []
    for part, peer in (("labels", "round one"), ("models", "longer")):
        theirs = shown[part].get(peer, shown[part]["round one"])
        for name, seeds in shown[part].items():
            common = [{key: one[key] for key in one if key in theirs[0]} for one in seeds]
            found += rows(f"{part}, {name}", peer, common, theirs)
    return found


def tables(shown: dict[str, dict[str, list[Values]]]) -> str:
    """Markdown of all that is there."""
    measures = sorted({name for found in shown["models"].values() for one in found for name in one})
    parts = ["## Labels against the gold\n", *table("labels by", shown["labels"], QUALITY)]
    parts += ["\n## A ParSeD that learnt from them, on other images\n"]
    parts += table("learnt from", shown["models"], measures)
    return "\n".join(parts)


def table(what: str, found: dict[str, list[Values]], measures: Any) -> list[str]:
    """Lines of a Markdown table: mean over the seeds, lowest to highest."""
    lines = [f"| {what} | " + " | ".join(measures) + " |", "|---|" + "---|" * len(measures)]
    for name, seeds in found.items():
        cells = [spread([one[measure] for one in seeds if measure in one]) for measure in measures]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def spread(values: list[float]) -> str:
    """Mean, and lowest to highest; whole numbers as such."""
    if not values:
        return ""
    form = ",.0f" if max(values) > 1 else ".3f"
    mean = format(statistics.mean(values), form)
    return mean if len(values) == 1 else f"{mean} ({min(values):{form}} to {max(values):{form}})"


def write(path: Path, lengths: Lengths, seeds: list[int], shown: Any, seconds: float) -> None:
    """Replace the tables of the file; what follows its first "## Reading" stays."""
    old = path.read_text() if path.exists() else ""
    reading = old[old.index(READING) :] if READING in old else ""
    numbers = " ".join(map(str, seeds))
    options = " ".join(f"--{name} {value}" for name, value in asdict(lengths).items())
    count = lengths.images
    head = f"""# A second round of labels on the drawn world

{date.today()}, {processor()}, one thread, torch {torch.__version__}; {seconds / 60:.0f} core minutes.

`python benchmarks/round_two.py --seeds {numbers} {options}`

{count} images labelled, {lengths.held} others to measure models on, {lengths.steps} steps a training;
the seeds draw images and train. Mean, lowest to highest.

"""
    path.write_text(head + tables(shown) + "\n" + (f"\n{reading}" if reading else ""))


if __name__ == "__main__":
    main()
