"""Parse stage against `sng_parser.parse()` called once per sentence, on the same spaCy pipeline.

    python benchmarks/parse_stage.py --captions captions.json [--pipeline embedded] [--json]

The files hold `[{"image_id": ..., "caption": ...}, ...]` or COCO Captions JSON. Both sides have their
pipeline loaded and warm before the clock starts, and take turns on the same sentences.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pyarrow as pa
import sng_parser

from relforge.stages.parse.pipelines import pipeline_folder
from relforge.stages.parse.sng import SngParser
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS

ROUNDS = 5


def read_captions(path: Path) -> list[str]:
    data = json.loads(path.read_text(encoding="utf-8"))
    return [row["caption"] for row in (data["annotations"] if isinstance(data, dict) else data)]


def captions_table(texts: list[str]) -> pa.Table:
    count = len(texts)
    return pa.table(
        {
            "image_id": [str(i) for i in range(count)],
            "caption_id": [0] * count,
            "text": texts,
            "source": ["import"] * count,
            "seed": [None] * count,
            "logprob": [None] * count,
        }
    ).cast(SCHEMAS["captions"])


def row(case: str, peer: str, ours: float, theirs: float, **more: Any) -> dict[str, Any]:
    return {
        "case": case,
        "peer": peer,
        "ours": round(ours, 1),
        "theirs": round(theirs, 1),
        "unit": "captions per second",
        "ratio": round(ours / theirs, 2),
        **more,
    }


def per_core(texts: list[str], pipeline: str) -> list[dict[str, Any]]:
    """One process, one thread, in CPU seconds: other load on the machine does not count."""
    folder = str(pipeline_folder(pipeline))
    theirs = sng_parser.Parser("spacy", model=folder)
    parser = SngParser(pipeline)
    stage = build("parse", "sng_parser", pipeline=pipeline)
    parser.setup()
    stage.setup()
    distinct = list(dict.fromkeys(texts))
    table = captions_table(texts)
    sample = distinct[:: max(1, len(distinct) // 200)]
    for text in sample[:20]:
        theirs.parse(text)
    parser.parse(distinct[:500])
    seconds: dict[str, list[float]] = {"theirs": [], "parser": [], "stage": []}
    for _ in range(ROUNDS):
        start = time.process_time()
        for text in sample:
            theirs.parse(text)
        seconds["theirs"].append((time.process_time() - start) / len(sample))
        start = time.process_time()
        parser.parse(distinct)
        seconds["parser"].append((time.process_time() - start) / len(distinct))
        start = time.process_time()
        stage.process({"captions": table})
        seconds["stage"].append((time.process_time() - start) / len(texts))
    best = {name: 1 / sorted(values)[ROUNDS // 2] for name, values in seconds.items()}
    peer = "sng_parser.parse per sentence"
    limit = {"limit": 8.0}
    rows = [
        row("distinct captions, parser alone", peer, best["parser"], best["theirs"], **limit),
        row(
            f"parse stage, {len(distinct) / len(texts):.0%} distinct",
            peer,
            best["stage"],
            best["theirs"],
            **limit,
        ),
    ]
    for entry in rows:
        entry["fraction_of_limit"] = round(entry["ratio"] / entry["limit"], 2)
    return rows


def two_shards(args: argparse.Namespace) -> dict[str, Any]:
    """Two processes over disjoint shards against one over a shard of the same size, in wall time."""

    def run(processes: int) -> float:
        command = [sys.executable, __file__, "--captions", *map(str, args.captions)]
        command += ["--pipeline", args.pipeline, "--shard"]
        running = [
            subprocess.Popen([*command, f"{i}/2"], stdout=subprocess.PIPE, text=True)
            for i in range(processes)
        ]
        rates = [float(process.communicate()[0]) for process in running]
        return sum(rates)

    one = run(1)
    return row("two processes, disjoint shards", "one process", run(2), one, limit=2.0)


def shard_rate(texts: list[str], pipeline: str, shard: str) -> float:
    """Captions per second of wall time, after a warm-up."""
    index, count = map(int, shard.split("/"))
    parser = SngParser(pipeline)
    parser.setup()
    mine = list(dict.fromkeys(texts))[index::count]
    parser.parse(mine[:500])
    start = time.perf_counter()
    for _ in range(3):
        parser.parse(mine)
    return 3 * len(mine) / (time.perf_counter() - start)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--captions", type=Path, nargs="+", required=True)
    arguments.add_argument("--pipeline", default="embedded", help="embedded, a spaCy package or a folder")
    arguments.add_argument("--limit", type=int, default=6000, help="captions read at most")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--shard", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    texts = [text for path in args.captions for text in read_captions(path)][: args.limit]
    if args.shard:
        print(shard_rate(texts, args.pipeline, args.shard))
        return
    rows = [*per_core(texts, args.pipeline), two_shards(args)]
    rows[-1]["fraction_of_limit"] = round(rows[-1]["ratio"] / 2, 2)
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'case':40} {'peer':32} {'ours/s':>9} {'theirs/s':>9} {'ratio':>6}")
    for entry in rows:
        print("{case:40} {peer:32} {ours:9.1f} {theirs:9.1f} {ratio:6.2f}".format(**entry))


if __name__ == "__main__":
    main()
