"""The jobs that are disturbed, on few images of the drawn world: every stage with the shipped models, and
stages that ask an endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from relforge.demo.job import write_job
from relforge.pipeline.config import load
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job, Resources
from tests.fixtures.contents import read_contents

IMAGES, SHARD_IMAGES = 8, 2
SHARDS = IMAGES // SHARD_IMAGES
ACTORS = ("caption", "propose", "tag")
"""Stages that actors run."""
_UNREADABLE = "000003.jpg"
"""An image that is cut, so that records are set aside."""
_LIMITS = [f"run.{name}=1" for name in ("quarantine_limit", "lost_images_limit", "lost_boxes_limit")]


def write_world(folder: Path) -> Job:
    """Draw the images unless they are there; the job, with its run folder at `folder/reference`."""
    return _small(folder, _draw(folder), "stages.caption.captions=2")


def write_asked(folder: Path, port: int) -> Job:
    """The same images, whose relations the endpoint at that port proposes and judges."""
    values = yaml.safe_load(_draw(folder).read_text())
    asked = {"backend": "vlm", "model": "scripted", "endpoint": f"http://127.0.0.1:{port}/v1", "in_flight": 4}
    values["stages"] = {
        "propose": {**asked, "schema": "prompt", "max_boxes": 8},
        "tag": {**asked, "view": "crop", "pixels": 64},
        "select": {"backend": "select"},
    }
    config = folder / "asked.yaml"
    config.write_text(yaml.safe_dump(values, sort_keys=False))
    return _small(folder, config)


def _draw(folder: Path) -> Path:
    config = folder / "demo.yaml"
    if not config.exists():
        config = write_job(folder, IMAGES)
        image = next(folder.glob(f"world/**/{_UNREADABLE}"))
        image.write_bytes(image.read_bytes()[:200])
    return config


def _small(folder: Path, config: Path, *changes: str) -> Job:
    overrides = [f"run.folder={folder / 'reference'}", f"run.shard_images={SHARD_IMAGES}", "run.retries=9"]
    job = load(str(config), [*overrides, *_LIMITS, *changes])
    stages = [
        replace(one, resources=Resources(actors=1 if one.name in ACTORS else None, num_cpus=0.3))
        for one in job.stages
    ]
    return replace(job, stages=tuple(stages), source=replace(job.source, resources=Resources(num_cpus=0.3)))


def read_kept(run: str) -> dict[str, Any]:
    """Request -> answer, of all that a run on this machine keeps; lines that a kill tore do not count."""
    found = {}
    for segment in sorted(Path(run, "cache", "vlm").glob("*.jsonl")):
        for line in segment.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            found[record["key"]] = {name: record.get(name) for name in ("answer", "notes", "server")}
    return found


def reference(job: Job) -> dict[str, object]:
    """What the undisturbed loop makes."""
    result = run(job, executor="loop")
    assert result.outcome == Outcome.COMPLETE, result.message
    return read_contents(job.folder)
