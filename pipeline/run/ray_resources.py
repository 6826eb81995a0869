"""What a stage takes from Ray: CPUs, and the environment its workers run in. Works without Ray."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import relforge
from relforge.pipeline.run.job import INGEST, Job, Resources

_TASK_CPUS = 1.0
_ACTOR_CPUS = 0.5


def needs(job: Job, stage: str) -> Resources:
    """Resources of a step as configured; ingest is one task."""
    return job.source.resources if stage == INGEST else job.stage(stage).resources


def requested_cpus(need: Resources) -> float:
    """CPUs per task or actor as configured, or by default."""
    if need.num_cpus is not None:
        return need.num_cpus
    return _ACTOR_CPUS if need.pool else _TASK_CPUS


def fit_cpus(needed: Mapping[str, Resources], available: float) -> dict[str, float]:
    """CPUs per task or actor of each step on a local Ray.

    The pools together never take every CPU: actors hold theirs for the whole run, and tasks that find none
    left wait for ever.

    Args:
        needed: step -> resources.
        available: CPUs of the local Ray.
    """
    requested = {name: requested_cpus(need) for name, need in needed.items()}
    pools = {name: need.pool[1] for name, need in needed.items() if need.pool}
    tasks = {name: min(cpus, available / 2 if pools else available) for name, cpus in requested.items()}
    left = available - max((tasks[name] for name in needed if name not in pools), default=0.0)
    held = sum(requested[name] * size for name, size in pools.items())
    scale = min(1.0, left / held) if held else 1.0
    # Ray counts CPUs in ten-thousandths; rounding up could take the last one
    return {n: int(requested[n] * scale * 10_000) / 10_000 if n in pools else tasks[n] for n in needed}


def runtime_env(needed: Resources) -> dict[str, Any]:
    """Ray's runtime environment for a stage; another Python also gets the path of relforge."""
    environment = dict(needed.runtime_env or {})
    if needed.py_executable:
        environment["py_executable"] = needed.py_executable
        variables = dict(environment.get("env_vars", {}))
        root = str(Path(relforge.__file__).resolve().parent.parent)
        paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        variables.setdefault("PYTHONPATH", os.pathsep.join(paths))
        environment["env_vars"] = variables
    return environment
