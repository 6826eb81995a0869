"""A GPU that a run on Ray leaves idle, although its stages could use one."""

from __future__ import annotations

from relforge.machine import count_gpus
from relforge.pipeline.run.job import Job


def describe_idle_gpu(job: Job, devices: str = "/dev") -> str | None:
    """A sentence where this machine has a GPU and no stage asks for one, although some could run on it; else
    None. Ray hides all GPUs from workers that ask for none, so their models would run on the CPU.

    Args:
        devices: see `count_gpus`.
    """
    if any(spec.resources.num_gpus for spec in job.stages):
        return None
    able = [spec.name for spec in job.stages if str(spec.options.get("device", "cpu")) != "cpu"]
    if not able or not count_gpus(devices):
        return None
    return (
        f"this machine has a GPU, but on Ray {' and '.join(able)} will run on the CPU: no stage asks "
        f"for one; add resources: {{num_gpus: 1}} to {able[0]}, or pass stages.{able[0]}.resources.num_gpus=1"
    )
