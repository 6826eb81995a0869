"""The job as one Ray Data stream of shard descriptors.

A row is a shard's index and the reports on it so far; data never enters the object store. Each stage is
one operator: tasks for light stages, an actor pool for model stages. Ray Data does the scheduling, the
back-pressure and the restarts.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import relforge
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.driver import Driver, halt, halt_path
from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.job import INGEST, Resources
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.ray_session import ray_session
from relforge.pipeline.run.work import Work
from relforge.pipeline.run.worker import BLOCKED, ShardReport, ShardWorker
from relforge.pipeline.store.run_folder import RunFolder

_POLL_SECONDS = 0.5
_TASK_CPUS = 1.0
_ACTOR_CPUS = 0.5
_TASKS = 100_000
"""Tasks of a light stage at once: no limit but the CPUs. Ray Data fuses operators whose sizes agree, so that
one task takes a shard through neighbouring light stages, but never through ingest (its size is 1: fused, it
would hold every shard back until its last) or through a model's actors."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Orders:
    """What every operator gets: the run, where it is, and whom it works for."""

    plan: Plan
    folder: RunFolder
    work: Work
    driver: str


def run_ray(
    plan: Plan, folder: RunFolder, work: Work, driver: Driver, tick: Callable[[], None]
) -> list[ShardReport]:
    """Make every shard of `work` on Ray; `tick` is called twice a second meanwhile.

    Returns:
        the reports that did not end well (blocked, unlucky).

    Raises:
        StageFailed, StorageError: a worker raised; the run was halted.
        RunError: Ray itself gave up.
        Whatever `tick` raises, which stops the run too.
    """
    with ray_session() as ours:
        rows = _stream(Orders(plan, folder, work, driver.id), ours)
        consumer = _Consumer(rows)
        consumer.start()
        try:
            while consumer.is_alive():
                consumer.join(_POLL_SECONDS)
                if report := driver.halted_by():
                    ShardReport(**report).raise_if_fatal()
                tick()
        except BaseException:
            driver.halt()
            if ours:  # the stream dies with its Ray, and would report that as a fault
                logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)
            else:
                consumer.join()  # shards begun are finished; killing is for Rays of our own
            raise
        return consumer.result()


class _Consumer(Thread):
    """Draws the rows out of the stream, so that the main thread stays free for Ctrl-C and progress."""

    def __init__(self, rows: Callable[[], Iterator[Row]]) -> None:
        super().__init__(name="relforge-stream", daemon=True)
        self._rows = rows
        self._troubles: list[ShardReport] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            for row in self._rows():
                reports = [ShardReport(**report) for report in json.loads(row["reports"])]
                self._troubles += [report for report in reports if not report.usable]
        except BaseException as error:
            self._error = error

    def result(self) -> list[ShardReport]:
        """The troubles. Raises the first that stands for an exception, or what ended the stream itself."""
        for report in self._troubles:
            report.raise_if_fatal()
        if self._error:
            raise RunError(f"Ray gave up: {self._error}; give the same command again") from self._error
        return self._troubles


