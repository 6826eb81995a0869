"""Large run folders, and images through Ray beside the loop.

    python benchmarks/cluster.py folder --shards 200000
    python benchmarks/cluster.py requests --shards 2000
    python benchmarks/cluster.py ray --images 100000
    python benchmarks/cluster.py nodes --images 100000

`folder` writes a finished run of so many shards in six tables, with sidecars of their own and data files
that are links to one file, and measures `plan`, `status` and the same command again, each in a process of its
own: without manifests, and with them; `resume` makes one shard that is missing. `requests` does it on an S3
server in a process of its own (`s3_server.py`) and counts what it is asked.
`ray` makes drawn images, whose parsing takes about a millisecond each, in the loop and on a local Ray of one
and two CPUs: throughput, memory of the driver and Ray's object store. `nodes` makes them on clusters of one,
two and three nodes, each of which has 0.3 of a core of this machine (a control group), so that three find
room beside head and driver on two; and once more with parsing that waits instead of counting, which shows
what is lost between the shards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any

from cpu_quota import cpu_quota
from report import emit
from s3_server import BUCKET, PLACE

from pipeline import drawn_job
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.job import Job, Resources
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.prepare import prepare, preview
from relforge.pipeline.run.status import status
from relforge.pipeline.run.worker import ShardWorker
from relforge.pipeline.store.compaction import compact
from relforge.pipeline.store.fingerprint import ingest_fingerprint, shard_fingerprint
from relforge.pipeline.store.run_folder import INGEST_MANIFEST, RunFolder
from relforge.pipeline.store.sidecar import Sidecar

Row = dict[str, Any]
_ROUNDS = 8_000_000
"""Of arithmetic for a shard of 500 images: about a millisecond an image."""
_SECONDS = 1.5
"""Of waiting for such a shard."""
_LINKS = 50_000
"""Names of one file: file systems have a limit."""
_SHARD = 987_654_321
"""Stands for the number in a sidecar that is written many times."""


def write_folder(folder: RunFolder, shards: int) -> None:
    """A finished run: one shard is made, the others are copies with hashes of their own."""
    job = drawn_job(Path("made"), 2 * shards, 2)
    job = replace(job, folder=f"memory://first-{time.time_ns()}")
    _one_shard(job)
    made = RunFolder(job.folder)
    plan = load_plan(made)
    record = made.record()
    record["job"]["folder"] = folder.uri
    folder.write_json("run.json", record)
    random = Random(0)
    contents: dict[str, list[str]] = {}
    for step in plan.steps:
        for table in step.outputs:
            account = made.sidecar(table, 0)
            assert account is not None
            data = made.read_data(table, 0, account)
            contents[table] = [f"{random.getrandbits(256):064x}" for _ in range(shards)]
            written = replace(
                account,
                shard=_SHARD,
                fingerprint="@fingerprint@",
                inputs={name: f"@{name}@" for name in step.inputs},
                content="@content@",
                modified="@modified@",
            ).to_bytes()
            for shard in range(shards):
                inputs = {name: contents[name][shard] for name in step.inputs}
                values = {f"@{name}@": content for name, content in inputs.items()}
                values["@fingerprint@"] = (
                    shard_fingerprint(step.key, inputs) if inputs else ingest_fingerprint(step.key, shard)
                )
                values["@content@"] = contents[table][shard]
                values["@modified@"] = _write_data(folder, table, shard, data)
                values[str(_SHARD)] = str(shard)
                sidecar = written
                for name, value in values.items():
                    sidecar = sidecar.replace(name.encode(), value.encode())
                _write(folder, folder.sidecar_path(table, shard), sidecar)
    folder.write_json(INGEST_MANIFEST, {"key": plan.ingest.key, "shards": shards})


def _one_shard(job: Job) -> None:
    """Make shard 0."""
    place = RunFolder(job.folder)
    plan, _ = prepare(place, job)
    next(ingest(plan, place))
    for step in plan.stages:
        assert ShardWorker(plan, step.name, place).run(0).usable


def _write_data(folder: RunFolder, table: str, shard: int, data: bytes) -> str:
    """Write or link a data file; its `Stat.modified`."""
    if "://" in folder.uri:
        folder.storage.write(folder.data_path(table, shard), data)
        return ""
    path, first = (f"{folder.uri}/{folder.data_path(table, n)}" for n in (shard, shard - shard % _LINKS))
    if path == first:
        _write(folder, folder.data_path(table, shard), data)
    else:
        os.link(first, path)
    stat = os.stat(path)
    return f"{stat.st_mtime_ns} {stat.st_ino}"


def _write(folder: RunFolder, path: str, data: bytes) -> None:
    if "://" in folder.uri:
        folder.storage.write(path, data)
        return
    place = f"{folder.uri}/{path}"
    try:
        file = open(place, "wb")  # noqa: SIM115
    except FileNotFoundError:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        file = open(place, "wb")  # noqa: SIM115
    with file:
        file.write(data)


VERBS = ("plan", "status", "run", "resume")


def verb(name: str, uri: str) -> Row:
    """What one command took in this process: seconds, CPU seconds, largest memory."""
    begun, cpu = time.monotonic(), time.process_time()
    job = load_plan(RunFolder(uri)).job
    if name == "plan":
        assert not preview(job).todo
    elif name == "status":
        assert status(uri).complete
    elif name == "run":
        result = run(job, executor="loop")
        assert result.message == "everything is done already", result.message
    else:
        # one shard of the last stage is missing; until it is begun, and until the command is at its end
        folder, last = RunFolder(uri), load_plan(RunFolder(uri)).tables[-1]
        folder.delete_sidecar(last, 1)
        started: list[float] = []
        result = run(job, executor="loop", progress=lambda _: started.append(time.monotonic() - begun))
        assert sum(result.committed.values()) == 1, result.message
        return {"until_begun": started[0], **_took(begun, cpu)}
    return _took(begun, cpu)


def _took(begun: float, cpu: float) -> Row:
    return {
        "seconds": time.monotonic() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def folder_mode(options: argparse.Namespace, scratch: Path) -> list[Row]:
    place = options.place or scratch / "run"
    uri = str(place)
    if not (place / INGEST_MANIFEST).exists():
        write_folder(RunFolder(uri), options.shards)
    tables = load_plan(RunFolder(uri)).tables
    rows = []
    for manifests in (False, True):
        for table in tables:
            (place / f"_state/{table}.parquet").unlink(missing_ok=True)
        if manifests:
            begun, cpu = time.monotonic(), time.process_time()
            compact(RunFolder(uri), tables)
            rows.append({"case": "writing manifests", "seconds": time.monotonic() - begun,
                         "cpu_seconds": time.process_time() - cpu})  # fmt: skip
        for name in VERBS[:2] if not manifests else VERBS:
            if not manifests and options.quick:
                continue
            command = [sys.executable, __file__, "verb", name, uri]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rows.append({"case": f"{name}, {'with' if manifests else 'without'} manifests", **found})
    return [{**row, "shards": options.shards, "sidecars": options.shards * len(tables)} for row in rows]


def requests_mode(options: argparse.Namespace, scratch: Path) -> list[Row]:
    rows = []
    if not options.quick:
        with _server(0) as count:
            made = replace(drawn_job(Path("made"), 32, 2), folder=f"s3://{BUCKET}/made")
            result = run(made, executor="loop")
            assert result.outcome == 0, result.message
            rows.append({"case": "making 16 shards of 3 stages", **count()})
            for name in VERBS[:3]:
                found = verb(name, made.folder)
                rows.append({"case": f"{name}, 16 shards", "seconds": found["seconds"], **count()})
    with _server(options.shards) as count:
        for manifests in (False, True):
            if manifests:
                count("POST", "compact")
            elif options.quick:
                continue
            for name in VERBS[:3] if manifests else VERBS[:2]:
                command = [sys.executable, __file__, "verb", name, PLACE]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                case = f"{name}, {'with' if manifests else 'without'} manifests"
                rows.append({"case": case, "shards": options.shards, **found, **count()})
    return rows


@contextmanager
def _server(shards: int) -> Iterator[Callable[..., Row]]:
    """An S3 server in a process of its own (`s3_server.py`); a call returns the requests since the last."""
    command = [sys.executable, str(Path(__file__).with_name("s3_server.py")), "--shards", str(shards)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

        def call(method: str = "GET", what: str = "counts") -> Row:
            connection = HTTPConnection("127.0.0.1", port)
            connection.request(method, f"/-/{what}", headers={"Content-Length": "0"})
            answer = connection.getresponse().read()
            return dict(json.loads(answer)) if answer else {}

        try:
            yield call
        finally:
            server.terminate()


def ray_mode(options: argparse.Namespace, scratch: Path) -> list[Row]:
    return _makes(options, scratch, [("loop", 0), ("ray", 1), ("ray", 2)])


def nodes_mode(options: argparse.Namespace, scratch: Path) -> list[Row]:
    cases = [(f"nodes{options.cores:g}", count) for count in (1, 2, 3)]
    return _makes(options, scratch, [*cases, ("waiting", 1), ("waiting", 2), ("waiting", 3)])


def _makes(options: argparse.Namespace, scratch: Path, cases: Sequence[tuple[str, int]]) -> list[Row]:
    rows = []
    for name, count in cases:
        folder = scratch / f"{name}-{count}"
        command = [sys.executable, __file__, "verb", f"make-{name}-{count}", str(folder), str(options.images)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append({"case": f"{options.images} images, {name} {count or ''}".strip(), **found})
    return rows


def make(executor: str, count: int, folder: str, images: int) -> Row:
    """Images per second of a drawn job, the peak of this process, and of Ray's object store.

    Args:
        executor: `loop`, `ray` with `count` CPUs, `nodes0.3`: `count` nodes that have 0.3 of a core each, or
            `waiting`: `count` nodes whose parsing waits instead of counting.
    """
    nodes = executor.startswith(("nodes", "waiting"))
    job = drawn_job(Path(folder), images, 500, rounds=0)
    caption, parse = job.stages
    first = {"first": 0.1} if nodes else {}
    work = {"seconds": _SECONDS} if executor == "waiting" else {"rounds": _ROUNDS}
    caption = replace(caption, resources=Resources(actors=1, num_cpus=0.1, custom=first))
    others = {"others": 1} if nodes else {}
    parse = replace(parse, options=work, resources=Resources(num_cpus=0.8, custom=others))
    source = replace(job.source, resources=Resources(num_cpus=0.1, custom=first))
    job = replace(job, stages=(caption, parse), source=source)
    used = [0.0]
    with ExitStack() as stack:
        if nodes:
            cores = executor.removeprefix("nodes")
            stack.enter_context(_cluster(count, None if executor == "waiting" else float(cores)))
        if executor != "loop":
            from relforge.pipeline.run.ray_session import ray_session

            stack.enter_context(ray_session(num_cpus=count))
        begun, cpu = time.monotonic(), time.process_time()
        result = run(job, executor="loop" if executor == "loop" else "ray", progress=lambda _: _look(used))
    assert result.outcome == 0, result.message
    accounts = [RunFolder(folder).sidecar(table, shard) for table in ("captions", "triplets", "images")
                for shard in RunFolder(folder).indices(table)]  # fmt: skip
    found = [one for one in accounts if isinstance(one, Sidecar)]
    parsed = sorted(one.finished for one in found if one.table == "triplets")
    # without the first shards of each node, after its worker's start, and the last, when not all are busy
    begin, end = 2 * count, len(parsed) - 1 - count
    steady = 500 * (end - begin) / (parsed[end] - parsed[begin]) if end > begin else 0.0
    return {
        "images_per_second": images / result.seconds,
        "steady_images_per_second": steady,
        "stage_cpu_seconds": sum(one.cpu_seconds for one in found),
        "object_store_peak_MiB": used[0] / 2**20,
        **_took(begun, cpu),
    }


@contextmanager
def _cluster(count: int, cores: float | None) -> Iterator[None]:
    """A head, which ingests and captions, and so many nodes of one CPU, which parse and have so many cores of
    this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    with ExitStack() as stack:
        stack.callback(cluster.shutdown)
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20, resources={"first": 1})
        for number in range(count):
            node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20, resources={"others": 1})
            if cores is not None:
                processes = [one.process.pid for found in node.all_processes.values() for one in found]
                stack.enter_context(cpu_quota(f"{os.getpid()}-{number}", cores, processes))
        os.environ["RAY_ADDRESS"] = cluster.address
        yield


