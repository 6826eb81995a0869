"""Which code that does not come with relforge a job would run."""

from __future__ import annotations

from relforge.pipeline.run.job import Job
from relforge.stages.registry import SOURCES, backends


def list_foreign_code(job: Job) -> list[str]:
    """Field and value of every foreign class, Python and Ray environment; nothing is imported."""
    found = []
    if SOURCES.is_foreign(job.source.adapter):
        found.append(f"dataset.format: {job.source.adapter}")
    for spec in job.stages:
        field = f"stages.{spec.name}"
        if backends(spec.name).is_foreign(spec.backend):
            found.append(f"{field}.backend: {spec.backend}")
        if spec.resources.py_executable:
            found.append(f"{field}.resources.py_executable: {spec.resources.py_executable}")
        if spec.resources.runtime_env:
            found.append(f"{field}.resources.runtime_env: {dict(spec.resources.runtime_env)}")
    return found
