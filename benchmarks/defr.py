"""DEFR and HTS on the drawn world: what a student learns from captions, and what its parts are worth.

    python benchmarks/defr.py [--seeds 0 1 2] [--work FOLDER] [--train N] [--test N] [--epochs N]
        [--draw N] [--students NAME ...] [--json]

Images of two splits are captioned by the shipped captioner (one sampled caption an image), parsed and
labelled by the stage `image_labels`; students read no gold. They start from the captioner's vision tower, and
from rows that the shipped R-Tagger's text encoder wrote (verb and object averaged) or random ones. All are
measured by `hico_image` on the second split's gold; few-shot interactions are those with at most five
positive labels to learn from. Seeds are of the students. What is done stays in the work folder; the same
command does the rest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import yaml
from report import emit

from relforge.cli.app import invoke
from relforge.data.image_labels import read_image_labels
from relforge.demo.world.captions import VERBS
from relforge.demo.world.dataset import write_split
from relforge.models.language_head import LanguageHead, save_head, write_rows
from relforge.stages.image_labels.table import POSITIVE
from relforge.stages.interactions import read_interactions
from relforge.trainer.recipes import hts

ROOT = Path(__file__).resolve().parent.parent
BLIP, RTAGGER = ROOT / "demo" / "weights" / "blip", ROOT / "demo" / "weights" / "rtagger"
SIZES = {"image": 96, "patch": 8, "width": 128, "layers": 4, "heads": 4, "feedforward": 256}
SIZES_OF_BLIP: dict[str, Any] = SIZES | {"normalisation": "clip", "head": "linear", "log_scale": 0.0}
STUDENTS = {
    "LSE-Sign, language": ("lse_sign", True),
    "BCE, language": ("bce", True),
    "LSE-Sign, random": ("lse_sign", False),
}
MEASURES = {"all": "mean_average_precision", "few": "mean_average_precision_few_5"}


def draw(work: Path, counts: dict[str, int], seed: int) -> dict[str, Path]:
    """Run folders of both splits, with captions' labels of the interactions that both show."""
    splits = {
        part: write_split(work / part, name, counts[part], seed)
        for part, name in (("train", "vg-like"), ("test", "detection"))
    }
    table = work / "table.yaml"
    shown = [count(folder) for folder in splits.values()]
    pairs = sorted(pair for pair in shown[0] if shown[1][pair] >= 2)
    table.write_text(json.dumps([list(pair) for pair in pairs]))
    runs = {}
    for part, folder in splits.items():
        runs[part] = work / f"run_{part}"
        config = {
            "dataset": {
                "name": "world",
                "split": part,
                "format": "visual_genome",
                "annotations": str(folder / "scene_graphs.json"),
                "images": str(folder / "images" / "{image_id:0>6}.jpg"),
            },
            "run": {"folder": str(runs[part]), "shard_images": 100},
            "stages": {
                "caption": {"backend": "blip", "model": str(BLIP), "captions": 1, "top_p": 0.6},
                "parse": {"backend": "relforge"},
                "image_labels": {
                    "backend": "interactions",
                    "interactions": str(table),
                    "synonyms": [str(folder / "synonyms.json")],
                    "min_captions": 1,
                    "positive": 0.5,
                    "silence": "negative",
                },
            },
        }
        path = work / f"{part}.yaml"
        path.write_text(yaml.safe_dump(config))
        if invoke(["run", str(path), "--executor", "loop"]):
            raise SystemExit(f"{path} failed")
    return runs


def count(folder: Path) -> Counter[tuple[str, str]]:
    """Images that show each interaction of a person, of those that captions word with a verb."""
    shown: Counter[tuple[str, str]] = Counter()
    for image in json.loads((folder / "scene_graphs.json").read_text()):
        kinds = {one["object_id"]: one["names"][0] for one in image["objects"]}
        shown.update(
            {
                (one["predicate"], kinds[one["object_id"]])
                for one in image["relationships"]
                if kinds[one["subject_id"]] == "person" and one["predicate"] in VERBS
            }
        )
    return shown


def language_rows(work: Path) -> Path:
    """Rows by the R-Tagger's text encoder, turned into the students' width without changing angles."""
    pairs = read_interactions(str(work / "table.yaml"))
    sentences = [[verb, object_] for verb, object_ in pairs]
    rows = write_rows(str(RTAGGER), sentences)
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(SIZES["width"], rows.shape[1], generator=generator))
    head = LanguageHead(rows @ turn.T, pairs, "demo/weights/rtagger")
    return save_head(work / "head", head, sentences)


def train(work: Path, seed: int, name: str, runs: dict[str, Path], epochs: float) -> dict[str, Any]:
    """Measures of one student and of what is beside it, by name."""
    loss, language = STUDENTS[name]
    out = work / f"seed{seed}" / name.replace(", ", "-")
    metrics = out / "metrics.json"
    if not metrics.is_file():
        rows = {"rows": str(language_rows(work))} if language else {}
        table = str(work / "table.yaml")
        hts.main(
            {
                "recipe": "hts",
                "out": str(out),
                "data": {"source": str(runs["train"]), "interactions": table},
                "model": {"kind": "defr", "backbone": str(BLIP), "sizes": SIZES_OF_BLIP} | rows,
                "losses": {"loss": loss},
                "epochs": epochs,
                "seed": seed,
                "batch": {"size": 16, "balance": 0, "crop": 1, "jitter": 0.0},
                "optimisation": {
                    "learning_rate": 5e-3,
                    "backbone_learning_rate": 3e-4,
                    "weight_decay": 0.0,
                    "schedule": "cosine",
                    "max_gradient_norm": 1.0,
                },
                "judge": {
                    "annotations": str(runs["test"]),
                    "training": str(runs["train"]),
                    "training_labels": "image_labels",
                },
                "save_every": 100,
            }
        )
    found: dict[str, Any] = json.loads(metrics.read_text())
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "relforge-defr")
    options.add_argument("--train", type=int, default=1200, help="images of a seed to learn from")
    options.add_argument("--test", type=int, default=300, help="images of a seed to measure on")
    options.add_argument("--epochs", type=float, default=3)
    options.add_argument("--draw", type=int, default=1, help="seed of the images")
    options.add_argument("--students", nargs="+", choices=list(STUDENTS), default=list(STUDENTS))
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    runs = draw(args.work, {"train": args.train, "test": args.test}, args.draw)
    labels = read_image_labels(str(runs["train"]), labels="image_labels")
    positives = (labels.states == POSITIVE).sum(0)
    title = f"{args.train} images to learn from with {positives.sum()} labels, {args.test} to measure on"
    for seed in args.seeds:
        for name in args.students:
            for case, row in train(args.work, seed, name, runs, args.epochs).items():
                if case == "student" or name == args.students[0]:
                    found.setdefault(name if case == "student" else case, []).append(row)
    first = args.students[0]
    rows = []
    for case, values in found.items():
        for label, measure in MEASURES.items():
            ours = [row[measure] for row in values if measure in row]
            theirs = [row[measure] for row in found[first] if measure in row]
            if ours and theirs:
                row = {"case": f"{case}: mAP, {label}", "peer": first}
                row |= {"ours": mean(ours), "theirs": mean(theirs), "ratio": mean(ours) / mean(theirs)}
                rows.append(row | {"lowest": min(ours), "highest": max(ours), "seeds": len(ours)})
    emit(rows, args.json, title)


if __name__ == "__main__":
    main()
