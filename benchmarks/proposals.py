"""What relations that nobody says are worth as candidates, on the drawn world.

    python benchmarks/proposals.py [--work FOLDER] [--seeds 1 2 3] [--images 100] [--fit-images 300]
        [--fit-seed 11] [--threshold 0.2] [--json]

Images and candidates of BLIP's ten captions are those of `learned_quality.py` (the same work folder). The
gold of --fit-images images drawn with --fit-seed teaches what to propose; the demo's R-Tagger scores what
captions say, what is proposed, or both, on images of each of --seeds. `score`: kept from 0.2 on. `quality`:
fitted on the images that taught the proposals; what is proposed there is by the half that did not see the
image.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from laboratory.spread import rows as rows_of
from learned_quality import Values, label, measure
from report import emit

from relforge.data.sources import read_table
from relforge.demo.job import describe_stages
from relforge.stages.propose.model import save_proposals
from relforge.stages.registry import build
from relforge.stages.select.features import describe_rows
from relforge.stages.select.stage import DEFAULT_THRESHOLD
from relforge.trainer.ground.lessons import read_gold
from relforge.trainer.ground.proposals import teach_proposals
from relforge.trainer.quality.examples import judge_by_gold
from relforge.trainer.quality.fit import fit_quality

SOURCES: dict[str, tuple[str | None, bool]] = {
    "captions": ("candidates", False),
    "proposals": (None, True),
    "both": ("candidates", True),
}
"""Name -> the table of what captions say that is given, and whether proposals are."""


def teach(folder: str, work: Path) -> tuple[Path, Path]:
    """The file of proposals, and the same without which images taught it: those of other seeds have the same
    ids."""
    files = work / "proposals.safetensors", work / "proposals-others.safetensors"
    if not all(file.is_file() for file in files):
        model, measures = teach_proposals([read_gold({"run": folder, "relations": "gold"})])
        save_proposals(files[0], model, {"held_out": measures})
        save_proposals(files[1], replace(model, seen=frozenset()), {"held_out": measures})
    return files


def score(folder: str, work: Path, source: str, file: Path, threshold: float, stages: Any) -> pa.Table:
    """Candidates of a run from one source, with the R-Tagger's scores."""
    said, proposes = SOURCES[source]
    tables = {name: read_table(folder, name) for name in ("images", "boxes", "candidates")}
    if not proposes:
        return read_table(folder, "scores").combine_chunks()
    stage = build("propose", "prior", model=str(file), threshold=threshold, said=said)
    proposed = stage.process(tables).tables["proposed"]
    options = {name: value for name, value in stages["tag"].items() if name not in ("backend", "resources")}
    tag = build("tag", stages["tag"]["backend"], **options | {"floor": 0.0, "candidates": "proposed"})
    tag.setup()
    return tag.process(tables | {"proposed": proposed}).tables["scores"].combine_chunks()


def compare(args: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Rows of every source, by score and by quality."""
    taught = label(work, "blip10", "detection", args.fit_images, args.fit_seed)
    own, others = teach(taught, work)
    stages = describe_stages(work / f"world-{args.fit_seed}" / "detection")
    found: dict[str, list[Values]] = {}
    for source in SOURCES:
        lesson = score(taught, work, source, own, args.threshold, stages)
        model, _ = fit_quality(judge_by_gold(lesson, read_table(taught, "gold")))
        model = replace(model, seen=frozenset())
        for seed in args.seeds:
            folder = label(work, "blip10", "detection", args.images, seed)
            rows = score(folder, work, source, others, args.threshold, stages)
            gold = read_table(folder, "gold")
            by_score = measure(rows, gold, rows["score"].to_numpy(), DEFAULT_THRESHOLD)
            quality = model.score(describe_rows(rows), rows)
            found.setdefault(f"{source}, score", []).append(by_score | {"candidates": rows.num_rows})
            by_quality = measure(rows, gold, quality, model.threshold) | {"candidates": rows.num_rows}
            found.setdefault(f"{source}, quality", []).append(by_quality)
    first = found["captions, score"]
    return [row for name, values in found.items() for row in rows_of(name, "captions, score", values, first)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options.add_argument("--images", type=int, default=100)
    options.add_argument("--fit-images", type=int, default=300)
    options.add_argument("--fit-seed", type=int, default=11)
    options.add_argument("--threshold", type=float, default=0.2)
    options.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-learned-quality"
    )
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(1)
    return emit(compare(args, args.work.resolve()), args.json, "relations that nobody says, drawn world")


if __name__ == "__main__":
    main()
