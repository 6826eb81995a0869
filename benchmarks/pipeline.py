"""Costs of the engine around the stages.

    python benchmarks/pipeline.py overhead --boxes COCO.json --captions CAPTIONS.json
    python benchmarks/pipeline.py memory
    python benchmarks/pipeline.py status
    python benchmarks/pipeline.py resume

`overhead` runs the job on Ray and the same stages in a plain loop without any run folder; `memory` runs
one and ten times the images and compares the peak of all processes; `status` and `resume` time
finished runs of many shards. Every mode prints a table, or rows as JSON with `--json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow as pa

from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job, Limits, Resources, SourceSpec, StageSpec
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.status import status
from relforge.stages.contract import StageResult
from relforge.stages.tables import empty

Row = dict[str, Any]
HERE = str(Path(__file__).resolve().parent)
CAPTION = "a small brown dog sitting next to a red bicycle on the street in front of a house"


class DrawnSource:
    """Images without image files, three boxes each; `payload` embeds so many bytes per image."""

    name, version = "drawn", 1

    def __init__(self, images: int, payload: int = 0) -> None:
        self.images, self.payload = images, payload

    def files(self) -> Sequence[str]:
        return []

    def shards(self, shard_images: int) -> Iterator[StageResult]:
        for first in range(0, self.images, shard_images):
            ids = [f"{i:08d}" for i in range(first, min(first + shard_images, self.images))]
            count = len(ids)
            images = pa.table(
                {
                    "image_id": ids,
                    "dataset": ["drawn"] * count,
                    "split": ["train"] * count,
                    "uri": pa.nulls(count, pa.string()),
                    "width": pa.array([640] * count, pa.int32()),
                    "height": pa.array([480] * count, pa.int32()),
                    "bytes": [os.urandom(self.payload) if self.payload else None for _ in ids],
                    "file_name": pa.nulls(count, pa.string()),
                    "shared_name": pa.nulls(count, pa.bool_()),
                },
                schema=empty("images").schema,
            )
            box_ids = [i for i in ids for _ in range(3)]
            boxes = pa.table(
                {
                    "image_id": box_ids,
                    "box_id": pa.array([0, 1, 2] * count, pa.int32()),
                    "category": ["dog", "bicycle", "person"] * count,
                    **{side: [10.0, 20.0, 30.0] * count for side in "xywh"},
                    "iscrowd": [False] * (3 * count),
                    "source_id": [str(n) for n in range(3 * count)],
                },
                schema=empty("boxes").schema,
            )
            tables = {"images": images, "boxes": boxes, "gold": empty("gold")}
            yield StageResult(tables, 4 * count, notes={"rows_in": 4 * count})


class DrawnCaption:
    """Five captions per image, all the same; `rounds` of arithmetic, or `seconds` of waiting, take the
    time of a model."""

    name, version = "caption", 1
    inputs, outputs = ("images",), ("captions",)

    def __init__(self, rounds: int = 0, seconds: float = 0.0) -> None:
        self.rounds, self.seconds = rounds, seconds

    def files(self) -> Sequence[str]:
        return []

    def setup(self) -> None:
        pass

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        ids = [i for i in tables["images"]["image_id"].to_pylist() for _ in range(5)]
        time.sleep(self.seconds)
        total = 0
        for n in range(self.rounds):
            total += n * n
        table = pa.table(
            {
                "image_id": ids,
                "caption_id": pa.array([0, 1, 2, 3, 4] * (len(ids) // 5), pa.int32()),
                "text": [CAPTION] * len(ids),
                "source": ["drawn"] * len(ids),
                "seed": pa.nulls(len(ids), pa.int64()),
                "logprob": pa.nulls(len(ids), pa.float32()),
            },
            schema=empty("captions").schema,
        )
        return StageResult({"captions": table}, tables["images"].num_rows)


class DrawnParse(DrawnCaption):
    """One triplet per caption."""

    name, inputs, outputs = "parse", ("captions",), ("triplets",)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        captions = tables["captions"]
        time.sleep(self.seconds)
        total = 0
        for n in range(self.rounds):
            total += n * n
        columns: dict[str, Any] = {}
        for field in empty("triplets").schema:
            if field.name in ("image_id", "caption_id"):
                columns[field.name] = captions[field.name]
            elif pa.types.is_string(field.type):
                columns[field.name] = ["dog"] * captions.num_rows
            elif field.nullable:
                columns[field.name] = pa.nulls(captions.num_rows, field.type)
            else:
                columns[field.name] = pa.array([0] * captions.num_rows, field.type)
        table = pa.table(columns, schema=empty("triplets").schema)
        return StageResult({"triplets": table}, captions.num_rows)


def drawn_job(folder: Path, images: int, shard_images: int, rounds: int = 0, payload: int = 0) -> Job:
    """ingest -> caption (an actor) -> parse (tasks) over drawn data."""
    return Job(
        str(folder),
        "drawn",
        SourceSpec("pipeline_benchmark:DrawnSource", {"images": images, "payload": payload}),
        (
            StageSpec(
                "caption",
                "pipeline_benchmark:DrawnCaption",
                {"rounds": rounds},
                Resources(actors=1, num_cpus=0.5),
            ),
            StageSpec("parse", "pipeline_benchmark:DrawnParse", {"rounds": rounds}, Resources(num_cpus=1.0)),
        ),
        shard_images,
        limits=Limits(),
    )


def real_job(folder: Path, boxes: Path, captions: Path, shard_images: int) -> Job:
    """The main job on COCO boxes and captions, with its default backends."""
    return Job(
        str(folder),
        "coco",
        SourceSpec("coco", {"annotations": str(boxes)}),
        (
            StageSpec("caption", "oracle", {"files": [str(captions)]}),
            StageSpec("parse", "sng_parser"),
            StageSpec("match", "synonyms"),
            StageSpec("tag", "rule"),
            StageSpec("select", "select"),
        ),
        shard_images,
    )


def plain_loop(job: Job) -> float:
    """Seconds to call the stages one after the other, in memory: no files, no checks."""
    plan = make_plan(job)
    stages = [(job.build_stage(step.name), step) for step in plan.stages]
    started = time.monotonic()
    for stage, _ in stages:
        stage.setup()
    for result in job.build_source().shards(job.shard_images):
        tables = dict(result.tables)
        for stage, step in stages:
            tables.update(stage.process({name: tables[name] for name in step.inputs}).tables)
    return time.monotonic() - started


def overhead(options: argparse.Namespace, folder: Path) -> list[Row]:
    def job(name: str) -> Job:
        if options.boxes:
            return real_job(folder / name, options.boxes, options.captions, options.shard_images or 500)
        return drawn_job(folder / name, options.images, options.shard_images or 500, options.rounds)

    def seconds_of(executor: str) -> float:
        started = time.monotonic()
        result = run(job(executor), executor=executor)  # type: ignore[arg-type]
        assert result.outcome == 0, result.message
        return time.monotonic() - started

    peer = plain_loop(job("plain"))
    rows = []
    for executor, limit in (("loop", 1.10), ("ray", None)):
        ours = seconds_of(executor)
        row: Row = {
            "case": f"whole job, executor {executor}",
            "peer": "the same stages in a plain loop, nothing written",
            "ours_s": ours,
            "theirs_s": peer,
            "ratio": ours / peer,
        }
        if limit:
            row |= {"limit": limit, "fraction_of_limit": ours / peer / limit}
        rows.append(row)
    return rows


def memory(options: argparse.Namespace, folder: Path) -> list[Row]:
    peaks = {}
    for factor in (1, 10):
        images = options.images // 10 * factor
        job = drawn_job(folder / f"x{factor}", images, options.shard_images or 100, payload=options.payload)
        peaks[factor] = peak_bytes(lambda job=job: run(job))  # type: ignore[misc]
    return [
        {
            "case": f"peak of all processes, {options.images} images of {options.payload} bytes",
            "peer": "a tenth of the images",
            "ours_MiB": peaks[10] / 2**20,
            "theirs_MiB": peaks[1] / 2**20,
            "ratio": peaks[10] / peaks[1],
        }
    ]


def status_time(options: argparse.Namespace, folder: Path) -> list[Row]:
    job = drawn_job(folder / "run", 2 * options.shards, 2)
    run(job, executor="loop")
    listed = timed(lambda: read_all_json(folder / "run"))
    ours = timed(lambda: status(job.folder))
    return [
        {
            "case": f"status of {options.shards} shards in 5 tables",
            "peer": "json.load of every sidecar, one after the other",
            "ours_s": ours,
            "theirs_s": listed,
            "ratio": ours / listed,
            "limit": 2.0,
            "fraction_of_limit": ours / 2.0,
        }
    ]


def resume(options: argparse.Namespace, folder: Path) -> list[Row]:
    job = drawn_job(folder / "run", 2 * options.shards, 2)
    first = timed(lambda: run(job, executor="loop"))
    ours = timed(lambda: run(job))
    return [
        {
            "case": f"the same command on a finished run of {options.shards} shards",
            "peer": "the run itself",
            "ours_s": ours,
            "theirs_s": first,
            "ratio": ours / first,
            "limit": 5.0,
            "fraction_of_limit": ours / 5.0,
        }
    ]


def read_all_json(folder: Path) -> None:
    for path in folder.glob("_state/*/part-*.json"):
        with path.open() as file:
            json.load(file)


def timed(call: Callable[[], Any]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def peak_bytes(call: Callable[[], Any]) -> int:
    """Largest sum of unshared memory over this process and all it starts, sampled ten times a second."""
    peak, stop = 0, Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.1):
            peak = max(peak, sum(map(unshared_bytes, process_tree(os.getpid()))))

    watcher = Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        stop.set()
        watcher.join()
    return peak


def process_tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, frontier = [pid], [pid]
    while frontier:
        frontier = [child for child, parent in parents.items() if parent in frontier]
        found += frontier
    return found


def unshared_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Private_"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mode", choices=["overhead", "memory", "status", "resume"])
    parser.add_argument(
        "--boxes", type=Path, help="COCO instances JSON for `overhead`; drawn data without it"
    )
    parser.add_argument("--captions", type=Path, help="COCO captions JSON for `overhead`")
    parser.add_argument("--images", type=int, default=20_000, help="drawn images")
    parser.add_argument("--rounds", type=int, default=5_000_000, help="work per drawn shard and stage")
    parser.add_argument("--payload", type=int, default=20_000, help="bytes embedded per image, for `memory`")
    parser.add_argument("--shard-images", type=int, help="images per shard")
    parser.add_argument("--shards", type=int, help="shards for `status` (2000) and `resume` (1000)")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args()
    options.shards = options.shards or {"status": 2000, "resume": 1000}.get(options.mode)
    modes = {"overhead": overhead, "memory": memory, "status": status_time, "resume": resume}
    with tempfile.TemporaryDirectory(prefix="relforge-bench-") as scratch:
        # workers import the drawn stages by this name
        (Path(scratch) / "pipeline_benchmark.py").symlink_to(Path(__file__).resolve())
        sys.path.insert(0, scratch)
        root = str(Path(HERE).parent)
        os.environ["PYTHONPATH"] = os.pathsep.join([scratch, root, os.environ.get("PYTHONPATH", "")])
        rows = modes[options.mode](options, Path(scratch))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print("  ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()))


if __name__ == "__main__":
    main()