def _stream(orders: Orders, local: bool) -> Callable[[], Iterator[Row]]:
    """Lay out the operators; nothing runs before the first row is asked for."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # one descriptor, one block: a shard goes on as soon as it is committed
    context.target_max_block_size = 1
    context.target_min_block_size = 1
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "The maximum number of concurrent tasks")  # see _TASKS
    work = orders.work
    needs = {name: _needs(orders.plan, name) for name in work.steps}
    cpus = fit_cpus(needs, ray.cluster_resources().get("CPU", 1.0) if local else None)
    if INGEST in work.steps:
        start = ray.data.from_items([{"shard": -1, "reports": "[]"}], override_num_blocks=1)
        stream = start.map_batches(
            partial(_ingest_rows, orders),
            batch_size=1,
            num_cpus=cpus[INGEST],
            compute=ray.data.TaskPoolStrategy(size=1),
        )
    else:
        items = [{"shard": shard, "reports": "[]"} for shard in work.shards or ()]
        stream = ray.data.from_items(items, override_num_blocks=max(1, len(items)))
    for name in work.steps:
        if name == INGEST:
            continue
        needed = needs[name]
        options: dict[str, Any] = {"num_cpus": cpus[name], "num_gpus": needed.num_gpus or None}
        if needed.memory:
            options["memory"] = needed.memory
        if environment := runtime_env(needed):
            options["runtime_env"] = environment
        if needed.pool:
            least, most = needed.pool
            stream = stream.map(
                _StageActor,  # type: ignore[arg-type]  # Ray takes classes as well
                fn_constructor_args=(orders, name),
                compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
                **options,
            )
        else:
            tasks = ray.data.TaskPoolStrategy(size=_TASKS)
            stream = stream.map(partial(_run_task, orders, name), compute=tasks, **options)
    return lambda: iter(stream.iter_rows())


def fit_cpus(needs: dict[str, Resources], available: float | None) -> dict[str, float]:
    """CPUs per task or actor of each step.

    On a machine of our own the pools together never take every CPU: actors hold theirs for the whole
    run, and tasks that find none left wait for ever. A cluster may grow, so there the config counts.

    Args:
        needs: step -> resources.
        available: CPUs of a local Ray; None on a cluster.
    """
    asked = {
        name: need.num_cpus if need.num_cpus is not None else (_ACTOR_CPUS if need.pool else _TASK_CPUS)
        for name, need in needs.items()
    }
    if available is None:
        return asked
    pools = {name: need.pool[1] for name, need in needs.items() if need.pool}
    tasks = {name: min(cpus, available / 2 if pools else available) for name, cpus in asked.items()}
    room = available - max((tasks[name] for name in needs if name not in pools), default=0.0)
    held = sum(asked[name] * size for name, size in pools.items())
    scale = min(1.0, room / held) if held else 1.0
    # Ray counts CPUs in ten-thousandths; rounding up could take the last one
    return {n: int(asked[n] * scale * 10_000) / 10_000 if n in pools else tasks[n] for n in needs}


def runtime_env(needed: Resources) -> dict[str, Any]:
    """Ray's runtime environment for a stage; another Python also learns where relforge lies."""
    environment = dict(needed.runtime_env or {})
    if needed.py_executable:
        environment["py_executable"] = needed.py_executable
        variables = dict(environment.get("env_vars", {}))
        root = str(Path(relforge.__file__).resolve().parent.parent)
        paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        variables.setdefault("PYTHONPATH", os.pathsep.join(paths))
        environment["env_vars"] = variables
    return environment


def _needs(plan: Plan, name: str) -> Resources:
    return Resources(num_cpus=_TASK_CPUS) if name == INGEST else plan.job.stage(name).resources


def _ingest_rows(orders: Orders, batch: dict[str, Any]) -> Iterator[dict[str, list[Any]]]:
    forced = orders.work.forced.get(INGEST, frozenset())
    try:
        for report in ingest(orders.plan, orders.folder, forced):
            yield {"shard": [report.shard], "reports": [json.dumps([asdict(report)])]}
            if _halted(orders):
                return
    except Exception as error:
        report = _stopped_by(orders, INGEST, -1, error)
        yield {"shard": [report.shard], "reports": [json.dumps([asdict(report)])]}


_WORKERS: dict[tuple[str, str], ShardWorker] = {}
"""(driver, stage) -> the worker of this process; Ray uses a process for many tasks."""


def _run_task(orders: Orders, name: str, row: Row) -> Row:
    for known in [key for key in _WORKERS if key[0] != orders.driver]:
        del _WORKERS[known]
    key = (orders.driver, name)
    if key not in _WORKERS:
        _WORKERS[key] = _worker(orders, name)
    return _run_row(orders, _WORKERS[key], row)


class _StageActor:
    """A member of a stage's actor pool."""

    def __init__(self, orders: Orders, name: str) -> None:
        self._orders, self._worker = orders, _worker(orders, name)

    def __call__(self, row: Row) -> Row:
        return _run_row(self._orders, self._worker, row)


def _worker(orders: Orders, name: str) -> ShardWorker:
    return ShardWorker(orders.plan, name, orders.folder, orders.work.forced.get(name, frozenset()))


def _run_row(orders: Orders, worker: ShardWorker, row: Row) -> Row:
    reports = json.loads(row["reports"])
    if reports and not ShardReport(**reports[-1]).usable:
        return row
    shard = int(row["shard"])
    if _halted(orders):
        report = ShardReport(worker.stage_name, shard, BLOCKED, detail="the run was stopped")
    else:
        try:
            report = worker.run(shard)
        except Exception as error:
            report = _stopped_by(orders, worker.stage_name, shard, error)
    return {"shard": shard, "reports": json.dumps([*reports, asdict(report)])}


def _stopped_by(orders: Orders, stage: str, shard: int, error: Exception) -> ShardReport:
    """Halt the run at once, rather than when the report has found its way to the driver."""
    report = ShardReport.of_error(stage, shard, error)
    halt(orders.folder, orders.driver, asdict(report))
    return report


def _halted(orders: Orders) -> bool:
    return orders.folder.storage.size(halt_path(orders.driver)) is not None
