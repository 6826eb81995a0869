"""How true the captions of the drawn world's captioner are, between the best and the worst they could be.

    python benchmarks/world_captions.py [--model demo/weights/blip] [--images 100] [--seed 7] [--json]

Draws images that are in no training set, captions them, parses the captions with the default parser and
compares their triplets, by class, with the complete gold (`relforge.demo.caption_scores`). `oracle` are the
world's own captions, the ceiling; `shuffled` are those of another image, the floor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from report import emit

from relforge.demo.caption_scores import CaptionScorer, read_captions, read_gold
from relforge.demo.world.dataset import write_split
from relforge.stages.registry import build, build_source


def caption_images(images: pa.Table, **options: Any) -> tuple[dict[int, list[str]], float]:
    """Captions per image id, and seconds of captioning after loading."""
    stage = build("caption", "blip", **options)
    stage.setup()
    began = time.perf_counter()
    rows = stage.process({"images": images}).tables["captions"].to_pylist()
    took = time.perf_counter() - began
    said: dict[int, list[str]] = {int(key): [] for key in images["image_id"].to_pylist()}
    for row in rows:
        said[int(row["image_id"])].append(row["text"])
    return said, took


def draw_split(folder: str, count: int, seed: int) -> tuple[Path, pa.Table]:
    """A split that is in no training set, and its `images` table."""
    split = write_split(Path(folder), "detection", count, seed)
    source = build_source("coco", annotations=str(split / "instances.json"), images=str(split / "images"))
    return split, pa.concat_tables([result.tables["images"] for result in source.shards(4096)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--model", default="demo/weights/blip")
    options.add_argument("--images", type=int, default=100)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        split, images = draw_split(folder, args.images, args.seed)
        gold, oracle = read_gold(split), read_captions(split)
        sources: dict[str, tuple[dict[int, list[str]], float | None]] = {"oracle, 5": (oracle, None)}
        for case, settings in (
            ("beam 1", {"mode": "beam"}),
            ("nucleus 5", {"captions": 5}),
            ("nucleus 10", {"captions": 10}),
            ("nucleus 20", {"captions": 20}),
            ("nucleus 10, top_p 0.6", {"captions": 10, "top_p": 0.6}),
        ):
            sources[case] = caption_images(images, model=args.model, seed=args.seed, **settings)
    keys = sorted(gold)
    moved = dict(zip(keys, [*keys[1:], keys[0]], strict=True))
    for case in ("nucleus 10", "oracle, 5"):
        sources[f"shuffled {case}"] = ({key: sources[case][0][moved[key]] for key in keys}, None)
    scorer = CaptionScorer()
    rows = []
    for case, (said, took) in sources.items():
        scores = scorer.score([said[key] for key in keys], [gold[key] for key in keys])
        seconds = {} if took is None else {"images_per_second": len(keys) / took}
        rows.append({"case": case, **asdict(scores), **seconds})
    emit(rows, args.json, "triplets by class against gold")


if __name__ == "__main__":
    main()
