"""A projected scan of run-folder shards against `json.load` and `pycocotools.COCO()` on the source file.

Shards of `boxes` are written with relforge's own ingest; the scan reads image_id, box_id, category and the
coordinates of every box as Arrow tables, one shard after another. Without --file a synthetic file with
polygons is drawn (about 500 MB).

    python benchmarks/read_shards.py [--file instances.json] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
from pathlib import Path

from fresh import Cost, fresh
from report import emit
from synthetic_coco import write

COLUMNS = ["image_id", "box_id", "category", "x", "y", "w", "h"]


def scan_imports() -> None:
    import pyarrow.parquet  # noqa: F401


def scan(folder: str) -> int:
    """Boxes read; a shard is let go before the next."""
    import pyarrow.parquet as pq

    paths = sorted(Path(folder).glob("boxes/*.parquet"))
    return sum(pq.ParquetFile(path).read(COLUMNS, use_threads=False).num_rows for path in paths)


first_imports = scan_imports


def first(folder: str) -> str:
    """The boxes of the first image of a shard in the middle: they are in its first 64 rows."""
    import pyarrow.parquet as pq

    paths = sorted(Path(folder).glob("boxes/*.parquet"))
    shard = pq.ParquetFile(paths[len(paths) // 2], memory_map=True)
    table = next(shard.iter_batches(64, columns=COLUMNS, use_threads=False))
    return str(table["image_id"][0].as_py())


def json_load(path: str) -> int:
    with open(path) as file:
        return len(json.load(file)["annotations"])


def pycocotools_imports() -> None:
    import pycocotools.coco  # noqa: F401


def pycocotools(path: str) -> int:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return len(COCO(path).anns)


def write_shards(path: Path, folder: Path, shard_images: int) -> None:
    from relforge.pipeline.store.parquet import to_bytes
    from relforge.stages.registry import build_source

    (folder / "boxes").mkdir(parents=True)
    source = build_source("coco", annotations=str(path))
    for shard, result in enumerate(source.shards(shard_images)):
        (folder / f"boxes/part-{shard:05d}.parquet").write_bytes(to_bytes(result.tables["boxes"], {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="COCO detection JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-images", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "instances.json"
        if options.file is None:
            write(path)
        shards = Path(folder) / "run"
        write_shards(path, shards, options.shard_images)
        readers = {"scan": shards, "first": shards, "json_load": path, "pycocotools": path}
        costs: dict[str, list[Cost]] = {name: [] for name in readers}
        for _ in range(options.rounds):
            for name, where in readers.items():
                costs[name].append(fresh(__file__, name, str(where)))
    cpu = {name: statistics.median(c.cpu_seconds for c in found) for name, found in costs.items()}
    memory = {name: statistics.median(c.extra_mib for c in found) for name, found in costs.items()}
    rows = []
    for ours, case in (("scan", "all boxes"), ("first", "first image of a shard")):
        for peer in ("json_load", "pycocotools"):
            for what, unit in ((cpu, "CPU s"), (memory, "extra MiB")):
                rows.append(
                    {"case": f"{case}, {unit}", "peer": peer, "ours": what[ours], "theirs": what[peer]}
                    | {"ratio": what[peer] / max(what[ours], 1e-9)}
                )
    emit(rows, options.json)


if __name__ == "__main__":
    main()
