"""Pre-training on labels, fine-tuning, the official measures: the whole path on the drawn world.

    python benchmarks/downstream.py [--seeds 0 1 2] [--work FOLDER] [--parts recognition detection]
        [--write FILE] [--json]

recognition: taggers pre-trained on gold, or on gold and pseudo-labels, then measured on HICO-DET files as
    they are (zero-shot), or fine-tuned on 1 %, 10 %, 100 % of the training half, or on all of it without
    the verbs that pre-training never saw (RLIPv2, Tables 8, 10, 11).
detection: the shipped detector, and the same fine-tuned on HICO-DET, V-COCO and Open Images files (Tables 9
    and 12).

Every training and every measured model stays in the work folder, so a call that was stopped continues, and
the table has what is done. --write replaces the tables of a Markdown file, above its first "## Reading".
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch
from laboratory import benchmark_models, fine_tuning
from laboratory.cache import digest
from laboratory.candidate_sets import THRESHOLD
from laboratory.fine_tuning import FEW, FEW_EPOCHS, PRETRAINING, REGIMES, Lengths
from laboratory.world import World

PARTS = ("recognition", "detection")
READING = "## Reading"
Values = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-laboratory")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--images", type=int, default=600, help="of the benchmark, a quarter for testing")
    parser.add_argument("--gold", type=int, default=500, help="images with gold, for pre-training")
    parser.add_argument("--labelled", type=int, default=600, help="images that the pipeline labels")
    parser.add_argument("--steps", type=int, nargs=2, default=[240, 100], metavar=("PRE", "FINE"))
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="score from which labels are used")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    world = World(args.work.resolve(), gold=args.gold, labelled=args.labelled, hoi=args.images)
    pretraining, fine_tuning_ = args.steps
    lengths, runs = Lengths(pretraining, fine_tuning_, args.threshold), Runs(world)
    shown: dict[str, Any] = {}
    for part in args.parts:
        if part == "recognition":
            for regimes in (REGIMES[:-1], REGIMES[-1:]):  # the last is the first to be given up
                for seed in args.seeds:
                    recognise(runs, seed, lengths, regimes)
                    shown[part] = runs.recognition
                    if args.write:
                        write(args.write, world, lengths, shown, runs.seconds)
        else:
            shown[part] = benchmark_models.run(world, runs.once, args.seeds[0], lengths.fine_tuning)
            if args.write:
                write(args.write, world, lengths, shown, runs.seconds)
    if args.json:
        print(json.dumps(shown, indent=1))
    else:
        print(tables(shown))


class Runs:
    """What was measured in a work folder, one file a model.

    Args:
        world: its work folder keeps them.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.recognition: dict[str, dict[str, dict[int, Values]]] = {}
        self.seconds = 0.0

    def once(self, name: str, settings: Any, make: Callable[[], Values]) -> Values:
        """The kept values of these settings, or those that `make` gives now."""
        file = self.world.work / "measured" / f"{name}-{digest(settings, self.world.work)}.json"
        if not file.exists():
            start = time.process_time()
            values = make()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"values": values, "seconds": time.process_time() - start}))
        kept = json.loads(file.read_text())
        self.seconds += kept["seconds"]
        return dict(kept["values"])


def recognise(runs: Runs, seed: int, lengths: Lengths, regimes: Sequence[str]) -> None:
    """These regimes after both pre-trainings, for one seed."""
    for learns in PRETRAINING:
        for regime in regimes:

            def make(learns: str = learns, regime: str = regime) -> Values:
                start = fine_tuning.pretrained(runs.world, learns, seed, lengths)
                model = fine_tuning.fine_tuned(runs.world, start, regime, seed, lengths)
                values = fine_tuning.measured(runs.world, model, lengths.sides)
                return values | {"images": fine_tuning.count_images(runs.world, regime, seed)}

            sizes = [runs.world.gold, runs.world.labelled, runs.world.hoi]
            settings = [learns, regime, seed, asdict(lengths), sizes]
            settings += [FEW_EPOCHS] if regime in FEW else []
            values = runs.once("recognition", settings, make)
            runs.recognition.setdefault(regime, {}).setdefault(learns, {})[seed] = values
            print(f"seed {seed}, {learns}, {regime}: {values}", file=sys.stderr, flush=True)


def tables(shown: dict[str, Any]) -> str:
    """Markdown of all that is there."""
    parts = []
    if "recognition" in shown:
        measures = ("Full", "Seen verbs", "Unseen verbs")
        parts.append("## Recognition: boxes and classes given, mean of the seeds, lowest to highest\n")
        parts.append("| fine-tuned on | pre-trained on | " + " | ".join(measures) + " |")
        parts.append("|---|---|" + "---|" * len(measures))
        for regime, of_learning in shown["recognition"].items():
            every = [one for own in of_learning.values() for one in own.values()]
            counts = sorted({int(one["images"]) for one in every})
            name = f"{regime} ({' or '.join(map(str, counts))} images)" if counts != [0] else regime
            for learns, of_seed in of_learning.items():
                cells = [spread(of_seed, measure) for measure in measures]
                parts.append(f"| {name} | {learns} | " + " | ".join(cells) + " |")
        prior = every[0]["Full, frequency prior"]
        parts.append(f"\nHICO-DET mAP, protocol `official`. The same boxes ranked by frequency: {prior:.3f}.")
    if "detection" in shown:
        parts.append("\n## Detection: the shipped ParSeD, one seed\n")
        parts.append("| benchmark | measure | zero-shot | fine-tuned |\n|---|---|---|---|")
        for row in shown["detection"]:
            parts.append(
                f"| {row['benchmark']} | {row['measure']} | {row['before']:.3f} | {row['after']:.3f} |"
            )
    return "\n".join(parts)


def spread(of_seed: dict[int, Values], measure: str) -> str:
    """Mean, and lowest to highest."""
    values = [one[measure] for one in of_seed.values()]
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f} (one seed)"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def write(path: Path, world: World, lengths: Lengths, shown: dict[str, Any], seconds: float) -> None:
    """Replace the tables of the file; what follows its first "## Reading" stays."""
    old = path.read_text() if path.exists() else ""
    reading = old[old.index(READING) :] if READING in old else ""
    made = f"{date.today()}, {processor()}, one thread, torch {torch.__version__}"
    head = f"""# Pre-training, fine-tuning and official measures on the drawn world

{made}; {seconds / 60:.0f} core minutes for what is below.

`make bench-downstream` (`python benchmarks/downstream.py`)

{world.gold} images with gold and {world.labelled} that the pipeline labels, {lengths.pretraining} steps of
pre-training; {world.hoi} benchmark images, a quarter for testing, {lengths.fine_tuning} steps of fine-tuning,
on 1 % and 10 % at most {FEW_EPOCHS} epochs. Models of two million parameters; images of {lengths.sides[1]} x
{lengths.sides[0]} pixels for recognition, up to 128 x 80 for detection.

"""
    path.write_text(head + tables(shown) + "\n" + (f"\n{reading}" if reading else ""))


def processor() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


if __name__ == "__main__":
    main()
