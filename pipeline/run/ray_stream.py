"""The job as one Ray Data stream of shard descriptors.

A row is a shard's index and the reports on it so far; data never enters the object store. Each stage is
one operator: tasks for light stages, an actor pool for model stages. Ray Data does the scheduling, the
back-pressure and the restarts.

The graph of stages is laid out in topological order, one operator after the other. Where it branches, a
shard passes through the branches in turn, and a stage skips it only if one of its own ancestors failed.
Several shards are on their way at a time, so every branch is busy and the slowest stage sets the pace, as
it would with operators side by side, which in Ray Data would run what they have in common twice.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from threading import Thread
from typing import Any

from relforge.pipeline.errors import DoesNotFit, RunError
from relforge.pipeline.run.driver import Driver, halt, halt_path
from relforge.pipeline.run.gpu_share import share_gpu
from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.job import INGEST, Resources
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.ray_fit import check_worker, fit_cluster, per_worker
from relforge.pipeline.run.ray_health import RayHealth, RayLost
from relforge.pipeline.run.ray_nodes import ClusterWatch, alive_nodes
from relforge.pipeline.run.ray_resources import fit_cpus, needs, requested_cpus, runtime_env
from relforge.pipeline.run.ray_session import ray_session
from relforge.pipeline.run.work import Work
from relforge.pipeline.run.worker import SKIPPED, ShardReport, ShardWorker
from relforge.pipeline.store.run_folder import RunFolder

_POLL_SECONDS = 0.5
_MAX_TASKS = 100_000
"""Tasks of a light stage at once: no limit but the CPUs. Ray Data fuses operators whose sizes agree, so that
one task takes a shard through neighbouring light stages, but never through ingest (its size is 1: fused, it
would hold every shard back until its last) or through a model's actors."""

Row = dict[str, Any]


@dataclass(frozen=True)
class WorkerContext:
    """What every operator gets: the run, its folder, the work, and the id of the driver."""

    plan: Plan
    folder: RunFolder
    work: Work
    driver: str


def run_ray(
    plan: Plan,
    folder: RunFolder,
    work: Work,
    driver: Driver,
    tick: Callable[[], None],
    notify: Callable[[str], None],
) -> list[ShardReport]:
    """Make every shard of `work` on Ray.

    Args:
        tick: called twice a second meanwhile.
        notify: told what the cluster does not have yet.

    Returns:
        the reports that did not end well (skipped, retries exhausted).

    Raises:
        StageFailed, StorageError: a worker raised; the run was halted.
        DoesNotFit: the run asks for what this Ray can never give it.
        RunError: Ray itself gave up, or a node does not see the run's files.
        Whatever `tick` raises, which stops the run too.
    """
    needed = {name: needs(plan.job, name) for name in work.steps}
    with ExitStack() as stack:
        session = stack.enter_context(ray_session(dashboard=plan.job.dashboard))
        ours = session.ours
        if plan.job.dashboard and session.dashboard:
            notify(f"Ray's dashboard: {session.dashboard}")
        cpus = _choose_cpus(needed, ours, plan.job.limits.autoscaling)
        watch = stack.enter_context(_watch(plan, folder, driver, needed, ours, notify))
        health = RayHealth()
        consumer = _Consumer(_stream(WorkerContext(plan, folder, work, driver.id), needed, cpus))
        consumer.start()
        try:
            while consumer.is_alive():
                consumer.join(_POLL_SECONDS)
                if report := driver.halted_by():
                    ShardReport(**report).raise_if_fatal()
                tick()
                if health.check():
                    watch()
        except BaseException as error:
            driver.halt()
            if ours or isinstance(
                error, RayLost
            ):  # the stream ends with its Ray, and would report that as a fault
                logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)
            else:
                consumer.join()  # shards begun are finished; only a Ray of our own may be killed
            raise
        return consumer.result()


@contextmanager
def _watch(
    plan: Plan,
    folder: RunFolder,
    driver: Driver,
    needed: Mapping[str, Resources],
    ours: bool,
    notify: Callable[[str], None],
) -> Iterator[Callable[[], None]]:
    """Probe the nodes of a cluster; yields what looks again. A Ray of our own is this machine alone."""
    if ours:
        yield lambda: None
        return
    watch = ClusterWatch(plan, folder, driver, needed, notify)
    try:
        watch.look(now=True)
        yield watch.look
    finally:
        watch.close()


def _choose_cpus(needed: Mapping[str, Resources], ours: bool, autoscaling: bool) -> dict[str, float]:
    """CPUs per task or actor of each step; DoesNotFit where they can never be had."""
    nodes = alive_nodes()
    if not ours:
        try:
            return fit_cluster(needed, nodes)
        except DoesNotFit:
            if autoscaling:
                return {name: requested_cpus(need) for name, need in needed.items()}
            raise
    cpus = fit_cpus(needed, sum(node.total["CPU"] for node in nodes) or 1.0)
    for name, need in needed.items():
        check_worker(name, per_worker(need, cpus[name]), nodes)
    return cpus


