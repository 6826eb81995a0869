"""Ingest of a COCO-sized annotation file against `json.load` of the same file.

Ours ends with every shard's Arrow tables built and every box checked; theirs ends with Python dicts. Each
round runs both in fresh processes, in turn. Without --file a synthetic file with polygons is drawn (500 MB).

    python benchmarks/ingest.py [--file instances.json] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from fresh import fresh
from report import emit
from synthetic_coco import write


def ours_imports() -> None:
    import relforge.stages.ingest.coco  # noqa: F401


def ours(path: str) -> int:
    """Boxes read, shard by shard."""
    from relforge.stages.registry import build_source

    shards = build_source("coco", annotations=path, images="photos").shards(1024)
    return sum(shard.tables["boxes"].num_rows for shard in shards)


def theirs(path: str) -> int:
    with open(path) as file:
        return len(json.load(file)["annotations"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="COCO detection JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "instances.json"
        if options.file is None:
            write(path)
        rounds = [
            (fresh(__file__, "ours", str(path)), fresh(__file__, "theirs", str(path)))
            for _ in range(options.rounds)
        ]
        size = path.stat().st_size / 1e6
    mine, peer = zip(*rounds, strict=True)
    case = f"{size:.0f} MB, {peer[0].result} boxes"
    rows = []
    for what, unit in (("cpu_seconds", "CPU s"), ("seconds", "wall s"), ("extra_mib", "extra MiB")):
        a, b = (statistics.median(getattr(cost, what) for cost in costs) for costs in (mine, peer))
        rows.append(
            {"case": f"ingest {case}, {unit}", "peer": "json.load", "ours": a, "theirs": b, "ratio": b / a}
        )
    emit(rows, options.json)


if __name__ == "__main__":
    main()
