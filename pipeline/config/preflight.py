"""Checks of a resolved job that need no run: the order of its stages, its files, its folder, its models."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from relforge.pipeline.config.source import ConfigError
from relforge.pipeline.run.idle_gpu import describe_idle_gpu
from relforge.pipeline.run.job import Job, StageSpec
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.prepare import check_folder
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.contract import ListsClasses, SourceError
from relforge.stages.match.coverage import describe_unknown_classes, find_unknown_classes
from relforge.stages.match.vocabulary import load

MIN_FREE_BYTES = 1 << 30


def preflight(job: Job, load_models: bool = False) -> list[tuple[str, str]]:
    """Check a job whose config has been resolved.

    Args:
        load_models: also call every stage's `setup`, as a worker would.

    Returns:
        what was checked and what was found, in order.

    Raises:
        ConfigError, RunError: the first thing that would stop the run.
    """
    plan = make_plan(job)
    findings = [("stages", " -> ".join(step.name for step in plan.steps))]
    for step in plan.stages:
        findings.append((f"{step.name} tables", f"{', '.join(step.inputs)} -> {', '.join(step.outputs)}"))
    findings += [(f"{step.name} file", path) for step in plan.steps for path in step.files]
    findings += [(f"{spec.name} dtype", slow) for spec in job.stages if (slow := _slow_dtype(spec))]
    if idle := describe_idle_gpu(job):
        findings.append(("gpu", idle))
    record = check_folder(RunFolder(job.folder))
    findings.append(("run folder", f"{job.folder}: {'resumes' if record else 'new'}"))
    if "://" not in job.folder:
        findings.append(("disk", _disk(Path(job.folder))))
    findings += [("match classes", found) for found in _unknown_classes(job)]
    if load_models:
        for spec in job.stages:
            _load(job, spec.name)
            findings.append((f"{spec.name} models", "loaded"))
    return findings


def _disk(folder: Path) -> str:
    """Free space where the folder will be; ConfigError when it cannot be written."""
    folder = folder.absolute()
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(place, os.W_OK):
        raise ConfigError("", "run.folder", f"{place} is not writable; pass run.folder=...")
    free = shutil.disk_usage(place).free
    if free < MIN_FREE_BYTES:
        raise ConfigError(
            "", "run.folder", f"only {free >> 20} MiB free at {place}; make room or pass run.folder=..."
        )
    return f"{free / (1 << 30):.1f} GiB free"


def _slow_dtype(spec: StageSpec) -> str | None:
    """A warning about a number type this machine is slow in, unless the stage runs on another's GPU."""
    if "dtype" not in spec.options or spec.resources.num_gpus:
        return None
    from relforge.models.device import slow_dtype  # imports torch, which other stages do not need

    return slow_dtype(spec.options.get("device", "auto"), spec.options["dtype"])


def _unknown_classes(job: Job) -> list[str]:
    """A sentence about classes that no synonym table knows, where the source lists its classes."""
    spec = next((one for one in job.stages if one.name == "match" and one.backend == "synonyms"), None)
    source = job.build_source()
    if spec is None or not isinstance(source, ListsClasses):
        return []
    try:
        classes = source.list_classes()
    except SourceError as error:
        raise ConfigError("", "dataset", str(error)) from error
    vocabulary = load(spec.options.get("synonyms", ["coco"])).with_own(classes)
    unknown = find_unknown_classes(vocabulary, classes)
    return [describe_unknown_classes(unknown, len(classes))] if unknown else []


def _load(job: Job, name: str) -> None:
    try:
        job.build_stage(name).setup()
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError("", f"stages.{name}", f"its models do not load: {error}") from error