class _Consumer(Thread):
    """Reads the rows of the stream, so that the main thread stays free for Ctrl-C and progress."""

    def __init__(self, rows: Callable[[], Iterator[Row]]) -> None:
        super().__init__(name="relforge-stream", daemon=True)
        self._rows = rows
        self._unfinished: list[ShardReport] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            for row in self._rows():
                reports = [ShardReport(**report) for report in json.loads(row["reports"])]
                self._unfinished += [report for report in reports if not report.usable]
        except BaseException as error:
            self._error = error

    def result(self) -> list[ShardReport]:
        """The reports that did not end well. Raises the first that carries an exception, or what ended the
        stream itself."""
        for report in self._unfinished:
            report.raise_if_fatal()
        if self._error:
            raise RunError(f"Ray gave up: {self._error}; give the same command again") from self._error
        return self._unfinished


def _stream(
    worker: WorkerContext, needed: Mapping[str, Resources], cpus: Mapping[str, float]
) -> Callable[[], Iterator[Row]]:
    """Lay out the operators; nothing runs before the first row is read."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # one descriptor, one block: a shard moves on as soon as it is committed
    context.target_max_block_size = 1
    context.target_min_block_size = 1
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "The maximum number of concurrent tasks")  # see _MAX_TASKS
    work = worker.work
    if INGEST in work.steps:
        start = ray.data.from_items([{"shard": -1, "reports": "[]"}], override_num_blocks=1)
        stream = start.map_batches(
            partial(_ingest_rows, worker),
            batch_size=1,
            compute=ray.data.TaskPoolStrategy(size=1),
            **_remote_options(needed[INGEST], cpus[INGEST]),
        )
    else:
        items = [{"shard": shard, "reports": "[]"} for shard in work.shards or ()]
        stream = ray.data.from_items(items, override_num_blocks=max(1, len(items)))
    for name in work.steps:
        if name == INGEST:
            continue
        need = needed[name]
        options = _remote_options(need, cpus[name])
        if need.pool:
            min_size, max_size = need.pool
            stream = stream.map(
                _StageActor,  # Ray takes classes as well
                fn_constructor_args=(worker, name),
                compute=ray.data.ActorPoolStrategy(min_size=min_size, max_size=max_size),
                **options,
            )
        else:
            tasks = ray.data.TaskPoolStrategy(size=_MAX_TASKS)
            stream = stream.map(partial(_run_task, worker, name), compute=tasks, **options)
    return lambda: iter(stream.iter_rows())


def _remote_options(need: Resources, cpus: float) -> dict[str, Any]:
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": need.num_gpus or None}
    if need.memory:
        options["memory"] = need.memory
    if need.custom:
        options["resources"] = dict(need.custom)
    if environment := runtime_env(need):
        options["runtime_env"] = environment
    return options


def _ingest_rows(context: WorkerContext, batch: dict[str, Any]) -> Iterator[dict[str, list[Any]]]:
    forced = context.work.forced.get(INGEST, frozenset())
    try:
        for report in ingest(context.plan, context.folder, forced):
            yield {"shard": [report.shard], "reports": [json.dumps([asdict(report)])]}
            if _halted(context):
                return
    except Exception as error:
        report = _halt_for(context, INGEST, -1, error)
        yield {"shard": [report.shard], "reports": [json.dumps([asdict(report)])]}


_WORKERS: dict[tuple[str, str], ShardWorker] = {}
"""(driver, stage) -> the worker of this process; Ray uses a process for many tasks."""


def _run_task(context: WorkerContext, name: str, row: Row) -> Row:
    for known in [key for key in _WORKERS if key[0] != context.driver]:
        del _WORKERS[known]
    key = (context.driver, name)
    if key not in _WORKERS:
        _WORKERS[key] = _worker(context, name)
    return run_row(context, _WORKERS[key], row)


class _StageActor:
    """A member of a stage's actor pool."""

    def __init__(self, context: WorkerContext, name: str) -> None:
        self._context, self._worker = context, _worker(context, name)
        share_gpu(needs(context.plan.job, name).num_gpus)

    def __call__(self, row: Row) -> Row:
        return run_row(self._context, self._worker, row)


def _worker(context: WorkerContext, name: str) -> ShardWorker:
    return ShardWorker(context.plan, name, context.folder, context.work.forced.get(name, frozenset()))


def run_row(context: WorkerContext, worker: ShardWorker, row: Row) -> Row:
    """Make the row's shard in one stage, unless a stage it descends from left it without input."""
    reports = json.loads(row["reports"])
    without_output = {report["stage"] for report in reports if not ShardReport(**report).usable}
    if without_output & context.plan.ancestors(worker.stage_name):
        return row
    shard = int(row["shard"])
    if _halted(context):
        report = ShardReport(worker.stage_name, shard, SKIPPED, detail="the run was stopped")
    else:
        try:
            report = worker.run(shard)
        except Exception as error:
            report = _halt_for(context, worker.stage_name, shard, error)
    return {"shard": shard, "reports": json.dumps([*reports, asdict(report)])}


def _halt_for(context: WorkerContext, stage: str, shard: int, error: Exception) -> ShardReport:
    """Halt the run at once, rather than when the report reaches the driver."""
    report = ShardReport.of_error(stage, shard, error)
    halt(context.folder, context.driver, asdict(report))
    return report


def _halted(context: WorkerContext) -> bool:
    return context.folder.storage.size(halt_path(context.driver)) is not None
