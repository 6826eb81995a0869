"""The job that is disturbed: every stage with the shipped models, on few images of the drawn world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from relforge.demo.job import write_job
from relforge.pipeline.config import load
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job, Resources
from tests.fixtures.contents import read_contents

IMAGES, SHARD_IMAGES = 8, 2
SHARDS = IMAGES // SHARD_IMAGES
_UNREADABLE = "000003.jpg"
"""An image that is cut, so that records are set aside."""
_LIMITS = [f"run.{name}=1" for name in ("quarantine_limit", "lost_images_limit", "lost_boxes_limit")]


def write_world(folder: Path) -> Job:
    """Draw the images unless they are there; the job, with its run folder at `folder/reference`."""
    config = folder / "demo.yaml"
    if not config.exists():
        config = write_job(folder, IMAGES)
        image = next(folder.glob(f"world/**/{_UNREADABLE}"))
        image.write_bytes(image.read_bytes()[:200])
    overrides = [f"run.folder={folder / 'reference'}", f"run.shard_images={SHARD_IMAGES}", "run.retries=9"]
    job = load(str(config), [*overrides, *_LIMITS, "stages.caption.captions=2"])
    small = {"caption": Resources(actors=1, num_cpus=0.3), "tag": Resources(actors=1, num_cpus=0.3)}
    stages = [replace(one, resources=small.get(one.name, Resources(num_cpus=0.3))) for one in job.stages]
    return replace(job, stages=tuple(stages), source=replace(job.source, resources=Resources(num_cpus=0.3)))


def reference(job: Job) -> dict[str, object]:
    """What the undisturbed loop makes."""
    result = run(job, executor="loop")
    assert result.outcome == Outcome.COMPLETE, result.message
    return read_contents(job.folder)
