"""What a run would take, from a few of its images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.ingest import commit_shard
from relforge.pipeline.run.job import INGEST, Job, StageSpec
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.ray_resources import requested_cpus
from relforge.pipeline.run.stopwatch import Stopwatch
from relforge.pipeline.run.worker import ShardWorker
from relforge.pipeline.store.run_folder import RunFolder
from relforge.vlm.options import default_cache


@dataclass(frozen=True)
class StageEstimate:
    """What one stage would take.

    Args:
        stage: its name.
        startup_seconds: loading its model, once per worker.
        image_seconds: of one worker per image, as measured.
        hours: of one worker for all images.
        cpu_hours, gpu_hours: for all images.
        workers: how many work at a time at most, as configured; 1 for ingest.
    """

    stage: str
    startup_seconds: float
    image_seconds: float
    hours: float
    cpu_hours: float
    gpu_hours: float
    workers: int

    @property
    def wall_hours(self) -> float:
        """With all of its workers."""
        return self.hours / self.workers


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Args:
        measured: images that were measured.
        images, shards: of the whole dataset.
        stages: in order, ingest first.
    """

    measured: int
    images: int
    shards: int
    stages: tuple[StageEstimate, ...]

    @property
    def slowest(self) -> StageEstimate:
        """The stage that sets the pace: stages work at the same time, on different shards."""
        return max(self.stages, key=lambda one: one.wall_hours)


def estimate(job: Job, images: int, cpus: int) -> Estimate:
    """Make the first images in a folder that is thrown away, one stage after the other in this process.

    Ingest reads the whole annotation, as a run does, to count its images.

    Args:
        job: the run.
        images: how many to measure.
        cpus: for stages without a pool: how many tasks there are at a time.

    Raises:
        RunError: the dataset has no image, or what `run` raises of a stage.
    """
    with _throw_away(job, images) as (small, folder):
        plan = make_plan(small)
        watch = Stopwatch()
        shards = iter(small.build_source().shards(images))
        first = next(shards, None)
        count = 0 if first is None else first.tables["images"].num_rows
        if first is None or not count:
            raise RunError(f"dataset {job.dataset!r} has no image, so there is nothing to measure")
        measured = count
        count += sum(one.tables["images"].num_rows for one in shards)
        seconds, cpu_seconds = watch.seconds, watch.cpu_seconds
        commit_shard(plan, folder, 0, first, False, watch)
        found = [StageEstimate(INGEST, 0.0, seconds / count, seconds / 3600, cpu_seconds / 3600, 0.0, 1)]
        for step in plan.stages:
            worker = ShardWorker(plan, step.name, folder)
            watch = Stopwatch()
            worker.prepare()
            startup = watch.seconds
            watch = Stopwatch()
            worker.run(0).raise_if_fatal()
            seconds, cpu_seconds = watch.seconds, watch.cpu_seconds
            need = job.stage(step.name).resources
            share = count / measured / 3600
            found.append(
                StageEstimate(
                    step.name,
                    startup,
                    seconds / measured,
                    seconds * share,
                    cpu_seconds * share,
                    seconds * share * need.num_gpus,
                    need.pool[1] if need.pool else max(1, int(cpus / max(requested_cpus(need), 0.01))),
                )
            )
    return Estimate(measured, count, -(-count // job.shard_images), tuple(found))


@contextmanager
def _throw_away(job: Job, images: int) -> Iterator[tuple[Job, RunFolder]]:
    with TemporaryDirectory(prefix="relforge-measure-") as folder:
        stages = tuple(_keep_answers(job, spec) for spec in job.stages)
        yield replace(job, folder=folder, shard_images=images, stages=stages), RunFolder(folder)


def _keep_answers(job: Job, spec: StageSpec) -> StageSpec:
    """What was paid for in measuring is kept where the run will look for it."""
    if "cache" not in spec.options and hasattr(job.build_stage(spec.name), "foresee"):
        return replace(spec, options={**spec.options, "cache": default_cache(job.folder)})
    return spec
