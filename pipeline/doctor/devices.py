"""What the machine has: processors, memory, disk, GPUs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from relforge.pipeline.doctor.check import Check

GIB = 1024**3


def check_devices() -> Iterator[Check]:
    """CPUs, memory, free disk here, and each CUDA device with its compute capability."""
    yield Check("devices", "cpu", "ok", f"{len(os.sched_getaffinity(0))} usable of {os.cpu_count()}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    yield Check("devices", "memory", "ok", f"{memory:.1f} GiB")
    yield Check("devices", "disk", "ok", f"{shutil.disk_usage('.').free / GIB:.1f} GiB free here")
    try:
        import torch
    except ImportError:
        return  # the version check has said so
    yield _bfloat16()
    if not torch.cuda.is_available():
        yield Check("devices", "gpu", "absent", "no CUDA device; models run on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        capability = f"sm_{properties.major}{properties.minor}"
        detail = f"{properties.name}, {capability}, {properties.total_memory / GIB:.0f} GiB"
        built_for = torch.cuda.get_arch_list()
        known = any(arch.removeprefix("compute_").removeprefix("sm_") <= capability[3:] for arch in built_for)
        yield Check(
            "devices", f"gpu {index}", "ok" if known else "broken", f"{detail}; torch built for {built_for}"
        )


def _bfloat16() -> Check:
    from relforge.models.device import multiplies_bfloat16

    if multiplies_bfloat16():
        return Check("devices", "bfloat16 on the cpu", "ok", "the processor multiplies it")
    fix = "leave dtype at auto on this CPU, which takes float32"
    return Check(
        "devices", "bfloat16 on the cpu", "absent", f"the processor has no instructions for it; {fix}"
    )
