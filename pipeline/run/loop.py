"""The job as a plain loop in this process: no Ray, one shard after the other.

It is what Ray is measured against, and what runs where only this process can reach the storage
(`memory://`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.job import INGEST
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.work import Work
from relforge.pipeline.run.worker import ShardReport, ShardWorker
from relforge.pipeline.store.run_folder import RunFolder


def run_loop(plan: Plan, folder: RunFolder, work: Work, tick: Callable[[], None]) -> list[ShardReport]:
    """Make every shard of `work`; `tick` is called after each.

    Returns:
        the reports that did not end well (skipped, retries exhausted).
    """
    workers = [
        ShardWorker(plan, name, folder, work.forced.get(name, frozenset()))
        for name in work.steps
        if name != INGEST
    ]
    ancestors = {name: plan.ancestors(name) for name in work.steps}
    unfinished = []
    for shard in _shards(plan, folder, work):
        tick()
        without_output: set[str] = set()
        for worker in workers:
            if ancestors[worker.stage_name] & without_output:
                continue
            report = worker.run(shard)
            tick()
            if not report.usable:
                unfinished.append(report)
                without_output.add(report.stage)
    return unfinished


def _shards(plan: Plan, folder: RunFolder, work: Work) -> Iterator[int]:
    if INGEST in work.steps:
        yield from (report.shard for report in ingest(plan, folder, work.forced.get(INGEST, frozenset())))
    else:
        yield from work.shards or ()