def _look(used: list[float]) -> None:
    """Keep the most that Ray's object store held."""
    import ray

    if ray.is_initialized():
        total, free = ray.cluster_resources(), ray.available_resources()
        held = total.get("object_store_memory", 0.0) - free.get("object_store_memory", 0.0)
        used[0] = max(used[0], held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mode", choices=["folder", "requests", "ray", "nodes", "verb"])
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--shards", type=int, default=5000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--place", type=Path, help="keep the folder there")
    parser.add_argument("--cores", type=float, default=0.4, help="of a node of the mode `nodes`")
    parser.add_argument("--quick", action="store_true", help="not without manifests")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relforge-bench-") as scratch:
        # workers import the drawn stages by this name
        (Path(scratch) / "pipeline_benchmark.py").symlink_to(Path(__file__).resolve().parent / "pipeline.py")
        sys.path.insert(0, scratch)
        paths = [scratch, str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        if options.mode == "verb":
            name, uri, *images = options.rest
            if name.startswith("make-"):
                _, executor, cpus = name.split("-")
                print(json.dumps(make(executor, int(cpus), uri, int(images[0]))))
            else:
                print(json.dumps(verb(name, uri)))
            return
        modes = {"folder": folder_mode, "requests": requests_mode, "ray": ray_mode, "nodes": nodes_mode}
        rows = modes[options.mode](options, Path(scratch))
    emit(rows, options.json)


if __name__ == "__main__":
    main()
