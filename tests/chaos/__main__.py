"""Kills, and what they did to the data: `python -m tests.chaos --work DIR` (or `make chaos`).

Every case is one run of the whole pipeline with the shipped models, or (`--job asked`) of stages that ask an
endpoint, killed at several places and given the same command again until it is complete. Its data, sidecars,
quarantined records and kept answers are compared with those of a run that nobody disturbed. Cases that are
done stay done: the same command goes on later.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import make_plan
from tests.chaos.drive import drive
from tests.chaos.endpoint import endpoint
from tests.chaos.schedule import EXECUTORS, Case, draw
from tests.chaos.work import ACTORS, SHARDS, read_kept, reference, write_asked, write_world
from tests.fixtures.contents import read_contents
from tests.fixtures.nodes import Nodes
from tests.fixtures.run_fixtures import s3_server

JOBS = ("world", "asked")
_TRIES = 40
"""Commands given to one run: more than it has kills."""
_SECONDS = 900
"""A command that takes longer hangs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of images, runs and results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=250, help="drawn; some places are not reached any more")
    parser.add_argument("--executor", choices=list(EXECUTORS), action="append", help="only these")
    parser.add_argument(
        "--job", choices=JOBS, default="world", help="the shipped models, or stages that ask an endpoint"
    )
    parser.add_argument("--cases", type=int, help="only so many of each executor")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    done = run_series(
        options.work, options.seed, options.kills, options.executor, options.cases, job=options.job
    )
    print(summary(done))
    sys.exit(any(not one["equal"] for one in done))


def run_series(
    work: Path,
    seed: int,
    kills: int,
    executors: list[str] | None = None,
    cases: int | None = None,
    per_case: int | None = None,
    job: str = "world",
) -> list[dict[str, Any]]:
    """Run what is left of a series; the results of all of its cases that are done.

    Args:
        job: `world`, or `asked`, whose answers are compared too; those are kept on this machine.
    """
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])  # for workers of Ray
    if job == "world":
        return _run_series(work, write_world(work), seed, kills, executors, cases, per_case)
    with endpoint() as port:
        local = [name for name in executors or ("loop", "ray") if "-" not in name]
        return _run_series(work, write_asked(work, port), seed, kills, local, cases, per_case)


def _run_series(
    work: Path,
    job: Job,
    seed: int,
    kills: int,
    executors: list[str] | None,
    cases: int | None,
    per_case: int | None,
) -> list[dict[str, Any]]:
    expected = reference(job) | read_kept(job.folder)
    tables = {step.name: step.outputs for step in make_plan(job).steps}
    chosen = [
        case
        for case in draw(seed, kills, tables, SHARDS, per_case)
        if (not executors or case.executor in executors)
        and (cases is None or int(case.name.rpartition("-")[2]) < cases)
    ]
    results = work / f"results-{seed}-{kills}.jsonl"
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    with ExitStack() as stack:
        places = _Places(stack)
        for case in chosen:
            if any(one["case"] == case.name for one in known):
                continue
            found = run_case(work / case.name, case, job, expected, places)
            with results.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{case.name}: {len(found['kills'])} kills, equal: {found['equal']}", flush=True)
            known.append(found)
    names = {case.name for case in chosen}
    return [one for one in known if one["case"] in names]


class _Places:
    """Clusters and object storage, started when first needed and kept.

    Args:
        stack: ends them.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bucket = ""
        self._nodes: Nodes | None = None

    def bucket(self) -> str:
        if not self._bucket:
            self._bucket = self._stack.enter_context(s3_server())
        return self._bucket

    def nodes(self) -> Nodes:
        """The cluster, with every node alive."""
        self.bucket()  # its workers know where it is only if it was there before
        if self._nodes is None:
            self._nodes = self._stack.enter_context(Nodes(workers=2, cpus=2))
        self._nodes.repair()
        return self._nodes


def run_case(
    folder: Path, case: Case, job: Job, expected: dict[str, object], places: _Places
) -> dict[str, Any]:
    """Give the same command until the run is complete; what was killed, and whether the data is equal."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    on_s3 = case.executor.endswith("-s3")
    uri = f"{places.bucket()}/{case.name}" if on_s3 else str(folder / "run")
    (folder / "job.json").write_text(json.dumps(replace(job, folder=uri).to_dict()))
    (folder / "kills.json").write_text(json.dumps([asdict(kill) for kill in case.kills]))
    begun = time.monotonic()
    ends: list[int] = []
    while (not ends or ends[-1] != Outcome.COMPLETE) and len(ends) < _TRIES:
        ends.append(_drive(folder, case.executor, places))
        if ends[-1] not in (Outcome.COMPLETE, Outcome.INCOMPLETE, -signal.SIGKILL):
            break
    log = folder / "kills.jsonl"
    kills = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    equal = ends[-1] == Outcome.COMPLETE and read_contents(uri) | read_kept(uri) == expected
    message = folder / "message"
    if equal and not on_s3:
        shutil.rmtree(folder / "run")
    return {
        "case": case.name,
        "executor": case.executor,
        "kills": kills,
        "ends": ends,
        "equal": equal,
        "seconds": round(time.monotonic() - begun, 1),
        "message": message.read_text() if message.exists() else "",
    }


def _drive(folder: Path, executor: str, places: _Places) -> int:
    if executor.startswith("loop"):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.chaos.preload"])
        process = context.Process(target=drive, args=(folder, "loop", dict(os.environ)))
        process.start()
        process.join(_SECONDS)
        assert process.exitcode is not None, f"{folder}: nothing ends"
        return process.exitcode
    environment = dict(os.environ)
    environment.pop("RAY_ADDRESS", None)
    if executor.startswith("cluster"):
        environment["RAY_ADDRESS"] = places.nodes().address
    with (folder / "driver.log").open("ab") as log:
        driver = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.drive", str(folder), "ray"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if executor.startswith("cluster"):
        # nodes that are lost are replaced, as by a cluster on demand; a head not while a driver looks for it
        nodes, deadline = places.nodes(), time.monotonic() + _SECONDS
        while driver.poll() is None and not nodes.head_is_lost() and time.monotonic() < deadline:
            nodes.repair()
            time.sleep(0.5)
    return driver.wait(_SECONDS)


def summary(results: list[dict[str, Any]]) -> str:
    """Markdown: kills by executor and by what was killed."""
    victims: Counter[tuple[str, str]] = Counter()
    places = set()
    for one in results:
        for kill in one["kills"]:
            victims[one["executor"], _named(one["executor"], kill)] += 1
            places.add((kill["stage"], kill["shard"]))
    columns = ["worker", "actor", "driver", "node", "head"]
    lines = ["| where | runs | commands | " + " | ".join(columns) + " | kills | equal |", "|---" * 10 + "|"]
    for executor in EXECUTORS:
        mine = [one for one in results if one["executor"] == executor]
        counts = [victims[executor, column] for column in columns]
        ends = sum(len(one["ends"]) for one in mine)
        equal = sum(one["equal"] for one in mine)
        row = [executor, len(mine), ends, *counts, sum(counts), f"{equal} of {len(mine)}"]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    total = sum(victims.values())
    return "\n".join([*lines, "", f"{total} kills at {len(places)} pairs of stage and shard"])


def _named(executor: str, kill: dict[str, Any]) -> str:
    if kill["victim"] != "self":
        return str(kill["victim"])
    if executor.startswith("loop"):
        return "driver"
    return "actor" if kill["stage"] in ACTORS else "worker"


if __name__ == "__main__":
    main()
